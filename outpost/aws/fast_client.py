"""A client of DynamoDB and SQS that takes a third of botocore's CPU time a call, and otherwise behaves as botocore.

The calls that a request waits for leave out botocore's endpoint rules, serialiser, parser, chain of events and HTTP
session; they keep its signature. Credentials and their renewal, endpoint, targets, time limits, number of attempts,
idempotency tokens, `before-send` and exceptions are those of the client.
"""

import json
import random
import ssl
import time
import uuid
from collections.abc import Iterator, Mapping
from functools import cached_property, partial
from typing import Any

import boto3
import urllib3
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.client import BaseClient
from botocore.credentials import Credentials, ReadOnlyCredentials
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionClosedError,
    ConnectTimeoutError,
    EndpointConnectionError,
    NoCredentialsError,
    ReadTimeoutError,
    SSLError,
)
from botocore.httpsession import get_cert_path

FAST_OPERATIONS = frozenset(
    {
        "BatchGetItem",
        "DeleteItem",
        "GetItem",
        "PutItem",
        "Query",
        "SendMessage",
        "TransactWriteItems",
        "UpdateItem",
    },
)
"""Operations with neither times nor binary values in their parameters and results; all others are left to botocore."""
RETRYABLE = frozenset(
    {
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "RequestThrottled",
        "ThrottlingException",
        "TooManyRequestsException",
        "TransactionConflictException",
        "TransactionInProgressException",
    },
)
"""Codes of errors that are retried, besides errors of the server (5xx) and of the connection.

botocore's own retries leave out TransactionConflictException, by which DynamoDB refuses a single write of an item that
is in a transaction at this moment (DynamoDB Developer Guide: "Transaction conflict handling").
"""
PAUSE = 0.1
"""Seconds: the longest pause after the first attempt; it doubles with each further one."""
ExceptionMap = Mapping[type[Exception], type[BotoCoreError]]
"""Caught exception -> botocore's exception that is raised for it; the first match counts."""
_EXCEPTIONS: ExceptionMap = {
    urllib3.exceptions.NewConnectionError: EndpointConnectionError,
    urllib3.exceptions.ConnectTimeoutError: ConnectTimeoutError,
    urllib3.exceptions.ReadTimeoutError: ReadTimeoutError,
    urllib3.exceptions.SSLError: SSLError,
    urllib3.exceptions.HTTPError: ConnectionClosedError,
}


def map_exception(exceptions: ExceptionMap, error: Exception, url: str) -> BotoCoreError:
    """Return botocore's exception for an error at an endpoint, by the first class in the map that matches."""
    raised = next(ours for theirs, ours in exceptions.items() if isinstance(error, theirs))
    return raised(endpoint_url=url, error=error)


def tls_context() -> ssl.SSLContext:
    """Return the context for all connections of a client: reading the trusted certificates takes longer than a call."""
    trusted: Any = get_cert_path(True)
    return ssl.create_default_context(cafile=trusted)


def fast_session() -> boto3.Session:
    """Return a session whose clients of DynamoDB and SQS are fast ones."""
    session = boto3.Session()
    for service in ("dynamodb", "sqs"):
        session.events.register(
            f"creating-client-class.{service}", partial(_use_fast_client, session.get_credentials())
        )
    return session


def _use_fast_client(
    credentials: Credentials | None, class_attributes: dict[str, Any], base_classes: list[type], **_: object
) -> None:
    class_attributes["credentials"] = credentials
    base_classes.insert(0, FastClient)


