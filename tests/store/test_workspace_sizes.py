"""The size of a tenant's workspaces: accounted for before files are written, within the quota in any order of saves."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from broker.broker import Broker
from outpost.domain.agents import Agent
from outpost.domain.dispatch import Dispatch, Lease, Spec
from outpost.domain.ids import new_id, now
from outpost.domain.lifecycle import Claim
from outpost.domain.protocol import ReserveRequest, ReserveResponse, SavedRequest
from outpost.domain.workspaces import QUOTAS, Workspace, expiry
from outpost.store.database import ConflictError
from outpost.store.workspaces import Workspaces

Store = Any
QUOTA = QUOTAS["free"].size_bytes


def holding(store: Store, workspaces: Workspaces, size_bytes: int = 0) -> Dispatch:
    """Return a dispatch that a worker runs in a workspace of its own."""
    id_, at = new_id(), now()
    row = Dispatch(
        id=new_id(),
        tenant_id="acme",
        created_by="otp_",
        spec=Spec(agent=Agent.SHELL, workspace_mode="persistent", workspace_id=id_),
        expires_at=int(at.timestamp()) + 3_600,
        created_at=at,
        queued_at=at,
    )
    made = Workspace(
        id=id_,
        tenant_id="acme",
        size_bytes=size_bytes,
        created_at=at,
        used_at=at,
        expires_at=expiry(at),
        dispatch_id=row.id,
    )
    store.dispatches.create(row, "echo hello", 10**6, workspace=[workspaces.creating(made)])
    claimed: Dispatch = store.dispatches.change(row.id, Claim("w", 0, at))
    return claimed


def asking(row: Dispatch, size_bytes: int, lease: Lease | None = None) -> ReserveRequest:
    shown = lease or row.lease
    assert shown is not None
    return ReserveRequest(dispatch_id=row.id, lease=shown, size_bytes=size_bytes)


def sizes(workspaces: Workspaces) -> list[int]:
    return sorted(workspace.size_bytes for workspace in workspaces.all("acme"))


def test_saves_at_the_same_moment_stay_within_the_quota_together(store: Store, broker: Broker) -> None:
    rows = [holding(store, broker.store.workspaces) for _ in range(8)]
    with ThreadPoolExecutor(8) as pool:
        responses = list(pool.map(lambda row: broker.handle(asking(row, QUOTA // 3)), rows))
    assert responses.count(ReserveResponse(live=True)) == 3
    assert responses.count(ReserveResponse(live=True, room=QUOTA - 3 * (QUOTA // 3))) == 5
    assert sizes(broker.store.workspaces) == [0] * 5 + [QUOTA // 3] * 3


def test_a_smaller_size_counts_once_the_files_are_written(store: Store, broker: Broker) -> None:
    row = holding(store, broker.store.workspaces, size_bytes=100)
    assert broker.handle(asking(row, 40)) == ReserveResponse(live=True)
    assert sizes(broker.store.workspaces) == [100]
    assert row.lease
    broker.handle(SavedRequest(dispatch_id=row.id, lease=row.lease, size_bytes=40))
    assert sizes(broker.store.workspaces) == [40]


def test_a_workspace_may_grow_into_what_the_others_leave(store: Store, broker: Broker) -> None:
    row = holding(store, broker.store.workspaces, size_bytes=QUOTA - 100)
    holding(store, broker.store.workspaces, size_bytes=60)
    assert broker.handle(asking(row, QUOTA - 59)) == ReserveResponse(live=True, room=QUOTA - 60)
    assert broker.handle(asking(row, QUOTA - 60)) == ReserveResponse(live=True)
    assert broker.handle(asking(row, QUOTA - 60)) == ReserveResponse(live=True)  # its response was lost
    assert sizes(broker.store.workspaces) == [60, QUOTA - 60]


def test_only_the_holder_of_the_lease_and_of_the_workspace_is_given_room(store: Store, broker: Broker) -> None:
    row = holding(store, broker.store.workspaces)
    assert broker.handle(asking(row, 1, Lease(worker_id="other", token=1))) == ReserveResponse(live=False)
    taken = row.model_copy(update={"id": new_id()})
    with pytest.raises(ConflictError):
        broker.store.workspaces.reserve(taken, 1, QUOTAS["free"])
    assert sizes(broker.store.workspaces) == [0]
