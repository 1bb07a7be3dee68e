"""A short way to DynamoDB and SQS: at a fifth of botocore's CPU time a call, and otherwise as botocore does it.

Both speak JSON in the very form that boto3's clients take and give, so the calls that a request waits for leave out
botocore's endpoint rules, serialiser, parser, chain of events and HTTP client. Endpoint, region, credentials and their
renewal, time limits, number of tries, idempotency tokens, `before-send` and exceptions stay those of the client.
"""

import json
import random
import time
import uuid
from functools import cached_property, partial
from typing import Any
from urllib.parse import urlsplit

import boto3
from botocore.awsrequest import AWSPreparedRequest
from botocore.client import BaseClient
from botocore.credentials import Credentials
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError
from botocore.httpsession import get_cert_path

from outpost.store.connections import Connections
from outpost.store.signature import sign

QUICK = frozenset({"GetItem", "PutItem", "UpdateItem", "DeleteItem", "Query", "TransactWriteItems", "SendMessage"})
"""Operations with neither times nor binary values in what they take and give; all others go botocore's way."""
PASSING = frozenset(
    {
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "RequestThrottled",
        "ThrottlingException",
        "TransactionInProgressException",
    },
)
"""Errors that another try may not meet, beside those of the server (5xx) and of the connection."""
PAUSE = 0.1
"""Seconds that the pause after the first try is at most; after each further one it may be twice as long."""


def quick_session() -> boto3.Session:
    """Return a session whose clients of DynamoDB and SQS go the short way."""
    session = boto3.Session()
    for service in ("dynamodb", "sqs"):
        session.events.register(f"creating-client-class.{service}", partial(_quicken, session.get_credentials()))
    return session


def _quicken(
    credentials: Credentials | None, class_attributes: dict[str, Any], base_classes: list[type], **_: object
) -> None:
    class_attributes["credentials"] = credentials
    base_classes.insert(0, _QuickCalls)


class _QuickCalls(BaseClient):
    """Overrides the one method that every operation of a client goes through."""

    credentials: Credentials | None

    @cached_property
    def _connections(self) -> Connections:
        config: Any = self.meta.config  # its attributes are made at run time
        trusted: Any = get_cert_path(True)
        return Connections(self.meta.endpoint_url, config.connect_timeout, config.read_timeout, trusted)

    @cached_property
    def _fixed_headers(self) -> dict[str, str]:
        service = self.meta.service_model
        return {
            "host": urlsplit(self.meta.endpoint_url).netloc,
            "content-type": f"application/x-amz-json-{service.metadata['jsonVersion']}",
        }

    def _make_api_call(self, operation_name: str, api_params: dict[str, Any]) -> dict[str, Any]:
        if operation_name not in QUICK:
            return super()._make_api_call(operation_name, api_params)  # type: ignore[misc, no-any-return]
        config: Any = self.meta.config
        members = self.meta.service_model.operation_model(operation_name).idempotent_members
        body = json.dumps({name: str(uuid.uuid4()) for name in members} | api_params).encode()
        for failed in range(1, config.retries["total_max_attempts"]):
            try:
                return self._try(operation_name, body)
            except (BotoCoreError, ClientError) as error:
                if not _passing(error):
                    raise
            time.sleep(random.uniform(0, PAUSE * 2 ** (failed - 1)))  # noqa: S311 - spreads, hides nothing
        return self._try(operation_name, body)

    def _try(self, operation: str, body: bytes) -> dict[str, Any]:
        headers = self._signed(operation, body)
        listening: Any = headers  # nobody who listens needs more of botocore's headers than a dictionary has
        request = AWSPreparedRequest("POST", self.meta.endpoint_url, listening, body, stream_output=False)
        self.meta.events.emit(f"before-send.{self.meta.service_model.service_name}.{operation}", request=request)
        answer = self._connections.post(headers, body)
        metadata = {"HTTPStatusCode": answer.status, "HTTPHeaders": answer.headers}
        if answer.status == 200:
            return {**json.loads(answer.body), "ResponseMetadata": metadata}
        raise self._error(operation, answer.body, metadata)

    def _signed(self, operation: str, body: bytes) -> dict[str, str]:
        if self.credentials is None:
            raise NoCredentialsError
        config: Any = self.meta.config
        model = self.meta.service_model
        headers = self._fixed_headers | {"x-amz-target": f"{model.metadata['targetPrefix']}.{operation}"}
        credentials = self.credentials.get_frozen_credentials()
        signed = sign(headers, body, credentials, self.meta.region_name, model.signing_name, time.time())
        return signed | {"user-agent": config.user_agent}

    def _error(self, operation: str, body: bytes, metadata: dict[str, Any]) -> ClientError:
        try:
            told = json.loads(body)
        except ValueError:
            told = {}  # a proxy on the way answered, not the service: the status says all
        code = str(told.get("__type", metadata["HTTPStatusCode"])).rpartition("#")[2]
        message = told.get("message") or told.get("Message", "")
        answer = told | {"Error": {"Code": code, "Message": message}, "ResponseMetadata": metadata}
        kind: Any = self.exceptions.from_code(code)
        error: ClientError = kind(answer, operation)
        return error


def _passing(error: BotoCoreError | ClientError) -> bool:
    if isinstance(error, ClientError):
        status = error.response["ResponseMetadata"]["HTTPStatusCode"]
        return status >= 500 or error.response["Error"]["Code"] in PASSING
    return not isinstance(error, NoCredentialsError)
