"""What the API refuses, and how: every error has a code, a message that names the remedy, and details by field."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from http import HTTPStatus
from typing import Self

from botocore.exceptions import ClientError
from starlette.exceptions import HTTPException

from control_plane.envelope import Detail


class ErrorCode(StrEnum):
    """The kinds of refusal that a program can tell apart, each with its HTTP status."""

    VALIDATION_ERROR = "VALIDATION_ERROR", HTTPStatus.BAD_REQUEST
    AUTHENTICATION_ERROR = "AUTHENTICATION_ERROR", HTTPStatus.UNAUTHORIZED
    AUTHORIZATION_ERROR = "AUTHORIZATION_ERROR", HTTPStatus.FORBIDDEN
    NOT_FOUND = "NOT_FOUND", HTTPStatus.NOT_FOUND
    METHOD_NOT_ALLOWED = "METHOD_NOT_ALLOWED", HTTPStatus.METHOD_NOT_ALLOWED
    REQUEST_TIMEOUT = "REQUEST_TIMEOUT", HTTPStatus.REQUEST_TIMEOUT
    CONFLICT = "CONFLICT", HTTPStatus.CONFLICT
    PAYLOAD_TOO_LARGE = "PAYLOAD_TOO_LARGE", HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    HEADERS_TOO_LARGE = "HEADERS_TOO_LARGE", HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
    RATE_LIMIT_EXCEEDED = "RATE_LIMIT_EXCEEDED", HTTPStatus.TOO_MANY_REQUESTS
    INTERNAL_ERROR = "INTERNAL_ERROR", HTTPStatus.INTERNAL_SERVER_ERROR
    SERVICE_UNAVAILABLE = "SERVICE_UNAVAILABLE", HTTPStatus.SERVICE_UNAVAILABLE

    status: HTTPStatus

    def __new__(cls, code: str, status: HTTPStatus) -> Self:
        """Return a member whose value is its code."""
        member = str.__new__(cls, code)
        member._value_, member.status = code, status
        return member


CODES = {code.status: code for code in ErrorCode}

RETRY_SECONDS = 2
"""When to come back after a 503: AWS throttles in windows of a second."""

_THROTTLED = frozenset(
    {
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "RequestThrottled",
        "ServiceUnavailable",
        "SlowDown",
        "ThrottlingException",
        "TooManyRequestsException",
    },
)


class ApiError(HTTPException):
    """A refusal in the API's form, whichever way it is served."""

    def __init__(
        self,
        code: ErrorCode,
        message: str,
        details: Sequence[Detail] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(int(code.status), message, headers)
        self.code = code
        self.message = message
        self.details = list(details)


def invalid(*details: tuple[str, str]) -> ApiError:
    """Return the refusal of a request's fields, each with what is wrong and the remedy."""
    first = details[0]
    return ApiError(
        ErrorCode.VALIDATION_ERROR,
        f"{first[0]}: {first[1]}" if len(details) == 1 else f"{len(details)} fields were refused",
        [Detail(field=field, message=message) for field, message in details],
    )


def not_found(what: str) -> ApiError:
    """Return the same 404 for what does not exist and for what belongs to another tenant."""
    return ApiError(ErrorCode.NOT_FOUND, f"There is no {what} of this id.")


def unavailable(message: str) -> ApiError:
    """Return the refusal of a request that may succeed in a moment."""
    return ApiError(ErrorCode.SERVICE_UNAVAILABLE, message, headers={"Retry-After": str(RETRY_SECONDS)})


def too_many(message: str, seconds: int) -> ApiError:
    """Return the refusal of what is too much at once; `seconds` is when to come back."""
    return ApiError(ErrorCode.RATE_LIMIT_EXCEEDED, message, headers={"Retry-After": str(seconds)})


def daily_limit(message: str, at: datetime) -> ApiError:
    """Return the refusal of a dispatch over the tenant's day, which ends at midnight UTC."""
    midnight = (at + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
    wait = max(1, int((midnight - at).total_seconds()))
    return too_many(f"{message}: dispatch again after midnight UTC, or ask the operator for a larger tier", wait)


def throttled(error: ClientError) -> bool:
    """Return whether AWS may accept the same call in a moment."""
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    return status >= HTTPStatus.INTERNAL_SERVER_ERROR or error.response["Error"]["Code"] in _THROTTLED
