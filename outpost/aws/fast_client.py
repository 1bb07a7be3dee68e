"""A client of DynamoDB and SQS that takes a fifth of botocore's CPU time a call, and otherwise behaves as botocore.

The calls that a request waits for leave out botocore's endpoint rules, serialiser, parser, chain of events and HTTP
client. Credentials and their renewal, time limits and `before-send` stay those of the client.
"""

import time
from functools import cached_property, partial
from typing import Any

import boto3
from botocore.awsrequest import AWSPreparedRequest
from botocore.client import BaseClient
from botocore.credentials import Credentials
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError
from botocore.httpsession import get_cert_path

from outpost.aws.connections import Connections
from outpost.aws.json_protocol import JsonProtocol, is_retryable

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


class FastClient(BaseClient):
    """Overrides the one method that every operation of a client goes through."""

    credentials: Credentials | None

    @cached_property
    def protocol(self) -> JsonProtocol:
        """The protocol of the client's service."""
        return JsonProtocol(self)

    @cached_property
    def _connections(self) -> Connections:
        config: Any = self.meta.config  # its attributes are made at run time
        trusted: Any = get_cert_path(True)
        return Connections(self.meta.endpoint_url, config.connect_timeout, config.read_timeout, trusted)

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
        headers = self.protocol.headers(operation, body, self.credentials.get_frozen_credentials())
        listening: Any = headers  # nobody who listens needs more of botocore's headers than a dictionary has
        request = AWSPreparedRequest("POST", self.meta.endpoint_url, listening, body, stream_output=False)
        self.meta.events.emit(f"before-send.{self.meta.service_model.service_name}.{operation}", request=request)
        return self.protocol.result(operation, self._connections.post(headers, body))
