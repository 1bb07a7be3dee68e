"""The sweep heals what events missed: it reads rows and ECS, and both are real here."""

import json
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import boto3
import pytest

from outpost.domain.agents import Agent
from outpost.domain.dispatch import Status
from outpost.domain.ids import new_id, now
from outpost.domain.launches import LaunchFailure
from outpost.domain.lifecycle import Finish, Report, Start
from outpost.domain.reasons import Reason, ReasonCode
from outpost.store.artifacts import Artifacts
from outpost.store.database import Database
from outpost.store.departures import Departures
from outpost.store.launches import Launches
from outpost.store.observations import Observations
from outpost.store.recovery import Recovery
from outpost.store.wakeups import Wakeups
from outpost.store.workers import Worker, WorkerState
from sweep.judge import GRACE, LEASE
from sweep.sweep import SETTLING, Sweep
from sweep.tasks import Tasks

Store = Any


@dataclass
class Field:
    """A sweep over a store and a cluster, at a time of the test's choice."""

    store: Store
    ecs: Any
    cluster: str
    family: str
    bucket: str
    sweep: Sweep

    def task(self) -> str:
        """Start a task; return its ARN."""
        arn: str = self.ecs.run_task(cluster=self.cluster, taskDefinition=self.family, count=1)["tasks"][0]["taskArn"]
        return arn

    def worker(self) -> Worker:
        """Start a task and write it down as an idle worker."""
        arn = self.task()
        idle = Worker(
            worker_id=arn.rpartition("/")[2],
            task_arn=arn,
            agent=Agent.SHELL,
            revision=1,
            worker_state=WorkerState.IDLE,
            launched_at=now(),
        )
        written: Worker = self.store.workers.idle(idle)
        return written

    def busy(self, **spec: object) -> tuple[Worker, Any]:
        """A worker that holds a new dispatch."""
        self.store.dispatch(**spec)
        worker = self.worker()
        queued = self.store.dispatches.live.queued("shell", "acme", limit=1)
        return worker, self.store.workers.claim(worker, queued, self.store.workers.slots("acme").free(3), now())

    def run(self, later: timedelta = timedelta()) -> None:
        """Sweep once, `later` from now."""
        at = now() + later
        replace(self.sweep, tasks=self.sweep.tasks.afresh(), now=lambda: at).run()

    def wanted(self, worker: Worker) -> str:
        """What ECS wants the worker's task to be."""
        task = self.ecs.describe_tasks(cluster=self.cluster, tasks=[worker.task_arn])["tasks"][0]
        return str(task["desiredStatus"])


@pytest.fixture
def field(store: Store, database: Database) -> Field:
    ecs, cluster, bucket = boto3.client("ecs"), f"c-{new_id()}", f"artifacts-{new_id().lower()}"
    family = store.agents["shell"].family
    ecs.create_cluster(clusterName=cluster)
    ecs.register_task_definition(family=family, containerDefinitions=[{"name": "worker", "image": "i", "memory": 64}])
    boto3.client("s3").create_bucket(Bucket=bucket)
    wakeups, launches = Wakeups(boto3.client("sqs"), store.agents), Launches(database)
    recovery = Recovery(store.dispatches, Artifacts(boto3.client("s3"), bucket))
    departures = Departures(store.workers, store.dispatches, recovery, launches)
    sweep = Sweep(
        store.agents,
        store.dispatches,
        store.workers,
        recovery,
        departures,
        launches,
        Observations(database),
        wakeups,
        Tasks(ecs, cluster, [family]),
        now,
    )
    return Field(store, ecs, cluster, family, bucket, sweep)


def test_a_stopped_task_whose_event_was_lost_is_closed(field: Field) -> None:
    worker, row = field.busy()
    field.ecs.stop_task(cluster=field.cluster, task=worker.task_arn)
    field.run(SETTLING)
    assert field.store.dispatches.get(row.id).status is Status.PENDING
    assert field.store.workers.get(Agent.SHELL, worker.worker_id) is None
    assert field.store.workers.slots("acme").taken == {}


def test_a_young_task_that_the_list_does_not_show_yet_is_left_alone(field: Field) -> None:
    worker, row = field.busy()
    field.ecs.stop_task(cluster=field.cluster, task=worker.task_arn)
    field.run()
    assert field.store.dispatches.get(row.id).status is Status.PROVISIONING