class JsonProtocol:
    """Requests to a client's service as JSON, the meaning of its responses, and the pauses between attempts."""

    def __init__(self, client: BaseClient) -> None:
        self._client = client
        self._config: Any = client.meta.config  # its attributes are made at run time
        self._model = client.meta.service_model
        self.url = client.meta.endpoint_url

    def body(self, operation: str, parameters: dict[str, Any]) -> bytes:
        """Return the parameters as JSON, with a token of idempotency where the operation takes one."""
        members = self._model.operation_model(operation).idempotent_members
        return json.dumps({name: str(uuid.uuid4()) for name in members} | parameters).encode()

    def request(self, operation: str, body: bytes, credentials: ReadOnlyCredentials) -> AWSRequest:
        """Return a request that is signed for this moment."""
        headers = {
            "Content-Type": f"application/x-amz-json-{self._model.metadata['jsonVersion']}",
            "X-Amz-Target": f"{self._model.metadata['targetPrefix']}.{operation}",
            "User-Agent": self._config.user_agent,
        }
        request = AWSRequest("POST", self.url, headers, body)
        SigV4Auth(credentials, self._model.signing_name, self._client.meta.region_name).add_auth(request)
        return request

    def result(self, operation: str, status: int, headers: Mapping[str, str], body: bytes) -> dict[str, Any]:
        """Return what a method of the client would. Raises the client's exceptions, and `ConnectionClosedError`."""
        metadata = {"HTTPStatusCode": status, "HTTPHeaders": {name.lower(): value for name, value in headers.items()}}
        content = _object(body)
        if status != 200:
            raise self._error(operation, content or {}, metadata)  # a proxy's response has no body of ours
        if content is None:
            raise ConnectionClosedError(endpoint_url=self.url)  # cut short, or not of the service
        return content | {"ResponseMetadata": metadata}

    def _error(self, operation: str, content: dict[str, Any], metadata: dict[str, Any]) -> ClientError:
        code = str(content.get("__type", metadata["HTTPStatusCode"])).rpartition("#")[2]
        message = content.get("message") or content.get("Message", "")
        parsed = content | {"Error": {"Code": code, "Message": message}, "ResponseMetadata": metadata}
        kind: Any = self._client.exceptions.from_code(code)
        error: ClientError = kind(parsed, operation)
        return error

    def pauses(self) -> Iterator[float]:
        """Yield how many seconds to wait after each attempt but the last."""
        for failed in range(1, self._config.retries["total_max_attempts"]):
            yield random.uniform(0, PAUSE * 2 ** (failed - 1))  # noqa: S311 - spreads, hides nothing


def _object(body: bytes) -> dict[str, Any] | None:
    """Return the JSON object that a body is, or None."""
    try:
        content = json.loads(body)
    except ValueError:
        return None
    return content if isinstance(content, dict) else None


def is_retryable(error: BotoCoreError | ClientError) -> bool:
    """Return whether another attempt may succeed."""
    if isinstance(error, ClientError):
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        return status >= 500 or error.response["Error"]["Code"] in RETRYABLE
    return not isinstance(error, NoCredentialsError)


class FastClient(BaseClient):
    """Overrides the one method that every operation of a client goes through."""

    credentials: Credentials | None

    @cached_property
    def protocol(self) -> JsonProtocol:
        """The protocol of the client's service."""
        return JsonProtocol(self)

    @cached_property
    def _connections(self) -> urllib3.HTTPConnectionPool:
        config: Any = self.meta.config  # its attributes are made at run time
        times = urllib3.Timeout(connect=config.connect_timeout, read=config.read_timeout)
        pools = urllib3.PoolManager(maxsize=config.max_pool_connections, timeout=times, ssl_context=tls_context())
        return pools.connection_from_url(self.meta.endpoint_url)

    def _make_api_call(self, operation_name: str, api_params: dict[str, Any]) -> dict[str, Any]:
        if operation_name not in FAST_OPERATIONS:
            return super()._make_api_call(operation_name, api_params)  # type: ignore[misc, no-any-return]
        body = self.protocol.body(operation_name, api_params)
        for pause in self.protocol.pauses():
            try:
                return self._try(operation_name, body)
            except (BotoCoreError, ClientError) as error:
                if not is_retryable(error):
                    raise
            time.sleep(pause)
        return self._try(operation_name, body)

    def _try(self, operation: str, body: bytes) -> dict[str, Any]:
        if self.credentials is None:
            raise NoCredentialsError
        request = self.protocol.request(operation, body, self.credentials.get_frozen_credentials())
        self.meta.events.emit(f"before-send.{self.meta.service_model.service_name}.{operation}", request=request)
        headers = dict(request.headers.items())
        try:
            response = self._connections.urlopen("POST", "/", body, headers, retries=False, redirect=False)
        except urllib3.exceptions.HTTPError as error:
            raise map_exception(_EXCEPTIONS, error, self.protocol.url) from error
        return self.protocol.result(operation, response.status, response.headers, response.data)
