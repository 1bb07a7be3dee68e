"""/dispatch: create, list, look at and cancel dispatches; publish a result; release one that is withheld."""

from typing import Annotated

from fastapi import APIRouter, Header, Query, Response

from control_plane.auth import AuthenticatedRoute, MayCancel, MayDispatch, MayList, MayPromote, MayRead, MayRelease
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
from control_plane.schemas.results import PromotionRequest, ReleaseRequest

router = APIRouter(route_class=AuthenticatedRoute, tags=["dispatch"])
results = APIRouter(route_class=AuthenticatedRoute, tags=["dispatch"])

IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        pattern=r"^[!-~]{1,128}$",
        description="1 to 128 printable characters. For 24 hours the same key and body give the first response again.",
    ),
]
_NOT_PROMOTED = "Nothing to promote, the patch is withheld, or promoted to this branch with other options."
_NOT_RELEASED = "Nothing is withheld, or the dispatch has not ended."


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


@results.post(
    "/dispatch/{dispatch_id}/promote",
    status_code=202,
    summary="Promote a dispatch's result",
    responses=errors(400, 404, 409, 413, 429, conflict=_NOT_PROMOTED),
)
async def promote(
    dispatch_id: DispatchId,
    body: PromotionRequest,
    caller: MayPromote,
    services: Injected,
    response: Response,
) -> Success[DispatchView]:
    """Push the patch of a successful dispatch to a branch of its repository, and open a pull request if asked to.

    The response is a dispatch of kind `promote` to follow like any other; its `reason` names the commit and the pull
    request. Promoting a dispatch to the same branch again within 24 hours returns the same promotion and the
    header `Idempotent-Replay: true`, unless that one failed: then it is tried anew. Other options for the same branch
    are refused with 409, and so is a patch that is withheld for the secrets in it, until it is released. What has the
    format of a secret is named in the promotion's `findings` and at the end of the pull request's text.
    """
    accepted = await services.promotions.promote(dispatch_id, body, caller)
    if accepted.replayed:
        response.headers["Idempotent-Replay"] = "true"
    return success(DispatchView.as_created(accepted.row))


@results.post(
    "/dispatch/{dispatch_id}/release",
    summary="Release withheld results",
    responses=errors(400, 404, 409, 413, conflict=_NOT_RELEASED),
)
async def release(
    dispatch_id: DispatchId,
    body: ReleaseRequest,
    caller: MayRelease,
    services: Injected,
    response: Response,
) -> Success[DispatchView]:
    """Let results be fetched and promoted although they hold the value of a known secret. It cannot be taken back.

    The request names every known secret that was found, so that nobody releases what they have not looked at; the
    files are then as the agent made them, secrets included. Releasing again changes nothing and returns the first
    release and the header `Idempotent-Replay: true`.
    """
    released = await services.dispatches.release(dispatch_id, caller, body)
    if released.replayed:
        response.headers["Idempotent-Replay"] = "true"
    return success(DispatchView.of(released.row))
