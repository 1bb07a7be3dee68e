"""The reconciler heals what events missed: it reads rows and ECS, and both are real here."""

from datetime import timedelta

import pytest

from outpost.domain.agents import Agent
from outpost.domain.deadlines import CLOSE_AFTER_CANCEL, GRACE
from outpost.domain.dispatch import Dispatch, Status
from outpost.domain.ids import now
from outpost.domain.launches import LaunchFailure
from outpost.domain.lifecycle import Cancel, Event, Finish, Lose, Report, Start
from outpost.domain.reasons import Reason, ReasonCode
from outpost.domain.workers import WorkerState
from outpost.names import Metric
from outpost.store.database import ConflictError
from outpost.store.heartbeat_snapshot import TakenOverError
from reconciler.decisions import SETTLING
from reconciler.silence import IDLE_SILENCE, PERIOD
from tests.store.reconciling import LEASE_PASSES, Field, field

__all__ = ["field"]
SECOND = timedelta(seconds=1)


def test_a_silent_worker_loses_its_dispatch_and_is_stopped(field: Field) -> None:
    worker, row = field.busy()
    field.run()
    field.passes(LEASE_PASSES - 2)
    assert field.status(row) is Status.PROVISIONING
    field.passes(1)
    assert field.status(row) is Status.PENDING
    assert field.wanted(worker) == "STOPPED"


def test_a_worker_that_beats_keeps_its_dispatch(field: Field) -> None:
    worker, row = field.busy()
    field.run()
    field.passes(LEASE_PASSES, beats=[row])
    assert field.status(row) is Status.PROVISIONING
    assert field.wanted(worker) == "RUNNING"


def test_a_worker_that_is_heard_after_its_row_was_read_keeps_its_lease(field: Field) -> None:
    worker, row = field.busy()
    read = field.store.workers.get(Agent.SHELL, worker.worker_id)
    field.store.workers.beat(Agent.SHELL, row.lease)
    assert not field.store.workers.mark_lost(read)
    assert field.store.workers.mark_lost(field.store.workers.get(Agent.SHELL, worker.worker_id))
    with pytest.raises(ConflictError):
        field.store.workers.beat(Agent.SHELL, row.lease)


def test_time_in_which_no_pass_ran_is_no_silence(field: Field) -> None:
    _, row = field.busy(timeout_seconds=86_400)
    field.store.dispatches.change(row.id, Start(row.lease, now()))
    field.run()
    field.run(timedelta(hours=2))
    field.passes(1)
    assert field.status(row) is Status.RUNNING
    field.passes(1)
    assert field.status(row) is Status.FAILED


def test_the_only_worker_is_not_lost_while_the_broker_does_not_respond(field: Field) -> None:
    _, row = field.busy(timeout_seconds=1_000)
    field.store.dispatches.change(row.id, Start(row.lease, now()))
    field.responding = False
    field.run()
    field.passes(10)
    field.responding = True
    field.passes(1)
    field.passes(4, beats=[row])
    assert field.status(row) is Status.RUNNING
    field.passes(LEASE_PASSES)
    assert field.status(row) is Status.FAILED


def test_a_fleet_that_falls_silent_together_is_not_lost_and_a_metric_says_so(
    field: Field, capfd: pytest.CaptureFixture[str]
) -> None:
    rows = [field.busy()[1] for _ in range(3)]
    field.run()
    field.passes(10)
    assert {field.status(row) for row in rows} == {Status.PROVISIONING}
    assert f'"{Metric.FLEET_SILENCE}":[1.0]' in capfd.readouterr().out
    field.passes(2, beats=rows)
    assert f'"{Metric.FLEET_SILENCE}":[0.0]' in capfd.readouterr().out.splitlines()[-1]
    field.passes(2 * LEASE_PASSES, beats=rows[1:])
    assert [field.status(row) for row in rows] == [Status.PENDING, Status.PROVISIONING, Status.PROVISIONING]


