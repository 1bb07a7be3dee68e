"""The outermost layer of the service: request id, limits of size, a log line a request, a response to any error."""

import re
import time
from dataclasses import dataclass
from http import HTTPStatus

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from control_plane.addresses import apply_forwarded
from control_plane.auth import Principal
from control_plane.envelope import request_id
from control_plane.errors import ApiError, ErrorCode, error_response, invalid
from control_plane.methods import ResponseEndedError, allowed, normalized, send_options, without_body
from control_plane.services import Services
from outpost.domain.ids import new_id, now

logger = structlog.get_logger()

MAX_BODY_BYTES = 1024 * 1024
"""Any spelling of the longest task fits: 50,000 characters, each escaped as a surrogate pair, are 600,000 bytes."""
MAX_HEAD_BYTES = 64 * 1024
MAX_URL_BYTES = 16 * 1024
"""Both as the load balancer has them."""
REQUEST_ID = re.compile(r"[A-Za-z0-9._:/+=@-]{1,128}")
"""A client's own request id is taken over when it matches: it cannot break a log line or a header."""
QUIET_ROUTES = frozenset({"/health/live"})
"""The load balancer asks every few seconds; a line each would bury the rest."""


@dataclass
class _RequestLog:
    """One request and its response, as they are logged and audited."""

    scope: Scope
    method: str
    request_id: str
    started: float
    status: int | None = None

    def begin_response(self, message: Message) -> None:
        """Note the status, and add the headers that every response has."""
        self.status = message["status"]
        headers = MutableHeaders(scope=message)
        headers["X-Request-ID"] = self.request_id
        headers["X-Content-Type-Options"] = "nosniff"
        if allowance := self.scope["state"].get("allowance"):
            headers.update(allowance.headers)
        if self.scope["app"].state.services.streams.closing:
            headers["Connection"] = "close"

    def log(self) -> None:
        """Log the request, and record it in the audit log when its caller is known."""
        state, client = self.scope["state"], self.scope.get("client")
        route = getattr(self.scope.get("route"), "path", None)
        if route in QUIET_ROUTES:
            return
        caller: Principal | None = state.get("principal")
        about = {
            "request_id": self.request_id,
            "tenant": caller.tenant.id if caller else None,
            "key": caller.key.prefix if caller else None,
            "method": self.method,
            "route": route,
            "status": self.status,
        }
        logger.info("request", **about, ms=round((time.perf_counter() - self.started) * 1000, 1))
        if caller:
            services: Services = self.scope["app"].state.services
            services.audit.record(
                audit="call",
                time=now().isoformat(),
                client=client[0] if client else None,
                what=self.scope.get("path_params", {}),  # ids and names only: what is in a path is no secret
                outcome=outcome(self.status),
                **about,
            )


def outcome(status: int | None) -> str:
    """Return the outcome of a request by its status: done, refused, or failed."""
    if status is None or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return "failed"
    return "refused" if status >= HTTPStatus.BAD_REQUEST else "done"


class RequestMiddleware:
    """ASGI middleware around everything else."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        method, turns = scope["method"], scope["app"].state.turns
        send = without_body(send) if method == "HEAD" else send
        await turns.serve(lambda: self._serve(normalized(scope), receive, send, method))

    async def _serve(self, scope: Scope, receive: Receive, send: Send, method: str) -> None:
        apply_forwarded(scope, scope["app"].state.services.settings.proxies)
        offered = Headers(scope=scope).get("x-request-id", "")
        id_ = offered if REQUEST_ID.fullmatch(offered) else new_id()
        request_log = _RequestLog(scope, method, id_, started=time.perf_counter())
        scope["state"] = scope.get("state", {}) | {"method": method}

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                request_log.begin_response(message)
            await send(message)

        token = request_id.set(id_)
        with structlog.contextvars.bound_contextvars(request_id=id_):
            try:
                await self._call(scope, receive, send_with_headers)
            except ResponseEndedError:
                pass  # the response to HEAD is complete
            except ClientDisconnect:
                logger.info("client hung up", route=getattr(scope.get("route"), "path", None))
            except Exception:
                logger.exception("unexpected error", route=getattr(scope.get("route"), "path", None))
                if request_log.status is not None:
                    raise  # half a response is sent: only closing the connection shows that it is incomplete
                message = f"An unexpected error occurred. Report the request id {id_} to the operator."
                unexpected = ApiError(ErrorCode.INTERNAL_ERROR, message)
                await error_response(unexpected)(scope, receive, send_with_headers)
            finally:
                request_log.log()
                request_id.reset(token)

    async def _call(self, scope: Scope, receive: Receive, send: Send) -> None:
        if refusal := _oversize(scope):
            await error_response(refusal)(scope, receive, send)
            return
        if scope["method"] == "OPTIONS" and (methods := allowed(scope["app"], scope)):
            await send_options(methods, send)
            return
        seen = 0

        async def receive_limited() -> Message:
            nonlocal seen
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > MAX_BODY_BYTES:
                raise _too_large()
            return message

        await self._app(scope, receive_limited, send)


def _oversize(scope: Scope) -> ApiError | None:
    """Return the refusal of a request that is too large by what can be seen of it."""
    if len(scope.get("raw_path", b"")) + len(scope["query_string"]) > MAX_URL_BYTES:
        return invalid(
            ("query", f"path and query are longer than {MAX_URL_BYTES} bytes together: ask for less at once")
        )
    if sum(len(name) + len(value) for name, value in scope["headers"]) > MAX_HEAD_BYTES:
        return head_too_large()
    length = Headers(scope=scope).get("content-length", "0")
    return _too_large() if not length.isdecimal() or int(length) > MAX_BODY_BYTES else None


def head_too_large() -> ApiError:
    """Return the refusal of headers that nobody needs."""
    message = f"The request's headers are larger than {MAX_HEAD_BYTES} bytes: send fewer or shorter ones."
    return ApiError(ErrorCode.HEADERS_TOO_LARGE, message)


def _too_large() -> ApiError:
    return ApiError(
        ErrorCode.PAYLOAD_TOO_LARGE, f"The request's body is larger than {MAX_BODY_BYTES} bytes: shorten it."
    )
