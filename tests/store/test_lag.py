"""With indexes that lag by a minute broker and reconciler keep their bounds: what they decide by is read exactly."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from broker.broker import Broker
from outpost.domain.agents import Agent
from outpost.domain.deadlines import GRACE, STOP_AFTER_CANCEL
from outpost.domain.dispatch import Status
from outpost.domain.ids import now
from outpost.domain.lifecycle import Cancel, Lose, Start
from outpost.domain.reasons import Reason, ReasonCode
from outpost.store.database import Database
from reconciler.decisions import SETTLING
from tests.launched import claim_request, launch
from tests.store.lagging import lagging_indexes
from tests.store.reconciling import LEASE_PASSES, Field, field

__all__ = ["field"]
Store = Any
LAG = 60
LOST = Reason.of(ReasonCode.WORKER_LOST, "gone")
SECOND = timedelta(seconds=1)


class Seconds:
    """A clock that only tests advance."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(database: Database) -> Iterator[Seconds]:
    """Let the indexes lag, on a clock that stands still."""
    seconds = Seconds()
    with lagging_indexes(database, LAG, seconds):
        yield seconds


@pytest.mark.usefixtures("clock")
def test_a_woken_worker_finds_the_dispatch_that_woke_it(store: Store, broker: Broker) -> None:
    for _ in range(3):
        row = store.dispatch()
        claimed = broker.handle(claim_request(launch(store.workers)))
        assert claimed.assignment.dispatch_id == row.id  # type: ignore[union-attr]


@pytest.mark.usefixtures("clock")
def test_an_end_wakes_a_worker_for_a_dispatch_that_was_queued_a_moment_ago(field: Field) -> None:
    _, row = field.busy()
    field.store.dispatch()
    sent = field.store.messages()
    field.store.dispatches.change(row.id, Lose(row.lease, LOST, now()))
    assert field.store.messages() == sent + 1


@pytest.mark.usefixtures("clock")
def test_a_lost_event_and_a_hung_worker_are_healed_in_time(field: Field) -> None:
    stopped, lost = field.busy()
    _, hung = field.busy()
    field.ecs.stop_task(cluster=field.cluster, task=stopped.task_arn)
    field.run(SETTLING)
    assert field.status(lost) is Status.PENDING
    field.passes(LEASE_PASSES - 1)
    assert field.status(hung) is Status.PENDING


@pytest.mark.usefixtures("clock")
def test_a_cancel_and_a_time_limit_are_enforced_in_time(field: Field) -> None:
    cancelled, first = field.busy()
    _, slow = field.busy(timeout_seconds=30)
    field.store.dispatches.change(first.id, Cancel(None, now()))
    field.store.dispatches.change(slow.id, Start(slow.lease, now()))
    field.run(STOP_AFTER_CANCEL + SECOND)
    assert field.wanted(cancelled) == "STOPPED"
    for worker_row in (first, slow):
        field.store.workers.beat(Agent.SHELL, worker_row.lease)
    field.run(timedelta(seconds=31) + GRACE)
    assert field.store.dispatches.get(slow.id).status is Status.TIMEOUT


@pytest.mark.usefixtures("clock")
def test_a_lost_wake_up_is_sent_again_in_time(field: Field) -> None:
    field.store.dispatch()
    field.worker()
    sent = field.store.messages()
    field.run(SETTLING + SECOND)
    assert field.store.messages() == sent + 1


def test_a_dispatch_that_is_queued_again_waits_its_whole_time_although_the_index_shows_it_as_it_was(
    field: Field, clock: Seconds
) -> None:
    field.store.dispatch(queue_timeout_seconds=60)
    clock.now += LAG  # the index shows it, pending
    worker = field.worker()
    queued = field.store.dispatches.live.queued("shell", "acme", limit=1)
    row = field.store.claimer.claim(worker, queued, [0], now())
    at = now() + timedelta(seconds=50)
    field.store.dispatches.change(row.id, Lose(row.lease, LOST, at))
    field.run(timedelta(seconds=70))
    assert field.store.dispatches.get(row.id).status is Status.PENDING


def test_a_pending_row_without_an_entry_in_its_queue_is_queued_again(field: Field, database: Database) -> None:
    row = field.store.dispatch()
    database.delete(database.queues, "QUEUE#shell", f"acme#{row.id}")
    assert field.store.dispatches.live.queued("shell", "acme", limit=1) == []
    field.store.await_indexes()
    field.run()
    assert field.store.dispatches.live.queued("shell", "acme", limit=1) == [row.id]


def test_what_is_not_pending_is_not_queued_again(field: Field) -> None:
    _, row = field.busy()
    assert not field.store.dispatches.queue_again(row.id)
    assert field.store.dispatches.live.queue(Agent.SHELL) == []
