"""Dispatches of tenants: accepted, found, listed, cancelled and released; and the workspaces that they take or make."""

import asyncio
import random
from collections.abc import Sequence
from datetime import datetime
from itertools import islice
from typing import NamedTuple

from control_plane.admission import Policy, admit, check_secrets, fingerprint
from control_plane.auth import Principal
from control_plane.dispatch_reader import DispatchReader
from control_plane.errors import ApiError, ErrorCode, invalid, not_found
from control_plane.schemas.dispatches import DispatchRequest, ListQuery
from control_plane.schemas.results import ReleaseRequest
from control_plane.services.fleet import StartEstimator
from control_plane.settings import Stores
from outpost.domain.dispatch import Dispatch, Status
from outpost.domain.findings import Findings, Release
from outpost.domain.ids import is_id, new_id, now
from outpost.domain.lifecycle import Cancel, ReleaseWithheld, TransitionError
from outpost.domain.workspaces import QUOTAS, Place, Workspace, expiry, open_places, room
from outpost.store.database import ContentionError, Write
from outpost.store.dispatch_rows import Page
from outpost.store.dispatches import Idempotency, WorkspaceTakenError
from outpost.store.workspaces import Workspaces

POSITIONS = 100
"""Queue positions that are shown; farther back the number says little."""
_TRIES = 20
"""Places of new workspaces that other requests took first, before giving up."""


class Accepted(NamedTuple):
    """The row that a request made, or that an earlier request made which it repeats."""

    row: Dispatch
    replayed: bool


class QueuePlace(NamedTuple):
    """Where a pending dispatch stands in its queue; None for what is not known."""

    queue_position: int | None = None
    expected_start_at: datetime | None = None


class DispatchService:
    """Works on behalf of a caller: a dispatch of another tenant does not exist for it."""

    def __init__(self, policy: Policy, stores: Stores) -> None:
        self.reader = DispatchReader(stores.database)
        self.start_estimator = StartEstimator(stores)
        self._policy = policy
        self._stores = stores

    async def create(self, request: DispatchRequest, caller: Principal, key: str | None) -> Accepted:
        """Accept a task; `key` is the client's Idempotency-Key. Raises `ApiError`, and what the store raises."""
        return await asyncio.to_thread(self._create, request, caller, key)

    async def find(self, dispatch_id: str, caller: Principal) -> Dispatch:
        """Read a dispatch. Raises the same 404 for another tenant's and for one that does not exist."""
        row = await self.reader.get(dispatch_id) if is_id(dispatch_id) else None
        if row is None or row.tenant_id != caller.tenant.id:
            raise not_found("dispatch")
        return row

    async def page(self, query: ListQuery, caller: Principal, before: str | None) -> Page:
        """Return some of the tenant's dispatches that match, newest first, from those older than `before` on."""
        return await asyncio.to_thread(
            self._stores.dispatches.page,
            caller.tenant.id,
            limit=query.limit,
            before=before,
            since=query.since,
            until=query.until,
            matches=query.matches if query.selective else None,
            reads_details=bool(query.tag),
        )

    async def queue_place(self, row: Dispatch, caller: Principal) -> QueuePlace:
        """Return where a dispatch stands in its queue and when it will probably start, if it is pending."""
        if row.status is not Status.PENDING:
            return QueuePlace()
        return await asyncio.to_thread(self._queue_place, row, caller)

    async def cancel(self, dispatch_id: str, caller: Principal, reason: str | None) -> Dispatch:
        """Cancel a dispatch, once. Raises `TransitionError` when it has ended."""
        row = await self.find(dispatch_id, caller)
        if row.cancel_requested_at is not None and not row.status.terminal:
            return row
        return await asyncio.to_thread(self._stores.dispatches.change, dispatch_id, Cancel(reason, now()))

    async def release(self, dispatch_id: str, caller: Principal, request: ReleaseRequest) -> Accepted:
        """Let withheld results be fetched and promoted. Raises `ApiError`: 400 unless it names what was found, 409."""
        row = await self.find(dispatch_id, caller)
        findings = _withheld(row)
        if set(request.secrets) != set(findings.secrets):
            raise invalid(("secrets", f"must name what was found, which is {', '.join(sorted(findings.secrets))}"))
        release = Release(by=caller.key.prefix, at=now(), reason=request.reason)
        if row.released is None:
            row = await asyncio.to_thread(self._release, row, release)
        return Accepted(row, replayed=row.released != release)

    def _create(self, request: DispatchRequest, caller: Principal, key: str | None) -> Accepted:
        if request.additional_secrets:
            check_secrets(request, self._stores.tenants.secrets(caller.tenant.id))
        at = now()
        idempotency = Idempotency(key, fingerprint(request)) if key else None
        if request.workspace_mode == "persistent":
            return self._create_in_workspace(request, caller, idempotency, at)
        return self._write(admit(request, caller, self._policy, at), request.task, caller, idempotency)

    def _write(
        self, row: Dispatch, task: str, caller: Principal, key: Idempotency | None, workspace: Sequence[Write] = ()
    ) -> Accepted:
        created = self._stores.dispatches.create(row, task, caller.tenant.limits.daily, key, workspace)
        return Accepted(created, replayed=created.id != row.id)

    def _create_in_workspace(
        self, request: DispatchRequest, caller: Principal, idempotency: Idempotency | None, at: datetime
    ) -> Accepted:
        """Accept a dispatch that takes or makes its workspace in the same transaction."""
        # A repetition comes first: the request that it repeats holds the workspace.
        if idempotency and (earlier := self._stores.dispatches.replay(caller.tenant.id, idempotency, at)):
            return Accepted(earlier, replayed=True)
        workspaces = self._stores.workspaces
        if request.workspace_id:
            workspace = workspaces.get(caller.tenant.id, request.workspace_id)
            row = admit(_continuing(request, workspace), caller, self._policy, at)
            return self._write(row, request.task, caller, idempotency, [workspaces.taking(row)])
        row = admit(request.model_copy(update={"workspace_id": new_id()}), caller, self._policy, at)
        for _ in range(_TRIES):
            try:
                writes = workspaces.placing(_new_workspace(row), self._free_place(caller))
                return self._write(row, request.task, caller, idempotency, writes)
            except WorkspaceTakenError:
                continue
        raise ContentionError(f"tenant {row.tenant_id}: too many workspaces are being made at this moment")

    def _free_place(self, caller: Principal) -> Place:
        """Return any free place of the tenant's quota: concurrent requests seldom choose the same one."""
        tier, tenant_id = caller.tenant.tier, caller.tenant.id
        quota, kept = QUOTAS[tier], list(self._stores.workspaces.all(tenant_id))
        free = open_places(kept, self._stores.workspaces.places(tenant_id), quota)
        if free and room(kept, quota, "") > 0:
            return random.choice(free)  # noqa: S311 - spreads, hides nothing
        allowed = f"The {tier} tier keeps {quota.workspaces} workspaces of {quota.size_bytes >> 30} GiB together"
        raise ApiError(
            ErrorCode.CONFLICT, f"{allowed}: delete one (DELETE /workspaces/{{id}}), or continue in one you have."
        )

    def _queue_place(self, row: Dispatch, caller: Principal) -> QueuePlace:
        position = self._stores.dispatches.live.position(row, POSITIONS + 1)
        if position > POSITIONS:
            return QueuePlace()
        return QueuePlace(position, self.start_estimator.start(caller.tenant, row.spec.agent, position, now()))

    def _release(self, row: Dispatch, release: Release) -> Dispatch:
        try:
            return self._stores.dispatches.change(row.id, ReleaseWithheld(release))
        except TransitionError:  # another request was faster
            found = self._stores.dispatches.get(row.id)
            if found is None or found.released is None:
                raise
            return found


