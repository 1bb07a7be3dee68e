"""A reconciler over a real store and a real cluster, on a clock that only passes advance."""

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import boto3
import pytest

from outpost.domain.agents import Agent
from outpost.domain.artifacts import Summary
from outpost.domain.dispatch import Dispatch, Status, Usage
from outpost.domain.ids import new_id, now
from outpost.domain.reasons import Reason, ReasonCode
from outpost.domain.workers import Worker, WorkerState
from outpost.fleet.worker_termination import WorkerTermination
from outpost.store.artifacts import Artifacts
from outpost.store.database import Database
from outpost.store.heartbeat_snapshot import HeartbeatSnapshot
from reconciler.progress import Parts
from reconciler.reconciler import Reconciler
from reconciler.silence import PERIOD
from reconciler.tasks import Tasks

Store = Any
LEASE_PASSES = 3
"""Passes that see a counter stand still for a lease: one reads it first, two find it unchanged."""


@dataclass
class Field:
    """A reconciler over a store and a cluster, on a clock that only passes advance."""

    store: Store
    ecs: Any
    cluster: str
    family: str
    bucket: str
    parts: Parts
    responding: bool = True
    """Whether the broker responds to the reconciler."""
    holder: str = "reconciler"
    began: datetime = dataclasses.field(default_factory=now)
    passed: timedelta = timedelta()

    @property
    def time(self) -> datetime:
        """When the last pass was."""
        return self.began + self.passed

    def task(self, started_by: str = "") -> str:
        """Start a task; return its ARN."""
        arn: str = self.ecs.run_task(
            cluster=self.cluster, taskDefinition=self.family, count=1, startedBy=started_by or new_id()
        )["tasks"][0]["taskArn"]
        return arn

    def worker(self) -> Worker:
        """Start a task and write it down as an idle worker."""
        return self.register(self.task())

    def register(self, arn: str) -> Worker:
        """Write an idle worker down for a task."""
        idle = Worker(
            worker_id=arn.rpartition("/")[2],
            task_arn=arn,
            agent=Agent.SHELL,
            revision=1,
            worker_state=WorkerState.IDLE,
            launched_at=self.time,
        )
        written: Worker = self.store.workers.idle(idle)
        return written

    def busy(self, **spec: object) -> tuple[Worker, Any]:
        """A worker that holds a new dispatch."""
        self.store.dispatch(**spec)
        return self.claim(self.worker())

    def claim(self, worker: Worker) -> tuple[Worker, Any]:
        """Give a worker the oldest dispatch."""
        queued = self.store.dispatches.live.queued("shell", "acme", limit=1)
        return worker, self.store.claimer.claim(worker, queued, self.store.slots.of("acme").free(3), now())

    def run(self, later: timedelta = timedelta(), beats: Iterable[Dispatch] = ()) -> None:
        """Reconcile once, `later` from the beginning; heartbeats of these dispatches come before."""
        for row in beats:
            self.store.workers.beat(Agent.SHELL, row.lease)
        self.passed = later
        at = self.began + later
        parts = replace(self.parts, tasks=self.parts.tasks.unread(), now=lambda: at)
        parts = replace(parts, broker_responds=lambda: self.responding)
        parts.snapshot.take_over(self.holder)
        Reconciler(parts, self.holder).run(at + PERIOD)

    def passes(self, number: int, beats: Iterable[Dispatch] = ()) -> None:
        """Reconcile some times more, each a period after the last."""
        for _ in range(number):
            self.run(self.passed + PERIOD, beats)

    def status(self, row: Dispatch) -> Status:
        """Return the status that the row has now."""
        status: Status = self.store.dispatches.get(row.id).status
        return status

    def wanted(self, worker: Worker) -> str:
        """What ECS wants the worker's task to be."""
        return self.wanted_of(worker.task_arn)

    def wanted_of(self, arn: str) -> str:
        """What ECS wants a task to be."""
        task = self.ecs.describe_tasks(cluster=self.cluster, tasks=[arn])["tasks"][0]
        return str(task["desiredStatus"])

    def summary(self, row: Dispatch, outcome: Status = Status.SUCCESS, **changes: object) -> str:
        """Return the summary that the worker of a dispatch stores."""
        base = Summary(
            dispatch_id=row.id,
            tenant_id="acme",
            attempt=row.attempt,
            worker_id=row.worker_id,
            agent="shell",
            model_id=None,
            repo=None,
            outcome=outcome,
            reason=Reason.of(ReasonCode.COMPLETED, "ok"),
            exit_code=0,
            started_at=None,
            ended_at=now(),
            usage=Usage(),
        )
        return base.model_copy(update=changes).model_dump_json()

    def store_summary(self, row: Dispatch, body: str) -> None:
        """Store a summary as a worker does: once."""
        key = f"tenants/acme/dispatches/{row.id}/{row.attempt}/summary.json"
        boto3.client("s3").put_object(Bucket=self.bucket, Key=key, Body=body.encode(), IfNoneMatch="*")


@pytest.fixture
def field(store: Store, database: Database) -> Field:
    ecs, cluster, bucket = boto3.client("ecs"), f"c-{new_id()}", f"artifacts-{new_id().lower()}"
    family = store.agents["shell"].family
    ecs.create_cluster(clusterName=cluster)
    ecs.register_task_definition(family=family, containerDefinitions=[{"name": "worker", "image": "i", "memory": 64}])
    boto3.client("s3").create_bucket(Bucket=bucket)
    shared = store.parts
    shared.artifacts = Artifacts(boto3.client("s3"), bucket)
    parts = Parts(
        shared,
        WorkerTermination(shared.workers, shared.dispatches, shared.recovery, shared.launches),
        HeartbeatSnapshot(database),
        Tasks(ecs, cluster, {agent: family.replace("shell", agent) for agent in Agent}),
        now,
        lambda: True,
    )
    return Field(store, ecs, cluster, family, bucket, parts)
