"""A dispatch in a persistent workspace: it takes the workspace in the transaction that accepts it."""

from datetime import datetime

from control_plane.admission import admit
from control_plane.auth import Principal
from control_plane.errors import ApiError, ErrorCode, invalid
from control_plane.schemas.dispatches import DispatchRequest
from control_plane.services import Services
from outpost.domain.dispatch import Dispatch
from outpost.domain.ids import new_id
from outpost.domain.workspaces import QUOTAS, Workspace, expiry, room
from outpost.store.dispatches import Idempotency


def dispatch_persistent(
    services: Services, body: DispatchRequest, caller: Principal, idempotency: Idempotency | None, at: datetime
) -> tuple[Dispatch, bool]:
    """Accept a dispatch that goes on in a workspace, or makes one; say whether this repeats an earlier request.

    Raises `ApiError`, and what the store raises.
    """
    # A repetition comes first: its own first time holds the workspace.
    if idempotency and (earlier := services.dispatches.replay(caller.tenant.id, idempotency, at)):
        return earlier, True
    known = _known(services, body, caller) if body.workspace_id else None
    if known:
        row = admit(_going_on(body, known), caller, services.policy, at)
        write = services.workspaces.taking(row)
    else:
        row = admit(body.model_copy(update={"workspace_id": new_id()}), caller, services.policy, at)
        _check_quota(list(services.workspaces.all(caller.tenant.id)), caller)
        write = services.workspaces.creating(_new(row))
    created = services.dispatches.create(row, body.task, caller.tenant.limits.daily, idempotency, write)
    return created, created.id != row.id


def _known(services: Services, body: DispatchRequest, caller: Principal) -> Workspace:
    workspace = services.workspaces.get(caller.tenant.id, body.workspace_id or "")
    if workspace is None:
        raise invalid(("workspaceId", "names no workspace of yours: list them, or leave it out to make a new one"))
    return workspace


def _going_on(body: DispatchRequest, workspace: Workspace) -> DispatchRequest:
    """Return the request with the workspace's repository and branch, which it may repeat and not change."""
    made_from = {"repo": workspace.repo, "branch": workspace.branch}
    refusals = [
        (field, f"is not what the workspace was made from ({made!r}): leave it out, or make a new workspace")
        for field, made in made_from.items()
        if getattr(body, field) not in (None, made)
    ]
    if refusals:
        raise invalid(*refusals)
    return body.model_copy(update=made_from)


def _check_quota(kept: list[Workspace], caller: Principal) -> None:
    tier = caller.tenant.tier
    quota = QUOTAS[tier]
    if len(kept) < quota.workspaces and room(kept, quota, "") > 0:
        return
    told = f"The {tier} tier keeps {quota.workspaces} workspaces of {quota.size_bytes >> 30} GiB together"
    raise ApiError(ErrorCode.CONFLICT, f"{told}: delete one (DELETE /workspaces/{{id}}), or go on in one you have.")


def _new(row: Dispatch) -> Workspace:
    return Workspace(
        id=row.spec.workspace_id or "",
        tenant_id=row.tenant_id,
        repo=row.spec.repo,
        branch=row.spec.branch,
        created_at=row.created_at,
        used_at=row.created_at,
        expires_at=expiry(row.created_at),
        dispatch_id=row.id,
    )
