"""What the API refuses, and how: every error has a code, a message that names the remedy, and details by field.

What a route may raise becomes such an error in the exception handlers.
"""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from enum import StrEnum
from http import HTTPStatus
from typing import Self

import structlog
from botocore.exceptions import ClientError, HTTPClientError
from botocore.exceptions import ConnectionError as AwsConnectionError
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from control_plane.envelope import Detail, Failure, Meta, Problem, meta
from control_plane.methods import allowed
from outpost.aws.fast_client import is_retryable
from outpost.domain.ids import now
from outpost.domain.lifecycle import TransitionError
from outpost.domain.validation import explain
from outpost.store.database import ConflictError, ContentionError
from outpost.store.dispatches import DailyLimitError, IdempotencyConflictError, WorkspaceTakenError
from outpost.store.tenants import ExistsError
from outpost.store.workspaces import WorkspaceInUseError

logger = structlog.get_logger()


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


SECRET_FIELDS = frozenset({"value"})
"""Fields of bodies whose values no response shows."""

_CONFLICTS = (IdempotencyConflictError, TransitionError, ExistsError, WorkspaceInUseError, WorkspaceTakenError)
_UNAVAILABLE = (ConflictError, ContentionError, ClientError, AwsConnectionError, HTTPClientError)


def error_response(error: ApiError) -> Response:
    """Return the response for an error."""
    body = failure(error, meta())
    return Response(body, error.status_code, dict(error.headers or {}), media_type="application/json")


def failure(error: ApiError, about: Meta) -> str:
    """Return the body of an error response, in JSON."""
    problem = Problem(code=error.code, message=error.message, details=error.details or None)
    return Failure(error=problem, meta=about).model_dump_json(by_alias=True)


def handle_exceptions(app: FastAPI) -> None:
    """Register the handler of what a route may raise; the middleware responds to all other exceptions with 500."""
    for kind in (*_CONFLICTS, *_UNAVAILABLE, HTTPException, RequestValidationError, DailyLimitError):
        app.add_exception_handler(kind, _handle)


async def _handle(request: Request, error: Exception) -> Response:
    return error_response(_api_error(request, error))


def _api_error(request: Request, error: Exception) -> ApiError:
    match error:
        case HTTPException():
            return _http_error(request, error)
        case RequestValidationError():
            return invalid(*(_detail(found) for found in error.errors()))
        case DailyLimitError():
            return _daily_limit(str(error))
        case ConflictError() | ContentionError():
            logger.warning("contended", error=str(error))
            return unavailable("Too many writes to the same thing at this moment: try again.")
        case ClientError() if not is_retryable(error):
            raise error
        case ClientError() | AwsConnectionError() | HTTPClientError():
            logger.warning("AWS is not available", error=type(error).__name__, exc_info=error)
            return unavailable("A service that this one needs does not respond: try again.")
        case _:
            return ApiError(ErrorCode.CONFLICT, str(error))


def _daily_limit(message: str) -> ApiError:
    """Return the refusal of a dispatch over the tenant's day, which ends at midnight UTC."""
    at = now()
    midnight = (at + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
    wait = max(1, int((midnight - at).total_seconds()))
    return too_many(f"{message}: dispatch again after midnight UTC, or ask the operator for a larger tier", wait)


def _http_error(request: Request, error: HTTPException) -> ApiError:
    """Return the error for what Starlette and FastAPI refuse; ours are such errors already."""
    if isinstance(error, ApiError):
        return error
    status, headers = HTTPStatus(error.status_code), error.headers
    message = {
        HTTPStatus.NOT_FOUND: "There is no such route: see /docs.",
        HTTPStatus.METHOD_NOT_ALLOWED: f"{request.method} is not possible here: see the header Allow.",
        HTTPStatus.BAD_REQUEST: "The body could not be read: send JSON in UTF-8.",
    }.get(status, status.phrase)
    if status is HTTPStatus.METHOD_NOT_ALLOWED:
        headers = {"Allow": ", ".join(allowed(request.app, request.scope))}
    return ApiError(CODES.get(status, ErrorCode.VALIDATION_ERROR), message, headers=headers)


def _detail(found: dict[str, object]) -> tuple[str, str]:
    place = found["loc"]
    where, *path = place if isinstance(place, tuple) else (place,)
    if found["type"] == "json_invalid":
        return "body", f"is not JSON (from character {path[0]} on)"
    if found["type"] == "model_attributes_type":
        return "body", "is not a JSON object: send one, with the header Content-Type: application/json"
    if found["type"] == "extra_forbidden":
        return ".".join(map(str, path)), "is not known here: remove it, or see /docs for the right name"
    field = ".".join(map(str, path)) or str(where)
    return field, explain(found, secret=field in SECRET_FIELDS)
