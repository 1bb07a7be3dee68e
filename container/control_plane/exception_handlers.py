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


def error_response(error: ApiError) -> Response:
    """Return the response for an error."""
    body = failure(error, meta())
    return Response(body, error.status_code, dict(error.headers or {}), media_type="application/json")


def failure(error: ApiError, about: Meta) -> str:
    """Return the body of an error response, in JSON."""
    problem = Problem(code=error.code, message=error.message, details=error.details or None)
    return Failure(error=problem, meta=about).model_dump_json(by_alias=True)


def install(app: FastAPI) -> None:
    """Register a handler for each exception that a route may raise; the middleware responds to all others with 500."""
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(RequestValidationError, _malformed)
    for conflict in (IdempotencyConflictError, TransitionError, ExistsError, WorkspaceInUseError, WorkspaceTakenError):
        app.add_exception_handler(conflict, _conflict)
    app.add_exception_handler(DailyLimitError, _daily_limit)
    for contended in (ConflictError, ContentionError):
        app.add_exception_handler(contended, _contended)
    app.add_exception_handler(ClientError, _aws)
    for unreachable in (AwsConnectionError, HTTPClientError):
        app.add_exception_handler(unreachable, _aws)


async def _http(request: Request, error: Exception) -> Response:
    if isinstance(error, ApiError):
        return error_response(error)
    status = HTTPStatus(error.status_code) if isinstance(error, HTTPException) else HTTPStatus.BAD_REQUEST
    message = {
        HTTPStatus.NOT_FOUND: "There is no such route: see /docs.",
        HTTPStatus.METHOD_NOT_ALLOWED: f"{request.method} is not possible here: see the header Allow.",
        HTTPStatus.BAD_REQUEST: "The body could not be read: send JSON in UTF-8.",
    }.get(status, status.phrase)
    headers = error.headers if isinstance(error, HTTPException) else None
    if status is HTTPStatus.METHOD_NOT_ALLOWED:
        headers = {"Allow": ", ".join(allowed(request.app, request.scope))}
    return error_response(ApiError(CODES.get(status, ErrorCode.VALIDATION_ERROR), message, headers=headers))


async def _malformed(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - registered for nothing else
    return error_response(invalid(*(_detail(found) for found in error.errors())))


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


async def _conflict(_: Request, error: Exception) -> Response:
    return error_response(ApiError(ErrorCode.CONFLICT, str(error)))


async def _daily_limit(_: Request, error: Exception) -> Response:
    return error_response(daily_limit(str(error), now()))


async def _contended(_: Request, error: Exception) -> Response:
    logger.warning("contended", error=str(error))
    return error_response(unavailable("Too many writes to the same thing at this moment: try again."))


async def _aws(_: Request, error: Exception) -> Response:
    if isinstance(error, ClientError) and not throttled(error):
        raise error
    logger.warning("AWS is not available", error=type(error).__name__, exc_info=error)
    return error_response(unavailable("A service that this one needs does not answer: try again."))
