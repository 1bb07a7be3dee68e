"""The one exception of the client, and what becomes one."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydantic import BaseModel, ValidationError

if TYPE_CHECKING:
    import httpx

UNREACHABLE = "UNREACHABLE"
"""Code of an error for a request without a response."""
UNAVAILABLE = "SERVICE_UNAVAILABLE"
"""Code of an error that passes, also when it was a load balancer that said so."""
TRANSIENT = frozenset({UNREACHABLE, UNAVAILABLE, "RATE_LIMIT_EXCEEDED"})
"""Codes of errors after which the same request may succeed."""
NOT_OUTPOST = "NOT_OUTPOST"
"""Code of an error for a response that is not in the API's form: a proxy's page, another service."""


@dataclass(frozen=True)
class Detail:
    """One field that the API refused, and why."""

    field: str
    message: str


class ApiError(Exception):
    """The API refused a request, or no response of it could be parsed.

    `code` is one of the API's error codes, `UNREACHABLE` or `NOT_OUTPOST`; `request_id` finds the request in the
    service's log; `retry_after` is the number of seconds after which the service asks to try again.
    """

    def __init__(
        self,
        code: str,
        message: str,
        details: Sequence[Detail] = (),
        request_id: str | None = None,
        retry_after: int | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.details = tuple(details)
        self.request_id = request_id
        self.retry_after = retry_after


class _Error(BaseModel):
    code: str
    message: str
    details: list[Detail] | None = None


class _Refusal(BaseModel):
    error: _Error


def refused(response: "httpx.Response") -> ApiError:
    """Return the error of a response with a status of 400 and above."""
    try:
        error = _Refusal.model_validate_json(response.content).error
    except ValidationError:
        return not_understood(response)
    wait = response.headers.get("Retry-After", "")
    retry_after = int(wait) if wait.isdecimal() else None
    return ApiError(error.code, error.message, error.details or (), response.headers.get("X-Request-ID"), retry_after)


def not_understood(response: "httpx.Response") -> ApiError:
    """Return the error for a response that is not of the API's form."""
    what = f"{response.request.method} {response.url.copy_with(query=None)} returned {response.status_code}"
    request_id = response.headers.get("X-Request-ID")
    if response.status_code in (502, 503, 504):
        return ApiError(UNAVAILABLE, f"{what}: no replica of the service is ready", (), request_id)
    return ApiError(NOT_OUTPOST, f"{what} with something that is not Outpost's", (), request_id)


def unreachable(url: str, error: "httpx.HTTPError") -> ApiError:
    """Return the error for a request without a response."""
    return ApiError(UNREACHABLE, f"{url} does not respond: {str(error) or type(error).__name__}")
