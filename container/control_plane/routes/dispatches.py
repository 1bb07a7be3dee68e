"""/dispatch: create, list, look at and cancel dispatches."""

from typing import Annotated

from fastapi import APIRouter, Header, Query, Response

from control_plane.auth import AuthenticatedRoute, MayCancel, MayDispatch, MayList, MayRead
from control_plane.envelope import Success, success
from control_plane.openapi import DispatchId, errors
from control_plane.routes.access import Cursors, Injected
from control_plane.schemas.dispatches import (
    CancelRequest,
    DispatchRequest,
    DispatchView,
    ListQuery,
    StatusQuery,
    StatusView,
)

router = APIRouter(route_class=AuthenticatedRoute, tags=["dispatch"])

IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        pattern=r"^[!-~]{1,128}$",
        description="1 to 128 printable characters. For 24 hours the same key and body give the first response again.",
    ),
]


@router.post(
    "/dispatch",
    status_code=201,
    summary="Dispatch a task",
    responses=errors(400, 409, 413, 429, conflict="Idempotency-Key with another body, or the workspace is in use."),
)
async def create(
    body: DispatchRequest,
    caller: MayDispatch,
    services: Injected,
    response: Response,
    idempotency_key: IdempotencyKey = None,
) -> Success[DispatchView]:
    """Accept a task. It waits as `pending` until a worker claims it; work over the concurrency limit is queued.

    With an `Idempotency-Key` a repeated request creates nothing and returns the first response, with the header
    `Idempotent-Replay: true`.
    """
    accepted = await services.dispatches.create(body, caller, idempotency_key)
    if accepted.replayed:
        response.headers["Idempotent-Replay"] = "true"
    return success(DispatchView.as_created(accepted.row))


@router.get("/dispatch", summary="List dispatches", responses=errors(400))
async def list_(
    query: Annotated[ListQuery, Query()], caller: MayList, services: Injected
) -> Success[list[DispatchView]]:
    """List the tenant's dispatches, newest first.

    A page looks at 1,000 dispatches at most, so a page may be short and yet have more. Changes of the last seconds may
    not be shown yet: `GET /dispatch/{id}` shows a dispatch as it is.
    """
    context = (caller.tenant.id, query.model_dump_json(exclude={"limit", "cursor"}))
    cursors = Cursors(services.signer, "dispatches", context)
    place = cursors.open(query.cursor)
    page = await services.dispatches.page(query, caller, str(place["before"]) if place else None)
    pagination = cursors.pagination(query.limit, {"before": page.last_id} if page.last_id else None)
    return success([DispatchView.of(row) for row in page.rows], pagination)


@router.get("/dispatch/{dispatch_id}", summary="Look at a dispatch", responses=errors(400, 404))
async def get(
    dispatch_id: DispatchId, query: Annotated[StatusQuery, Query()], caller: MayRead, services: Injected
) -> Success[StatusView]:
    """Show a dispatch as it is now, and while it waits its place in the queue and when it will probably start."""
    row = await services.dispatches.find(dispatch_id, caller)
    place = await services.dispatches.queue_place(row, caller)
    page = await services.logs.page_at(row, query.log_offset, query.log_limit) if query.log_limit else None
    return success(StatusView.of(row, logs=page, **place._asdict()))


@router.delete("/dispatch/{dispatch_id}", summary="Cancel a dispatch", responses=errors(400, 404, 409))
async def cancel(
    dispatch_id: DispatchId, caller: MayCancel, services: Injected, body: CancelRequest | None = None
) -> Success[DispatchView]:
    """Cancel a dispatch: at once when no worker has it, else at the worker's next heartbeat (10 s).

    Asking again while it is being cancelled changes nothing; a dispatch that has ended is refused with 409.
    """
    row = await services.dispatches.cancel(dispatch_id, caller, body.reason if body else None)
    return success(DispatchView.of(row))