def test_a_lost_worker_is_closed_in_the_next_pass_when_this_one_fails_at_it(
    field: Field, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker, row = field.busy()
    field.run()
    field.passes(LEASE_PASSES - 2)
    with monkeypatch.context() as patch:
        patch.setattr(field.parts.store.recovery, "close", lambda *_: 1 / 0)
        with pytest.raises(ExceptionGroup):
            field.passes(1)
    assert field.store.workers.get(Agent.SHELL, worker.worker_id).worker_state is WorkerState.LOST
    field.passes(1)
    assert field.status(row) is Status.PENDING


def test_while_what_a_silent_worker_left_cannot_be_read_it_keeps_its_lease(
    field: Field, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, row = field.busy()
    field.run()
    field.passes(LEASE_PASSES - 2)
    monkeypatch.setattr(field.parts.store.recovery, "last_lines", lambda _: 1 / 0)
    with pytest.raises(ExceptionGroup):
        field.passes(1)
    field.store.workers.beat(Agent.SHELL, row.lease)
    field.passes(1)
    assert field.status(row) is Status.PROVISIONING


def test_a_silent_idle_worker_is_stopped_and_gets_no_work_any_more(field: Field) -> None:
    worker = field.worker()
    field.run()
    field.passes(IDLE_SILENCE // PERIOD)
    assert field.wanted(worker) == "STOPPED"
    with pytest.raises(ConflictError):
        field.store.workers.idle(worker)


def test_a_run_whose_worker_beats_beyond_the_time_limit_and_the_grace_ends_as_a_timeout(field: Field) -> None:
    _, row = field.busy()
    field.store.dispatches.change(row.id, Start(row.lease, now()))
    field.run(timedelta(seconds=row.spec.timeout_seconds + 1) + GRACE)
    ended = field.store.dispatches.get(row.id)
    assert (ended.status, ended.reason.code) == (Status.TIMEOUT, ReasonCode.TIME_LIMIT)


def test_a_cancel_that_the_worker_ignores_ends_the_dispatch_also_when_its_task_cannot_be_stopped(
    field: Field, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, row = field.busy()
    field.store.dispatches.change(row.id, Cancel("enough", now()))
    monkeypatch.setattr(field.ecs, "stop_task", lambda **_: 1 / 0)
    with pytest.raises(ExceptionGroup):
        field.run(CLOSE_AFTER_CANCEL + SECOND)
    assert field.status(row) is Status.CANCELLED


def test_waiting_too_long_fails_with_the_latest_launch_failure(field: Field) -> None:
    row = field.store.dispatch(queue_timeout_seconds=60)
    why = Reason.of(ReasonCode.IMAGE_PULL_FAILED, "no such image")
    field.parts.store.launches.failed(Agent.SHELL, LaunchFailure(reason=why, launched_at=now(), failed_at=now()), now())
    field.store.await_indexes()
    field.run(timedelta(seconds=59))
    assert field.status(row) is Status.PENDING
    field.run(timedelta(seconds=61))
    assert field.store.dispatches.get(row.id).reason == why


def test_a_dispatch_that_became_pending_again_is_not_expired_by_its_first_deadline(
    field: Field, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = field.store.dispatch(queue_timeout_seconds=60)
    change = field.store.dispatches.change

    def claimed_meanwhile(dispatch_id: str, event: Event) -> Dispatch:
        _, held = field.claim(field.worker())
        change(held.id, Lose(held.lease, Reason.of(ReasonCode.WORKER_LOST, "gone"), field.time))
        changed: Dispatch = change(dispatch_id, event)
        return changed

    monkeypatch.setattr(field.store.dispatches, "change", claimed_meanwhile)
    field.store.await_indexes()
    field.run(timedelta(seconds=61))
    assert field.status(row) is Status.PENDING


def test_a_worker_whose_dispatch_ended_is_stopped_when_it_does_not_leave(field: Field) -> None:
    worker, row = field.busy()
    done = Reason.of(ReasonCode.COMPLETED, "ok")
    for event in (Start(row.lease, now()), Finish(row.lease, 0, now()), Report(row.lease, Status.SUCCESS, done, now())):
        field.store.dispatches.change(row.id, event)
    field.run()
    assert field.wanted(worker) == "RUNNING"
    field.run(timedelta(seconds=61))
    assert field.wanted(worker) == "STOPPED"


def test_a_dispatch_whose_worker_row_ended_is_not_forgotten(field: Field) -> None:
    worker, row = field.busy()
    field.store.workers.end(worker, now())
    field.store.await_indexes()
    field.run(SETTLING)
    assert field.status(row) is Status.PENDING


def test_lost_wake_ups_are_sent_again_while_workers_idle_beside_work(field: Field) -> None:
    field.store.dispatch()
    field.worker()
    sent = field.store.messages()
    field.run()
    assert field.store.messages() == sent
    field.run(SETTLING + SECOND)
    assert field.store.messages() == sent + 1


def test_the_cost_of_a_pass_grows_with_what_is_active_and_never_with_history(field: Field) -> None:
    for _ in range(3):
        field.busy()
    for _ in range(4):
        field.store.dispatch()
    field.run()  # writes its first observations
    costs = []
    for more in (0, 200):
        field.store.history(more, workers=more)
        field.store.await_indexes()
        with field.store.reads() as reads:
            field.run()
        costs.append((reads.calls, reads.items))
    assert costs[0][1] >= 3 + 4 + 3
    assert costs[1] == costs[0]


def test_one_row_that_cannot_be_healed_does_not_keep_the_others_from_it(
    field: Field, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [field.store.dispatch(queue_timeout_seconds=60) for _ in range(2)]
    change, poison = field.store.dispatches.change, rows[0].id

    def failing(dispatch_id: str, event: object) -> object:
        if dispatch_id == poison:
            raise RuntimeError("poison")
        return change(dispatch_id, event)

    monkeypatch.setattr(field.store.dispatches, "change", failing)
    field.store.await_indexes()
    with pytest.raises(ExceptionGroup):
        field.run(timedelta(seconds=61))
    assert field.status(rows[1]) is Status.FAILED


def test_an_invocation_that_a_newer_one_has_taken_over_stops(field: Field) -> None:
    field.run()
    older, field.holder = field.holder, "newer"
    field.run(PERIOD)
    with pytest.raises(TakenOverError):
        field.parts.snapshot.state(older)
    stale = field.parts.snapshot.state("newer").model_copy(update={"holder": older})
    with pytest.raises(TakenOverError):
        field.parts.snapshot.save(stale, {})
