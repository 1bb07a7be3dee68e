"""A dispatch is claimed by one worker, a worker claims once, and a tenant never holds more slots than it has."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from outpost.domain.agents import Agent
from outpost.domain.dispatch import Dispatch, Lease, Status
from outpost.domain.ids import now
from outpost.domain.lifecycle import Finish, Lose, Report, Start
from outpost.domain.reasons import Reason, ReasonCode
from outpost.domain.workers import Worker, WorkerState
from outpost.store.database import ConflictError

Store = Any
LOST = Reason.of(ReasonCode.WORKER_LOST, "gone")
DONE = Reason.of(ReasonCode.COMPLETED, "ok")


def claim(store: Store, worker: Worker | None = None, tenant_id: str = "acme", limit: int = 3) -> Dispatch | None:
    worker = worker or store.worker()
    queued = store.dispatches.live.queued("shell", tenant_id, limit=8)
    result: Dispatch | None = store.claimer.claim(worker, queued, store.slots.of(tenant_id).free(limit), now())
    return result


def test_a_claim_takes_row_slot_and_worker_together(store: Store) -> None:
    row = store.dispatch()
    worker = store.worker()
    claimed = claim(store, worker)
    assert claimed is not None
    assert (claimed.id, claimed.status, claimed.attempt) == (row.id, Status.PROVISIONING, 1)
    assert store.slots.of("acme").taken == {claimed.slot: row.id}
    assert store.workers.get("shell", worker.worker_id).dispatch_id == row.id


def test_the_oldest_dispatch_goes_first(store: Store) -> None:
    ids = [store.dispatch().id for _ in range(3)]
    taken = [claimed.id for _ in range(3) if (claimed := claim(store))]
    assert taken == ids


def test_a_worker_claims_once_in_its_life(store: Store) -> None:
    store.dispatch()
    store.dispatch()
    worker = store.worker()
    assert claim(store, worker) is not None
    assert claim(store, worker) is None
    with pytest.raises(ConflictError):
        store.worker(worker.worker_id)


def test_many_claimants_take_each_dispatch_once_and_no_more_than_the_slots(store: Store) -> None:
    for _ in range(20):
        store.dispatch()
    with ThreadPoolExecutor(16) as pool:
        claimed = [row for row in pool.map(lambda _: claim(store), range(40)) if row]
    assert max(Counter(row.id for row in claimed).values()) == 1
    assert len(store.slots.of("acme").taken) == len(claimed) <= 3


def test_a_dispatch_that_is_gone_costs_no_slot_and_a_slot_that_is_taken_no_dispatch(store: Store) -> None:
    gone, first, second = (store.dispatch().id for _ in range(3))
    assert store.claimer.claim(store.worker(), [gone], [0], now()).slot == 0
    # Lists as a claimant read them a moment before.
    assert store.claimer.claim(store.worker(), [gone, first], [1], now()).id == first
    assert store.claimer.claim(store.worker(), [second], [0, 1, 2], now()).slot == 2


def test_a_worker_whose_launch_is_written_while_it_asks_for_work_is_idle(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    get = store.workers.get

    def launched_meanwhile(agent: Agent, worker_id: str) -> Worker | None:
        arn = f"arn:aws:ecs:us-east-1:000000000000:task/outpost/{worker_id}"
        state, at = WorkerState.STARTING, now()
        store.workers.add(
            [Worker(worker_id=worker_id, task_arn=arn, agent=agent, revision=1, worker_state=state, launched_at=at)]
        )
        found: Worker | None = get(agent, worker_id)
        return found

    monkeypatch.setattr(store.workers, "get", launched_meanwhile)

    assert store.worker().worker_state is WorkerState.IDLE


@pytest.mark.full
@pytest.mark.timeout(900)
def test_ten_thousand_attempts_of_sixty_four_claimants_take_each_of_a_thousand_dispatches_once(store: Store) -> None:
    tenants = [f"tenant-{number}" for number in range(50)]
    waiting = {store.dispatch(tenant_id).id for tenant_id in tenants for _ in range(20)}

    def attempts(claimant: int) -> list[str]:
        worker, taken = store.worker(), []
        for turn in range(10_000 // 64 + 1):
            if row := claim(store, worker, tenants[(claimant + turn) % 50], limit=20):
                taken.append(row.id)
                worker = store.worker()
        return taken

    with ThreadPoolExecutor(64) as pool:
        taken = Counter(id_ for ids in pool.map(attempts, range(64)) for id_ in ids)
    assert set(taken.values()) == {1}
    assert set(taken) == waiting
    held = [id_ for tenant_id in tenants for id_ in store.slots.of(tenant_id).taken.values()]
    assert sorted(held) == sorted(taken)


def test_the_end_frees_the_slot_in_the_same_transaction_and_wakes_the_next(store: Store) -> None:
    store.dispatch()
    store.dispatch()
    row = claim(store, limit=1)
    assert row is not None
    assert row.lease is not None
    assert claim(store, limit=1) is None
    sent = store.messages()
    for event in (Start(row.lease, now()), Finish(row.lease, 0, now()), Report(row.lease, Status.SUCCESS, DONE, now())):
        store.dispatches.change(row.id, event)
    assert store.slots.of("acme").taken == {}
    assert store.messages() == sent + 1
    assert claim(store, limit=1) is not None


def test_a_retried_dispatch_gets_a_new_token_and_the_old_one_changes_nothing(store: Store) -> None:
    row = store.dispatch()
    first = claim(store)
    assert first is not None
    assert first.lease is not None
    store.dispatches.change(row.id, Lose(first.lease, LOST, now()))
    second = claim(store)
    assert second is not None
    assert second.lease is not None
    assert second.lease.token > first.lease.token
    with pytest.raises(Exception, match="live one is"):
        store.dispatches.change(row.id, Start(first.lease, now()))


def test_a_heartbeat_counts_only_for_the_token_that_is_held(store: Store) -> None:
    store.dispatch()
    row = claim(store)
    assert row is not None
    assert row.lease is not None
    store.workers.beat("shell", row.lease)
    assert store.workers.get("shell", row.lease.worker_id).beat == 1
    with pytest.raises(ConflictError):
        store.workers.beat("shell", Lease(worker_id=row.lease.worker_id, token=row.lease.token + 1))


def test_an_ended_worker_leaves_the_living_and_cannot_come_back(store: Store) -> None:
    worker = store.worker()
    assert [w.worker_id for w in store.workers.alive("shell")] == [worker.worker_id]
    store.workers.end(worker, now())
    assert store.workers.alive("shell") == []
    with pytest.raises(ConflictError):
        store.worker(worker.worker_id)
