"""/dispatch: hand in, list, look at, cancel."""

import asyncio
from typing import Annotated

from fastapi import APIRouter, Header, Query, Request, Response

from control_plane.admission import admit, check_secrets, fingerprint
from control_plane.auth import AuthenticatedRoute, MayCancel, MayDispatch, MayList, MayRead, Principal
from control_plane.envelope import Pagination, Success, success
from control_plane.openapi import CONFLICT, DispatchId, errors
from control_plane.routes.access import Injected, open_cursor, owned
from control_plane.schemas.dispatches import (
    CancelRequest,
    DispatchRequest,
    DispatchView,
    ListQuery,
    StatusQuery,
    StatusView,
)
from control_plane.schemas.logs import InlineLogs, shown
from control_plane.services import Services
from control_plane.services.dispatches import dispatch_in_workspace
from outpost.domain.dispatch import Dispatch, Status
from outpost.domain.ids import now
from outpost.domain.lifecycle import Cancel
from outpost.store.dispatches import Idempotency

router = APIRouter(route_class=AuthenticatedRoute, tags=["dispatch"])

POSITIONS = 100
"""Queue positions that are told; farther back the number says little."""

IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        pattern=r"^[!-~]{1,128}$",
        description="1 to 128 printable characters. For 24 hours the same key and body give the first answer again.",
    ),
]


@router.post(
    "/dispatch",
    status_code=201,
    summary="Dispatch a task",
    responses=errors(400, 409, 413, 429)
    | {409: {**CONFLICT, "description": "Idempotency-Key with another body, or the workspace is in use."}},
)
async def create(
    body: DispatchRequest,
    caller: MayDispatch,
    services: Injected,
    request: Request,
    response: Response,
    idempotency_key: IdempotencyKey = None,
) -> Success[DispatchView]:
    """Accept a task. It waits as `pending` until a worker claims it; work over the concurrency limit is queued.

    With an `Idempotency-Key` a repeated request creates nothing and answers as the first did, with the header
    `Idempotent-Replay: true`.
    """
    if body.additional_secrets:
        check_secrets(body, await asyncio.to_thread(services.tenants.secrets, caller.tenant.id))
    at = now()
    idempotency = Idempotency(idempotency_key, fingerprint(body)) if idempotency_key else None
    if body.workspace_mode == "persistent":
        created, repeated = await asyncio.to_thread(dispatch_in_workspace, services, body, caller, idempotency, at)
    else:
        row = admit(body, caller, services.policy, at)
        daily = caller.tenant.limits.daily
        created = await asyncio.to_thread(services.dispatches.create, row, body.task, daily, idempotency)
        repeated = created.id != row.id
    if repeated:
        response.headers["Idempotent-Replay"] = "true"
    return success(request, DispatchView.as_created(created))


@router.get("/dispatch", summary="List dispatches", responses=errors(400))
async def list_(
    query: Annotated[ListQuery, Query()], caller: MayList, services: Injected, request: Request
) -> Success[list[DispatchView]]:
    """List the tenant's dispatches, newest first.

    A page looks at 1,000 dispatches at most, so a page may be short and yet have more. Changes of the last seconds may
    not be shown yet: `GET /dispatch/{id}` shows a dispatch as it is.
    """
    context = (caller.tenant.id, query.model_dump_json(exclude={"limit", "cursor"}))
    cursor = open_cursor(services, "dispatches", context, query.cursor)
    page = await asyncio.to_thread(
        services.dispatches.page,
        caller.tenant.id,
        limit=query.limit,
        before=str(cursor["before"]) if cursor else None,
        since=query.since,
        until=query.until,
        matches=query.matches if query.selective else None,
        reads_texts=bool(query.tag),
    )
    after = services.signer.seal("dispatches", context, {"before": page.last_id}) if page.last_id else None
    pagination = Pagination(cursor=after, has_more=after is not None, limit=query.limit)
    return success(request, [DispatchView.of(row) for row in page.rows], pagination)


@router.get("/dispatch/{dispatch_id}", summary="Look at a dispatch", responses=errors(400, 404))
async def get(
    dispatch_id: DispatchId,
    query: Annotated[StatusQuery, Query()],
    caller: MayRead,
    services: Injected,
    request: Request,
) -> Success[StatusView]:
    """Show a dispatch as it is now, and while it waits its place in the queue and when it will probably start."""
    row = await owned(services, caller, dispatch_id)
    waiting = await asyncio.to_thread(_waiting, services, caller, row) if row.status is Status.PENDING else {}
    logs = await _inline_logs(services, row, query) if query.log_limit else None
    return success(request, StatusView.of(row, logs=logs, **waiting))


@router.delete("/dispatch/{dispatch_id}", summary="Cancel a dispatch", responses=errors(400, 404, 409))
async def cancel(
    dispatch_id: DispatchId,
    caller: MayCancel,
    services: Injected,
    request: Request,
    body: CancelRequest | None = None,
) -> Success[DispatchView]:
    """Cancel a dispatch: at once when no worker has it, else at the worker's next heartbeat (10 s).

    Asking again while it is being cancelled changes nothing; a dispatch that has ended is refused with 409.
    """
    row = await owned(services, caller, dispatch_id)
    if row.status.terminal or row.cancel_requested_at is None:
        wanted = Cancel(body.reason if body else None, now())
        row = await asyncio.to_thread(services.dispatches.change, dispatch_id, wanted)
    return success(request, DispatchView.of(row))


def _waiting(services: Services, caller: Principal, row: Dispatch) -> dict[str, object]:
    position = services.dispatches.live.position(row, POSITIONS + 1)
    if position > POSITIONS:
        return {}
    start = services.start_estimator.start(caller.tenant, row.spec.agent, position, now())
    return {"queue_position": position, "expected_start_at": start}


async def _inline_logs(services: Services, row: Dispatch, query: StatusQuery) -> InlineLogs:
    page, next_offset = await services.logs.page_at(row, query.log_offset, query.log_limit)
    return InlineLogs(lines=shown(page.lines), next_offset=next_offset, has_more=page.has_more)
