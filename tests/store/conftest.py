"""A store on the emulator, with the shell agent and two tenants."""

import json
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

import boto3
import pytest

from broker.broker import Broker
from broker.credentials import AttemptCredentials
from broker.grants import BudgetThreshold, Grants
from broker.identity import Identities
from outpost.aws.caller_identity import CallerIdentity
from outpost.domain.agents import Agent, AgentSettings
from outpost.domain.dispatch import Dispatch, Spec
from outpost.domain.ids import new_id, now
from outpost.domain.lifecycle import Cancel
from outpost.domain.tenants import Limits, Tenant
from outpost.domain.workers import Worker, WorkerState
from outpost.fleet.store import Store as Parts
from outpost.names import Env
from outpost.store.budgets import Budgets, MonthlyLimits
from outpost.store.claims import Claimer
from outpost.store.database import Database
from outpost.store.dispatches import Dispatches
from outpost.store.slots import TenantSlots
from outpost.store.tenants import Tenants
from outpost.store.workers import Workers
from tests.indexes import await_indexes
from tests.launched import REGION, TASK_ROLE

if TYPE_CHECKING:
    from types_boto3_dynamodb.client import DynamoDBClient


@dataclass
class Reads:
    """What a DynamoDB client was asked, and how many items the tables read for it."""

    calls: Counter[str] = field(default_factory=Counter)
    items: int = 0

    @contextmanager
    def of(self, client: "DynamoDBClient") -> Iterator[Self]:
        """Count meanwhile."""
        call: Callable[..., dict[str, Any]] = client._make_api_call  # type: ignore[attr-defined]

        def counting(operation: str, parameters: dict[str, Any]) -> dict[str, Any]:
            response = call(operation, parameters)
            self.calls[operation] += 1
            self.items += response.get("ScannedCount", "Item" in response)
            return response

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(client, "_make_api_call", counting)
            yield self


@dataclass(frozen=True)
class Store:
    """Everything that a test of the store touches."""

    parts: Parts
    dispatches: Dispatches
    workers: Workers
    slots: TenantSlots
    claimer: Claimer
    tenants: Tenants
    queue_url: str
    agents: dict[Agent, AgentSettings]

    def dispatch(self, tenant_id: str = "acme", **spec: object) -> Dispatch:
        """Create a pending dispatch."""
        row = Dispatch(
            id=new_id(),
            tenant_id=tenant_id,
            created_by="otp_00000000",
            spec=Spec.model_validate({"agent": Agent.SHELL} | spec),
            expires_at=int(now().timestamp()) + 3600,
            created_at=now(),
            queued_at=now(),
        )
        return self.dispatches.create(row, "echo hello", daily_limit=1_000_000)

    def worker(self, worker_id: str | None = None) -> Worker:
        """Write down an idle worker."""
        id_ = worker_id or new_id()
        arn = f"arn:aws:ecs:us-east-1:000000000000:task/outpost/{id_}"
        return self.workers.idle(
            Worker(
                worker_id=id_,
                task_arn=arn,
                agent=Agent.SHELL,
                revision=1,
                worker_state=WorkerState.IDLE,
                launched_at=now(),
            )
        )

    def history(self, dispatches: int, workers: int = 0) -> None:
        """Leave dispatches and workers behind that have ended."""
        for _ in range(dispatches):
            self.dispatches.change(self.dispatch().id, Cancel(None, now()))
        for _ in range(workers):
            self.workers.end(self.worker(), now())

    def reads(self) -> AbstractContextManager[Reads]:
        """Count what the store reads."""
        return Reads().of(self.dispatches._db.client)

    def await_indexes(self) -> None:
        """Wait until the indexes show all that was written."""
        await_indexes(self.dispatches._db)

    def messages(self) -> int:
        """Count the wake-ups in the queue."""
        attributes = boto3.client("sqs").get_queue_attributes(
            QueueUrl=self.queue_url, AttributeNames=["ApproximateNumberOfMessages"]
        )["Attributes"]
        return int(attributes["ApproximateNumberOfMessages"])


@pytest.fixture
def store(database: Database, monkeypatch: pytest.MonkeyPatch) -> Store:
    queue_url = boto3.client("sqs").create_queue(QueueName=f"shell-{new_id()}")["QueueUrl"]
    agents = {Agent.SHELL: AgentSettings(queue_url=queue_url, family="outpost-shell", task_role_arn=TASK_ROLE)}
    monkeypatch.setenv(Env.AGENTS, json.dumps({a: s.model_dump() for a, s in agents.items()}))
    monkeypatch.setenv(Env.ARTIFACTS_BUCKET, "artifacts")
    parts = Parts(database)
    tenants = parts.tenants
    for name, concurrent in (("acme", 3), ("globex", 2)):
        limits = Limits(concurrent=concurrent, daily=1_000_000, timeout_seconds=600)
        tenants.add(Tenant(id=name, name=name.title(), overrides=limits, created_at=now()))
    return Store(parts, parts.dispatches, parts.workers, parts.slots, parts.claimer, tenants, queue_url, agents)


_TRUST = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}],
}


@pytest.fixture
def broker(store: Store, database: Database, emulator: str) -> Iterator[Broker]:
    iam = boto3.client("iam")
    name = f"attempt-{new_id()}"
    arn = iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(_TRUST))["Role"]["Arn"]
    credentials = AttemptCredentials(boto3.client("sts"), arn, "artifacts")
    boto3.client("s3").create_bucket(Bucket="artifacts")
    yield Broker(
        store=store.parts,
        agents=store.agents,
        credentials=credentials,
        grants=Grants(Budgets(database, store.dispatches, MonthlyLimits()), list[BudgetThreshold]().append),
        identities=Identities(CallerIdentity(emulator, REGION, "test"), boto3.client("ecs"), "outpost"),
        now=now,
    )
    iam.delete_role(RoleName=name)