def test_a_silent_worker_loses_its_dispatch_and_is_stopped(field: Field) -> None:
    worker, row = field.busy()
    field.run()
    field.run(LEASE - timedelta(seconds=1))
    assert field.store.dispatches.get(row.id).status is Status.PROVISIONING
    field.run(LEASE)
    assert field.store.dispatches.get(row.id).status is Status.PENDING
    assert field.wanted(worker) == "STOPPED"


def test_a_worker_that_beats_keeps_its_dispatch(field: Field) -> None:
    worker, row = field.busy()
    field.run()
    field.store.workers.beat(Agent.SHELL, row.lease)
    field.run(LEASE)
    assert field.store.dispatches.get(row.id).status is Status.PROVISIONING
    assert field.wanted(worker) == "RUNNING"


def test_the_summary_of_a_lost_worker_decides_the_outcome(field: Field) -> None:
    worker, row = field.busy()
    field.store.dispatches.change(row.id, Start(row.lease, now()))
    key = f"tenants/acme/dispatches/{row.id}/1/summary.json"
    summary = {
        "dispatch_id": row.id,
        "tenant_id": "acme",
        "attempt": 1,
        "worker_id": worker.worker_id,
        "agent": "shell",
        "model_id": None,
        "repo": None,
        "outcome": "success",
        "reason": Reason.of(ReasonCode.COMPLETED, "ok").model_dump(mode="json"),
        "exit_code": 0,
        "started_at": None,
        "ended_at": now().isoformat(),
        "usage": {},
        "findings": {"secrets": {"NPM_TOKEN": 1}, "withheld": ["changes.patch"]},
    }
    boto3.client("s3").put_object(Bucket=field.bucket, Key=key, Body=json.dumps(summary).encode())
    field.ecs.stop_task(cluster=field.cluster, task=worker.task_arn)
    field.run(SETTLING)
    ended = field.store.dispatches.get(row.id)
    assert (ended.status, ended.exit_code, ended.withheld) == (Status.SUCCESS, 0, True)


def test_a_run_whose_worker_beats_beyond_the_time_limit_and_the_grace_ends_as_a_timeout(field: Field) -> None:
    _, row = field.busy()
    field.store.dispatches.change(row.id, Start(row.lease, now()))
    field.run(timedelta(seconds=row.spec.timeout_seconds + 1) + GRACE)
    ended = field.store.dispatches.get(row.id)
    assert (ended.status, ended.reason.code) == (Status.TIMEOUT, ReasonCode.TIME_LIMIT)


def test_waiting_too_long_fails_with_the_latest_launch_failure(field: Field) -> None:
    row = field.store.dispatch(queue_timeout_seconds=60)
    why = Reason.of(ReasonCode.IMAGE_PULL_FAILED, "no such image")
    field.sweep.launches.failed(Agent.SHELL, LaunchFailure(reason=why, launched_at=now(), failed_at=now()), now())
    field.run(timedelta(seconds=59))
    assert field.store.dispatches.get(row.id).status is Status.PENDING
    field.store.await_indexes()
    field.run(timedelta(seconds=61))
    assert field.store.dispatches.get(row.id).reason == why


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
    assert field.store.dispatches.get(row.id).status is Status.PENDING


def test_lost_wake_ups_are_sent_again_while_workers_idle_beside_work(field: Field) -> None:
    field.store.dispatch()
    field.worker()
    sent = field.store.messages()
    field.run()
    assert field.store.messages() == sent
    field.run(SETTLING + timedelta(seconds=1))
    assert field.store.messages() == sent + 1


def test_the_cost_of_a_sweep_grows_with_what_is_active_and_never_with_history(field: Field) -> None:
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
    assert field.store.dispatches.get(rows[1].id).status is Status.FAILED


def test_workers_of_an_agent_that_was_disabled_are_watched_until_they_end(field: Field) -> None:
    worker, row = field.busy()
    disabled = replace(field, sweep=replace(field.sweep, agents={}))
    field.ecs.stop_task(cluster=field.cluster, task=worker.task_arn)
    disabled.run(SETTLING)
    assert field.store.dispatches.get(row.id).status is Status.PENDING
    assert field.store.workers.alive(Agent.SHELL) == []
