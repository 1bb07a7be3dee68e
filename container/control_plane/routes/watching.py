"""/dispatch/{id}/logs and /events: the log page by page, and a dispatch as it runs, as Server-Sent Events."""

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import AbstractContextManager, aclosing
from dataclasses import asdict
from typing import Annotated

import structlog
from fastapi import APIRouter, Header, Query, Request, Response
from fastapi.sse import KEEPALIVE_COMMENT, format_sse_event
from pydantic import BaseModel
from starlette.responses import StreamingResponse
from starlette.types import Message, Receive, Scope, Send

from control_plane.auth import AuthenticatedRoute, MayRead
from control_plane.envelope import Success, success
from control_plane.errors import ApiError, invalid
from control_plane.openapi import DispatchId, errors
from control_plane.routes.access import Cursors, Injected
from control_plane.schemas.dispatches import DispatchView
from control_plane.schemas.results import LogLineView, LogQuery, shown
from control_plane.services import Services
from control_plane.services.log_reader import Position
from control_plane.services.streams import Cursor, Event
from outpost.domain.artifacts import LogLine
from outpost.domain.dispatch import Dispatch

router = APIRouter(route_class=AuthenticatedRoute, tags=["dispatch"])


@router.get("/dispatch/{dispatch_id}/logs", summary="Read a dispatch's log", responses=errors(400, 404))
async def read(
    dispatch_id: DispatchId,
    query: Annotated[LogQuery, Query()],
    caller: MayRead,
    services: Injected,
) -> Success[list[LogLineView]]:
    """Read the log of the current attempt, oldest line first.

    `meta.pagination.cursor` is always given, also on the last page. To follow a live dispatch, read until `hasMore` is
    false, wait a moment, and read on from the last cursor, until the dispatch has ended and `hasMore` is false. No line
    comes twice, none is left out. When a dispatch is tried again, the cursor continues into the new attempt's log.
    """
    row = await services.dispatches.find(dispatch_id, caller)
    cursors = Cursors(services.signer, "logs", (caller.tenant.id, row.id))
    place = cursors.open(query.cursor)
    start = Position(int(place["attempt"]), int(place["chunk"]), int(place["line"])) if place else None
    page = await services.logs.page(row, start, query.limit)
    pagination = cursors.pagination(query.limit, asdict(page.next), has_more=page.has_more)
    return success(shown(page.lines), pagination)


logger = structlog.get_logger()
SILENCE_SECONDS = 15
"""A comment breaks longer silences: load balancers cut connections that say nothing for a minute."""
STUCK_SECONDS = 30
"""A client that takes nothing for so long is let go; it resumes where it was."""
RETRY_MILLISECONDS = 2_000
_EXAMPLE_LINE = '{"timestamp":"2026-01-05T10:00:05Z","level":"info","source":"agent","message":"Ran 3 tests in 0.001s"}'
EXAMPLE = format_sse_event(event="log", data_str=_EXAMPLE_LINE, id="1.1.1.", retry=RETRY_MILLISECONDS).decode()


class EventStream(StreamingResponse):
    """Server-Sent Events, for as long as the client takes them."""

    media_type = "text/event-stream"

    def __init__(self, events: AsyncGenerator[bytes], admitted: AbstractContextManager[None]) -> None:
        """`admitted` is entered before the first byte is sent; it may raise."""
        super().__init__(events, headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        self._events = events
        self._admitted = admitted

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the events; however that ends, the watching ends with it."""

        async def send_in_time(message: Message) -> None:
            try:
                async with asyncio.timeout(STUCK_SECONDS):
                    await send(message)
            except TimeoutError as error:
                raise _StuckClientError from error

        with self._admitted:
            async with aclosing(self._events):
                try:
                    await super().__call__(scope, receive, send_in_time)
                except _StuckClientError:
                    logger.info("a watcher was let go: it took nothing", seconds=STUCK_SECONDS)
                    scope["state"]["abort"]()  # an ordinary end would wait until the client takes what there is
                    await self.listen_for_disconnect(receive)


class _StuckClientError(Exception):
    """The client takes nothing."""


LastEventId = Annotated[
    str | None,
    Header(alias="Last-Event-ID", max_length=64, description="`id` of the last event received."),
]


@router.get(
    "/dispatch/{dispatch_id}/events",
    status_code=200,
    summary="Watch a dispatch",
    response_class=Response,  # of no media type: the errors are JSON
    responses=errors(400, 404, 429)
    | {
        200: {
            "description": "`status` events with a dispatch, `log` events with a log line, both as JSON.",
            "content": {EventStream.media_type: {"schema": {"type": "string"}, "example": EXAMPLE}},
        },
        204: {"description": "The dispatch has ended and `Last-Event-ID` names its last event: nothing will follow."},
    },
)
async def watch(
    dispatch_id: DispatchId,
    caller: MayRead,
    services: Injected,
    request: Request,
    last_event_id: LastEventId = None,
) -> Response:
    """Stream a dispatch while it runs: each change of its status, and each line of its log, until it has ended.

    Begins with the current status, unless it is final, and the beginning of the current attempt's log, or behind the
    event that `Last-Event-ID` names: no event comes twice, no line is left out, whichever replica serves the next
    connection. Of states that follow each other within a second only the last may be sent. The last event is the final
    status. A comment breaks a silence of 15 seconds.
    """
    row = await services.dispatches.find(dispatch_id, caller)
    try:
        cursor = Cursor.parse(last_event_id) if last_event_id else Cursor(Position(row.attempt))
    except ValueError as error:
        raise invalid(("Last-Event-ID", str(error))) from error
    if cursor.status is not None and cursor.status.terminal:
        return Response(status_code=204)
    return EventStream(_stream(services, row, cursor, request), services.streams.admit(caller.key.sha256))


async def _stream(services: Services, row: Dispatch, cursor: Cursor, request: Request) -> AsyncGenerator[bytes]:
    spoken = time.monotonic()
    async with services.streams.open(row) as stream, aclosing(stream.events(cursor)) as events:
        async for event in events:
            if event is not None:
                yield _encode(event)
                spoken = time.monotonic()
            elif services.streams.closing or not await _still_admitted(services, request):
                return
            elif time.monotonic() - spoken >= SILENCE_SECONDS:
                yield KEEPALIVE_COMMENT
                spoken = time.monotonic()


async def _still_admitted(services: Services, request: Request) -> bool:
    """Return whether the key is still valid: its revocation ends streams, too."""
    try:
        await services.authenticator.authenticate(request.headers)
    except ApiError:
        return False
    return True


def _encode(event: Event) -> bytes:
    kind, view = _view(event.what)
    data = view.model_dump_json(by_alias=True)
    return format_sse_event(event=kind, data_str=data, id=str(event.cursor), retry=RETRY_MILLISECONDS)


def _view(what: Dispatch | LogLine) -> tuple[str, BaseModel]:
    if isinstance(what, LogLine):
        return "log", LogLineView.showing(what)
    return "status", DispatchView.of(what)
