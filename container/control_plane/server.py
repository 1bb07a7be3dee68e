"""uvicorn as this service runs it: what comes before a body is bounded, and a stop loses no request."""

import asyncio
import socket
from http import HTTPStatus
from types import FrameType

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from control_plane.envelope import Meta
from control_plane.errors import ApiError, ErrorCode, failure
from control_plane.middleware import MAX_HEAD_BYTES, head_too_large
from control_plane.services.streams import StreamRegistry
from outpost.domain.ids import new_id, now

DRAIN_SECONDS = 20
"""How long requests may still run after the last one has come."""
KEEP_ALIVE_SECONDS = 75
"""Longer than the load balancer's 60 s, so that it is always the balancer who closes an idle connection."""
QUIET_SECONDS = 1.0
"""Without a new request for so long, the load balancer has heard that this replica leaves."""
QUIET_ROUNDS = 5
HEAD_SECONDS = 10.0
"""How long a request's head may take, from its first byte on."""
BODY_SECONDS = 60.0
"""How long a request's body may take, after its head."""
CLOSE_SECONDS = 2
"""How long a client that was refused may take to read the response, whatever it still sends."""


class Protocol(HttpToolsProtocol):
    """HTTP/1.1 with error responses in the API's form, from the first byte on.

    Requests that could be read are checked by the middleware.
    """

    _pending = 0
    """Bytes of a head that is not complete yet."""
    _reading_head = False
    _refused = False
    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take a connection, for as long as one may be idle."""
        super().connection_made(transport)
        self._expect_within(KEEP_ALIVE_SECONDS)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the deadline with the connection."""
        self._expect_within(None)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take what the client sends; a head without an end is not kept in memory."""
        if self._refused:
            return
        super().data_received(data)
        self._pending = self._pending + len(data) if self._reading_head else 0
        if self._pending > MAX_HEAD_BYTES and not self._refused:
            self._refuse(head_too_large())

    def on_message_begin(self) -> None:
        """Note that a head begins."""
        self._reading_head = True
        self._expect_within(HEAD_SECONDS)
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Note that a head ends, and let the application break the connection off."""
        self._reading_head = False
        self._expect_within(BODY_SECONDS)
        self.scope["state"]["abort"] = self.transport.abort
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """Note that a request is complete."""
        self._expect_within(None)
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """Refuse what is not HTTP, or an address that no parser takes."""
        head = len(getattr(self, "url", b""))
        error = ApiError(ErrorCode.VALIDATION_ERROR, f"{msg} Send HTTP/1.1 as RFC 9112 has it.")
        self._refuse(head_too_large() if head > MAX_HEAD_BYTES else error)

    def _expect_within(self, seconds: float | None) -> None:
        """Give the client so long for the next part of its request."""
        if self._deadline is not None:
            self._deadline.cancel()
        self._deadline = None if seconds is None else self.loop.call_later(seconds, self._too_slow)

    def _too_slow(self) -> None:
        if self.cycle is not None and not self.cycle.response_complete and self.cycle.response_started:
            self.transport.abort()
        elif not self._refused and not self.transport.is_closing():
            message = f"The request was not complete after {HEAD_SECONDS:.0f} s (head) or {BODY_SECONDS:.0f} s (body)."
            self._refuse(ApiError(ErrorCode.REQUEST_TIMEOUT, f"{message} Send it faster, or in smaller requests."))

    def _refuse(self, error: ApiError) -> None:
        self._refused = True
        self._expect_within(None)
        id_ = new_id()
        body = failure(error, Meta(request_id=id_, timestamp=now())).encode()
        head = (
            f"HTTP/1.1 {error.status_code} {HTTPStatus(error.status_code).phrase}\r\nX-Request-ID: {id_}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        )
        self.transport.write(head.encode() + body)
        self.loop.call_later(CLOSE_SECONDS, self.transport.close)


class Server(uvicorn.Server):
    """A server that leaves in order: streams end, kept-alive connections are given up by the client, then it stops."""

    def __init__(self, config: uvicorn.Config, streams: StreamRegistry) -> None:
        super().__init__(config)
        self._streams = streams

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to stop: from here on every response asks the client to close its connection."""
        self._streams.closing = True
        super().handle_exit(sig, frame)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve the clients that have not heard yet, then stop."""
        for _ in range(QUIET_ROUNDS):
            before = self.server_state.total_requests
            await asyncio.sleep(QUIET_SECONDS)
            if self.server_state.total_requests == before and not self.server_state.tasks:
                break
        await super().shutdown(sockets)


def configure(app: object, host: str, port: int) -> uvicorn.Config:
    """Return uvicorn's settings for serving the application."""
    return uvicorn.Config(
        app,  # type: ignore[arg-type]
        host=host,
        port=port,
        loop="uvloop",
        http=Protocol,
        ws="none",
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=False,  # it would take the first address, which the client chooses; see `forwarded`
        reset_contextvars=True,  # a pipelined request begins in the task of the one before it, and is no part of that
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=DRAIN_SECONDS,
    )