class WorkspaceService:
    """Works on behalf of a caller: a workspace of another tenant does not exist for it."""

    def __init__(self, workspaces: Workspaces) -> None:
        self._workspaces = workspaces

    async def page(self, caller: Principal, limit: int, before: str | None) -> list[Workspace]:
        """Return up to `limit` workspaces, newest first, from those older than `before` on."""
        return await asyncio.to_thread(lambda: list(islice(self._workspaces.all(caller.tenant.id, before), limit)))

    async def find(self, workspace_id: str, caller: Principal) -> Workspace:
        """Read a workspace. Raises the same 404 for another tenant's and for one that does not exist."""
        if is_id(workspace_id):
            found = await asyncio.to_thread(self._workspaces.get, caller.tenant.id, workspace_id)
            if found is not None:
                return found
        raise not_found("workspace")

    async def delete(self, workspace_id: str, caller: Principal) -> Workspace:
        """Delete a workspace and return it. Raises `WorkspaceInUseError`, and what `find` raises."""
        workspace = await self.find(workspace_id, caller)
        await asyncio.to_thread(self._workspaces.delete, workspace)
        return workspace


def _continuing(request: DispatchRequest, workspace: Workspace | None) -> DispatchRequest:
    """Return the request with the workspace's repository and branch, which it may repeat and not change."""
    if workspace is None:
        why = f"{request.workspace_id!r} names no workspace of yours: list them, or leave it out to make a new one"
        raise invalid(("workspaceId", why))
    made_from = {"repo": workspace.repo, "branch": workspace.branch}
    refusals = [
        (field, f"is not what the workspace was made from ({made!r}): leave it out, or make a new workspace")
        for field, made in made_from.items()
        if getattr(request, field) not in (None, made)
    ]
    if refusals:
        raise invalid(*refusals)
    return request.model_copy(update=made_from)


def _new_workspace(row: Dispatch) -> Workspace:
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


def _withheld(row: Dispatch) -> Findings:
    """Return what was found in withheld results. Raises a 409 where there are none yet, or none at all."""
    if not row.status.terminal:
        raise ApiError(ErrorCode.CONFLICT, f"Dispatch {row.id} is {row.status}: release its results when it has ended.")
    if row.findings is None or not row.findings.withheld:
        raise ApiError(ErrorCode.CONFLICT, f"Dispatch {row.id} withholds nothing: there is nothing to release.")
    return row.findings
