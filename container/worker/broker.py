"""The broker, as a worker sees it: one Lambda function, invoked synchronously."""

import json
import secrets
from typing import TYPE_CHECKING, TypeVar

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, ParamValidationError
from pydantic import BaseModel, ValidationError

from outpost.domain.protocol import ClaimRequest, ClaimResponse, LeaseRequest, sha256_of

if TYPE_CHECKING:
    from types_boto3_lambda import LambdaClient

Response = TypeVar("Response", bound=BaseModel)

_ONE_ATTEMPT = Config(retries={"mode": "standard", "total_max_attempts": 1}, connect_timeout=2)
_REQUESTS = _ONE_ATTEMPT.merge(Config(read_timeout=20))
"""Longer than the function may run. A claim whose response is lost is repeated before its lease of 30 s is over."""
_HEARTBEATS = _ONE_ATTEMPT.merge(Config(read_timeout=5))
"""A heartbeat without a response is repeated several times within the lease."""
_REFUSALS = frozenset(
    {
        "AccessDeniedException",
        "InvalidParameterValueException",
        "KMSAccessDeniedException",
        "KMSDisabledException",
        "ResourceNotFoundException",
        "UnrecognizedClientException",
    }
)
"""Errors of Invoke that another try changes nothing about, unless rights or names are mended (Lambda API: Invoke,
Common Error Types)."""


class BrokerError(Exception):
    """The broker did not respond, or failed; the text is its error."""

    def __init__(self, message: str, *, refused: bool = False) -> None:
        super().__init__(message)
        self.refused = refused
        """Whether the function was never reached for want of rights or of its existence, as of now."""


class BrokerClient:
    """Invokes the broker function, once for each call of a method: the caller decides on repetition.

    A claim shows the hash of a secret that the requests after it carry: nobody else can make them.
    """

    def __init__(self, function: str) -> None:
        """`function`: the broker's name. Heartbeats have a connection of their own."""
        self._client = boto3.client("lambda", config=_REQUESTS)
        self._heartbeat_client = boto3.client("lambda", config=_HEARTBEATS)
        self._function = function
        self._secret = secrets.token_urlsafe(32)

    def claim(self, request: ClaimRequest) -> ClaimResponse:
        """Ask for work. Raises `BrokerError`."""
        bound = request.model_copy(update={"secret_sha256": sha256_of(self._secret)})
        return self._invoke(self._client, bound, ClaimResponse)

    def send(self, request: LeaseRequest, kind: type[Response], *, fast: bool = False) -> Response:
        """Send a request under a lease; `fast`: within seconds. Raises `BrokerError`."""
        client = self._heartbeat_client if fast else self._client
        return self._invoke(client, request.model_copy(update={"secret": self._secret}), kind)

    def _invoke(self, client: "LambdaClient", request: BaseModel, kind: type[Response]) -> Response:
        try:
            response = client.invoke(FunctionName=self._function, Payload=request.model_dump_json().encode())
            payload = response["Payload"].read()
        except (BotoCoreError, ClientError) as error:
            raise BrokerError(f"{self._function} did not respond: {error}", refused=_is_refusal(error)) from error
        if "FunctionError" in response:
            raise BrokerError(f"{self._function} failed: {_error_message(payload)}")
        try:
            return kind.model_validate_json(payload)
        except ValidationError as error:
            fields = [".".join(map(str, each["loc"])) for each in error.errors(include_input=False)]
            raise BrokerError(f"{self._function} returned no {kind.__name__}: see {', '.join(fields)}") from None


def _is_refusal(error: Exception) -> bool:
    if isinstance(error, ClientError):
        return error.response["Error"]["Code"] in _REFUSALS
    return isinstance(error, NoCredentialsError | ParamValidationError)


def _error_message(payload: bytes) -> str:
    """Return Lambda's own error; the payload is never passed on whole, as it may quote a request."""
    try:
        error = json.loads(payload)
        return f"{error.get('errorType', 'error')}: {str(error.get('errorMessage', ''))[:300]}"
    except (ValueError, AttributeError):
        return "no readable error"
