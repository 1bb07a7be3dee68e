"""The broker, as a worker sees it: one Lambda function, invoked synchronously."""

import json
import time
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError
from pydantic import BaseModel

from outpost.domain.protocol import (
    ClaimAnswer,
    ClaimRequest,
    EndedRequest,
    ForgeTokenAnswer,
    ForgeTokenRequest,
    GrantAnswer,
    GrantRequest,
    LeaseAnswer,
    RenewRequest,
    ReportRequest,
    SavedRequest,
    StartedRequest,
)

if TYPE_CHECKING:
    from types_boto3_lambda import LambdaClient

LeaseRequest = StartedRequest | RenewRequest | EndedRequest | SavedRequest | ReportRequest

_ATTEMPTS = 4
_FIRST_PAUSE = 0.5


class BrokerError(Exception):
    """The broker did not answer, or failed; the text is its error."""


class Broker:
    """Asks the broker function. Throttles and 5xx are retried by the client, failures of the function here."""

    def __init__(self, client: "LambdaClient", function: str) -> None:
        self._client = client
        self._function = function

    def claim(self, request: ClaimRequest) -> ClaimAnswer:
        """Ask for work. Raises `BrokerError`."""
        return ClaimAnswer.model_validate_json(self._ask(request))

    def show_lease(self, request: LeaseRequest) -> LeaseAnswer:
        """Tell what happened under a lease. Raises `BrokerError`."""
        return LeaseAnswer.model_validate_json(self._ask(request))

    def forge_token(self, request: ForgeTokenRequest) -> ForgeTokenAnswer:
        """Ask for a token of the forge. Raises `BrokerError`."""
        return ForgeTokenAnswer.model_validate_json(self._ask(request))

    def grant(self, request: GrantRequest) -> GrantAnswer:
        """Request money for model calls. Raises `BrokerError`."""
        return GrantAnswer.model_validate_json(self._ask(request))

    def _ask(self, request: BaseModel) -> bytes:
        pause = _FIRST_PAUSE
        for _ in range(_ATTEMPTS - 1):
            try:
                return self._invoke(request)
            except BrokerError:
                time.sleep(pause)
                pause *= 2
        return self._invoke(request)

    def _invoke(self, request: BaseModel) -> bytes:
        try:
            answer = self._client.invoke(FunctionName=self._function, Payload=request.model_dump_json().encode())
            payload = answer["Payload"].read()
        except (BotoCoreError, ClientError) as error:
            raise BrokerError(f"{self._function} did not answer: {error}") from error
        if "FunctionError" in answer:
            raise BrokerError(f"{self._function} failed: {_error_message(payload)}")
        return payload


def _error_message(payload: bytes) -> str:
    """Return Lambda's own words; the payload is never passed on whole, as it may quote a request."""
    try:
        error = json.loads(payload)
        return f"{error.get('errorType', 'error')}: {str(error.get('errorMessage', ''))[:300]}"
    except (ValueError, AttributeError):
        return "no readable error"
