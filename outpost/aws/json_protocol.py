"""The protocol of DynamoDB and SQS: JSON over HTTP, in the very form that boto3's clients take and give.

Endpoint, region, signing name, targets, number of attempts, idempotency tokens and exceptions are those of a client.
`Connections` and aiohttp transport the bytes.
"""

import json
import random
import uuid
from collections.abc import Iterator
from functools import cached_property
from time import time
from typing import Any
from urllib.parse import urlsplit

from botocore.client import BaseClient
from botocore.credentials import ReadOnlyCredentials
from botocore.exceptions import BotoCoreError, ClientError, ConnectionClosedError, NoCredentialsError

from outpost.aws.connections import HttpResponse
from outpost.aws.signature import sign

RETRYABLE = frozenset(
    {
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "RequestThrottled",
        "ThrottlingException",
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


class JsonProtocol:
    """Requests to a client's service, the meaning of its responses, and the pauses between attempts."""

    def __init__(self, client: BaseClient) -> None:
        self._client = client
        self._config: Any = client.meta.config  # its attributes are made at run time
        self.url = client.meta.endpoint_url

    def body(self, operation: str, parameters: dict[str, Any]) -> bytes:
        """Return the parameters as JSON, with a token of idempotency where the operation takes one."""
        members = self._client.meta.service_model.operation_model(operation).idempotent_members
        return json.dumps({name: str(uuid.uuid4()) for name in members} | parameters).encode()

    def headers(self, operation: str, body: bytes, credentials: ReadOnlyCredentials) -> dict[str, str]:
        """Return the headers of a request, names in lower case, signed for this moment."""
        model = self._client.meta.service_model
        headers = self._fixed_headers | {"x-amz-target": f"{model.metadata['targetPrefix']}.{operation}"}
        signed = sign(headers, body, credentials, self._client.meta.region_name, model.signing_name, time())
        return signed | {"user-agent": self._config.user_agent}

    @cached_property
    def _fixed_headers(self) -> dict[str, str]:
        version = self._client.meta.service_model.metadata["jsonVersion"]
        return {"host": urlsplit(self.url).netloc, "content-type": f"application/x-amz-json-{version}"}

    def result(self, operation: str, response: HttpResponse) -> dict[str, Any]:
        """Return what a method of the client would. Raises the client's exceptions, and `ConnectionClosedError`."""
        metadata = {"HTTPStatusCode": response.status, "HTTPHeaders": response.headers}
        content = _object(response.body)
        if response.status != 200:
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
        status = error.response["ResponseMetadata"]["HTTPStatusCode"]
        return status >= 500 or error.response["Error"]["Code"] in RETRYABLE
    return not isinstance(error, NoCredentialsError)
