"""/dispatch/{id}/logs: the log, page by page."""

from typing import Annotated

from fastapi import APIRouter, Query, Request

from control_plane.auth import AuthenticatedRoute, MayRead
from control_plane.envelope import Pagination, Success, success
from control_plane.openapi import DispatchId, errors
from control_plane.routes.access import Injected, open_cursor, owned
from control_plane.schemas.logs import LogLineView, LogQuery, shown
from control_plane.services.log_reader import Position

router = APIRouter(route_class=AuthenticatedRoute, tags=["dispatch"])


@router.get("/dispatch/{dispatch_id}/logs", summary="Read a dispatch's log", responses=errors(400, 404))
async def read(
    dispatch_id: DispatchId,
    query: Annotated[LogQuery, Query()],
    caller: MayRead,
    services: Injected,
    request: Request,
) -> Success[list[LogLineView]]:
    """Read the log of the current attempt, oldest line first.

    `meta.pagination.cursor` is always given, also on the last page. To follow a live dispatch, read until `hasMore` is
    false, wait a moment, and go on with the last cursor, until the dispatch has ended and `hasMore` is false. No line
    comes twice, none is left out. When a dispatch is tried again, the cursor goes on into the new attempt's log.
    """
    row = await owned(services, caller, dispatch_id)
    context = (caller.tenant.id, row.id)
    cursor = open_cursor(services, "logs", context, query.cursor)
    start = Position(int(cursor["attempt"]), int(cursor["chunk"]), int(cursor["line"])) if cursor else None
    page = await services.logs.page(row, start, query.limit)
    place = {"attempt": page.next.attempt, "chunk": page.next.chunk, "line": page.next.line}
    pagination = Pagination(
        cursor=services.signer.seal("logs", context, {**place}), has_more=page.has_more, limit=query.limit
    )
    return success(request, shown(page.lines), pagination)
