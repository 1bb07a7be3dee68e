"""A dispatch in a persistent workspace: it takes or makes the workspace in the transaction that accepts it."""

import random
from datetime import datetime

from control_plane.admission import admit
from control_plane.auth import Principal
from control_plane.errors import ApiError, ErrorCode, invalid
from control_plane.schemas.dispatches import DispatchRequest
from control_plane.services import Services
from outpost.domain.dispatch import Dispatch
from outpost.domain.ids import new_id
from outpost.domain.workspaces import QUOTAS, Place, Workspace, expiry, open_places, room
from outpost.store.database import ContentionError
from outpost.store.dispatches import Idempotency, WorkspaceTakenError

_TRIES = 20
"""Places that others were quicker to take, before giving up."""


def dispatch_in_workspace(
    services: Services, body: DispatchRequest, caller: Principal, idempotency: Idempotency | None, at: datetime
) -> tuple[Dispatch, bool]:
    """Accept a dispatch that continues in a workspace, or makes one; return whether this repeats an earlier request.

    Raises `ApiError`, and what the store raises.
    """
    # A repetition comes first: its own first time holds the workspace.
    if idempotency and (earlier := services.dispatches.replay(caller.tenant.id, idempotency, at)):
        return earlier, True
    daily = caller.tenant.limits.daily
    if body.workspace_id:
        row = admit(_continuing(body, _known(services, body, caller)), caller, services.policy, at)
        write = services.workspaces.taking(row)
        created = services.dispatches.create(row, body.task, daily, idempotency, [write])
        return created, created.id != row.id
    row = admit(body.model_copy(update={"workspace_id": new_id()}), caller, services.policy, at)
    for _ in range(_TRIES):
        writes = services.workspaces.placing(_new(row), _free_place(services, caller))
        try:
            created = services.dispatches.create(row, body.task, daily, idempotency, writes)
        except WorkspaceTakenError:
            continue
        return created, created.id != row.id
    raise ContentionError(f"tenant {row.tenant_id}: too many workspaces are being made at this moment")


def _known(services: Services, body: DispatchRequest, caller: Principal) -> Workspace:
    workspace = services.workspaces.get(caller.tenant.id, body.workspace_id or "")
    if workspace is None:
        raise invalid(
            (
                "workspaceId",
                f"{body.workspace_id!r} names no workspace of yours: list them, or leave it out to make a new one",
            )
        )
    return workspace


def _continuing(body: DispatchRequest, workspace: Workspace) -> DispatchRequest:
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


def _free_place(services: Services, caller: Principal) -> Place:
    """Return any free place of the tenant's quota: creations at the same moment seldom want the same one."""
    tier, tenant_id = caller.tenant.tier, caller.tenant.id
    quota, kept = QUOTAS[tier], list(services.workspaces.all(tenant_id))
    free = open_places(kept, services.workspaces.places(tenant_id), quota)
    if free and room(kept, quota, "") > 0:
        return random.choice(free)  # noqa: S311 - spreads, hides nothing
    allowed = f"The {tier} tier keeps {quota.workspaces} workspaces of {quota.size_bytes >> 30} GiB together"
    raise ApiError(
        ErrorCode.CONFLICT, f"{allowed}: delete one (DELETE /workspaces/{{id}}), or continue in one you have."
    )


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
        secrets=frozenset(row.spec.additional_secrets),
    )
