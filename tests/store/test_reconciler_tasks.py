"""The reconciler compares workers' rows with ECS's own list of tasks, which may be late, and with ECS away."""

from datetime import timedelta

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from outpost.domain.agents import Agent
from outpost.domain.deadlines import GRACE
from outpost.domain.dispatch import Status
from outpost.domain.ids import new_id, now
from outpost.domain.launches import LAUNCH_BURST, Intent, LaunchRate
from outpost.domain.lifecycle import Start
from outpost.domain.workers import WorkerState
from outpost.store.database import Database
from outpost.store.planner_lock import PlannerLock
from reconciler.decisions import CONSISTENT_AFTER, SETTLING
from reconciler.silence import PERIOD
from tests.store.reconciling import LEASE_PASSES, Field, field

__all__ = ["field"]
SECOND = timedelta(seconds=1)


def show_nothing(field: Field, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let ECS's lists and descriptions show no task, as they may at first."""
    monkeypatch.setattr(field.ecs, "list_tasks", lambda **_: {"taskArns": []})
    monkeypatch.setattr(field.ecs, "describe_tasks", lambda **_: {"tasks": [], "failures": []})


def test_a_stopped_task_whose_event_was_lost_is_closed(field: Field) -> None:
    worker, row = field.busy()
    field.ecs.stop_task(cluster=field.cluster, task=worker.task_arn)
    field.run(SETTLING)
    assert field.status(row) is Status.PENDING
    assert field.store.workers.get(Agent.SHELL, worker.worker_id) is None
    assert field.store.slots.of("acme").taken == {}


def test_a_young_task_that_the_list_does_not_show_yet_is_left_alone(field: Field) -> None:
    worker, row = field.busy()
    field.ecs.stop_task(cluster=field.cluster, task=worker.task_arn)
    field.run()
    assert field.status(row) is Status.PROVISIONING


def test_workers_of_an_agent_that_was_disabled_are_watched_until_they_end(field: Field) -> None:
    worker, row = field.busy()
    field.parts.store.agents.clear()  # type: ignore[attr-defined]
    field.ecs.stop_task(cluster=field.cluster, task=worker.task_arn)
    field.run(SETTLING)
    assert field.status(row) is Status.PENDING
    assert field.store.workers.alive(Agent.SHELL) == []


def test_a_worker_that_beats_is_alive_whatever_ecs_shows(field: Field, monkeypatch: pytest.MonkeyPatch) -> None:
    worker, row = field.busy(timeout_seconds=1_000)
    field.store.dispatches.change(row.id, Start(row.lease, now()))
    show_nothing(field, monkeypatch)
    field.run()
    field.passes((CONSISTENT_AFTER + 4 * PERIOD) // PERIOD, beats=[row])
    assert field.status(row) is Status.RUNNING
    assert field.store.workers.get(Agent.SHELL, worker.worker_id)


def test_a_task_that_ecs_does_not_know_is_dead_after_five_minutes_without_a_beat(
    field: Field, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = field.worker()
    show_nothing(field, monkeypatch)
    field.run()
    field.passes(CONSISTENT_AFTER // PERIOD - 1)
    assert field.store.workers.get(Agent.SHELL, worker.worker_id)
    field.passes(1)
    assert field.store.workers.get(Agent.SHELL, worker.worker_id) is None


@pytest.mark.parametrize("operation", ["list_tasks", "describe_tasks", "stop_task"])
def test_without_ecs_leases_and_deadlines_hold_and_ecs_is_called_once_a_pass(
    field: Field, monkeypatch: pytest.MonkeyPatch, operation: str
) -> None:
    _, slow = field.busy(timeout_seconds=30)
    _, hung = field.busy()
    field.task()  # without a row, so that ECS is needed in each pass
    field.store.dispatches.change(slow.id, Start(slow.lease, now()))
    calls = []

    def away(**_: object) -> None:
        calls.append(operation)
        raise EndpointConnectionError(endpoint_url="https://ecs")

    monkeypatch.setattr(field.ecs, operation, away)
    late = timedelta(seconds=31) + GRACE
    for number in range(LEASE_PASSES):
        with pytest.raises(ExceptionGroup):
            field.run(late + number * PERIOD, beats=[slow] if number == 0 else [])
    assert [field.status(slow), field.status(hung)] == [Status.TIMEOUT, Status.PENDING]
    assert len(calls) <= LEASE_PASSES


def test_a_task_that_could_not_be_stopped_is_stopped_in_the_next_pass(
    field: Field, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker, row = field.busy()
    field.run()
    field.passes(LEASE_PASSES - 2)
    denied = ClientError({"Error": {"Code": "AccessDeniedException", "Message": "no"}}, "StopTask")
    with monkeypatch.context() as patch:
        patch.setattr(field.ecs, "stop_task", lambda **_: (_ for _ in ()).throw(denied))
        with pytest.raises(ExceptionGroup):
            field.passes(1)
    assert (field.status(row), field.wanted(worker)) == (Status.PENDING, "RUNNING")
    field.passes(1)
    assert field.wanted(worker) == "STOPPED"


def test_a_task_that_no_row_names_is_stopped_once_its_intent_is_settled(field: Field, database: Database) -> None:
    intent = Intent(batch_id=new_id(), agent=Agent.SHELL, count=1, launched_at=now())
    term = PlannerLock(database, now).acquire("planner")
    assert term
    field.parts.store.launches.intend(intent, LaunchRate(tokens=LAUNCH_BURST, counted_at=now()), term)
    arn = field.task(started_by=intent.batch_id)
    field.run()
    assert field.wanted_of(arn) == "RUNNING"
    field.parts.store.launches.settle(intent)
    field.passes(1)
    assert field.wanted_of(arn) == "STOPPED"


def test_a_task_of_ours_that_somebody_started_is_stopped_when_it_is_no_worker_after_five_minutes(field: Field) -> None:
    arn, worker = field.task(started_by="a person"), field.worker()
    field.run()
    assert field.wanted_of(arn) == "RUNNING"
    field.run(CONSISTENT_AFTER + 2 * SECOND)
    assert field.wanted_of(arn) == "STOPPED"
    assert field.wanted(worker) == "RUNNING"


def test_a_row_whose_task_is_of_another_cluster_ends_at_once_with_what_it_holds(field: Field) -> None:
    foreign = field.register(f"arn:aws:ecs:us-east-1:000000000000:task/other/{new_id()}")
    field.store.dispatch()
    _, row = field.claim(foreign)
    field.run()
    assert field.store.workers.alive(Agent.SHELL) == []
    assert field.status(row) is Status.PENDING


def test_a_row_whose_task_is_of_another_family_ends(field: Field) -> None:
    field.ecs.register_task_definition(
        family="outpost-service", containerDefinitions=[{"name": "service", "image": "i", "memory": 64}]
    )
    arn = field.ecs.run_task(cluster=field.cluster, taskDefinition="outpost-service")["tasks"][0]["taskArn"]
    field.register(arn)
    field.run(SETTLING)
    assert field.store.workers.alive(Agent.SHELL) == []
    assert field.wanted_of(arn) == "RUNNING"


def test_a_launched_task_that_never_asks_for_work_is_stopped(field: Field) -> None:
    worker = field.worker()
    starting = worker.model_copy(update={"worker_id": new_id(), "worker_state": WorkerState.STARTING})
    arn = field.task()
    starting = starting.model_copy(update={"worker_id": arn.rpartition("/")[2], "task_arn": arn, "beat": 0})
    field.store.workers.add([starting])
    field.run()
    field.passes(20)
    assert field.wanted(starting) == "STOPPED"
