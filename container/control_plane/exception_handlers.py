"""Exception handlers: each exception becomes a response in the API's form."""

from http import HTTPStatus

import structlog
from botocore.exceptions import ClientError, HTTPClientError
from botocore.exceptions import ConnectionError as AwsConnectionError
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from control_plane.envelope import Failure, Meta, Problem, meta
from control_plane.errors import CODES, ApiError, ErrorCode, daily_limit, invalid, throttled, unavailable
from control_plane.methods import allowed
from outpost.domain.ids import now
from outpost.domain.lifecycle import TransitionError
from outpost.domain.validation import explain
from outpost.store.database import ConflictError, ContentionError
from outpost.store.dispatches import DailyLimitError, IdempotencyConflictError, WorkspaceTakenError
from outpost.store.tenants import ExistsError
from outpost.store.workspaces import WorkspaceInUseError

logger = structlog.get_logger()

SECRETS = frozenset({"value"})
"""Fields of bodies whose values no response shows."""

_CONFLICTS = (IdempotencyConflictError, TransitionError, ExistsError, WorkspaceInUseError, WorkspaceTakenError)
_CONTENDED = (ConflictError, ContentionError)
_AWS = (ClientError, AwsConnectionError, HTTPClientError)


def error_response(error: ApiError) -> Response:
    """Return the response for an error."""
    body = failure(error, meta())
    return Response(body, error.status_code, dict(error.headers or {}), media_type="application/json")


def failure(error: ApiError, about: Meta) -> str:
    """Return the body of an error response, in JSON."""
    problem = Problem(code=error.code, message=error.message, details=error.details or None)
    return Failure(error=problem, meta=about).model_dump_json(by_alias=True)


def install(app: FastAPI) -> None:
    """Register the handler of what a route may raise; the middleware responds to all other exceptions with 500."""
    for kind in (*_CONFLICTS, *_CONTENDED, *_AWS, HTTPException, RequestValidationError, DailyLimitError):
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
            return daily_limit(str(error), now())
        case ConflictError() | ContentionError():
            logger.warning("contended", error=str(error))
            return unavailable("Too many writes to the same thing at this moment: try again.")
        case ClientError() if not throttled(error):
            raise error
        case ClientError() | AwsConnectionError() | HTTPClientError():
            logger.warning("AWS is not available", error=type(error).__name__, exc_info=error)
            return unavailable("A service that this one needs does not respond: try again.")
        case _:
            return ApiError(ErrorCode.CONFLICT, str(error))


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
    return field, explain(found, secret=field in SECRETS)
