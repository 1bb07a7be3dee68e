"""The reconciler's and the planner's functions at 10,000 active rows: within their memory, in parts, none left out.

Each function runs in a process of its own, as Lambda runs it, with passes so short that one cannot see all rows.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any

import boto3
import pytest

from outpost.domain.agents import Agent
from outpost.domain.dispatch import Dispatch, Spec, Status
from outpost.domain.ids import new_id, now
from outpost.domain.lifecycle import Claim, apply
from outpost.domain.tenants import Limits, Tenant
from outpost.domain.workers import Worker, WorkerState
from outpost.names import Env
from outpost.store.database import Database, to_attributes
from outpost.store.heartbeat_snapshot import HeartbeatSnapshot
from outpost.store.rows import items_of, queue_entry
from outpost.store.schema import ACTIVE_SHARDS

Store = Any
pytestmark = pytest.mark.full

ROWS = 10_000
TENANTS = 30
"""Each with a slot that is taken, so that the planner looks at all of them in vain; the last has room."""
UNQUEUED, LATE = 60, 40
"""Rows that the reconciler has to heal: in no queue, and over their queue timeout."""
CALLS = TENANTS + 1
"""Invocations of a function at most: each sees one tenant or page more, however slow the machine is."""
_RUN = """
import re, sys
from datetime import timedelta
from importlib import import_module
from pathlib import Path

function, request, seconds = sys.argv[1:]
module, name = {"reconciler": ("reconciler.handler", "PERIOD"), "planner": ("planner.demand", "WALK_LIMIT")}[function]
setattr(import_module(module), name, timedelta(seconds=float(seconds)))

class Context:
    function_name, memory_limit_in_mb, invoked_function_arn, aws_request_id = function, 512, "arn", request
    def get_remaining_time_in_millis(self):
        return 60_000

import_module(f"{function}.handler").handler({"figures": []}, Context())
# The most memory that was resident; getrusage counts the parent's before exec as well.
print(int(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]) / 1024)
"""
_TEMPLATE = Path(__file__).parents[1] / "infra/__snapshots__/test_snapshots"
_NAME = "test_templates_change_only_on_purpose[prod-Fleet].json"


def memory_of(function: str) -> int:
    """Return the memory of a function in MB, as it is deployed."""
    resources = json.loads((_TEMPLATE / _NAME).read_text(encoding="utf-8"))["Resources"].values()
    (memory,) = (
        each["Properties"]["MemorySize"]
        for each in resources
        if each["Type"] == "AWS::Lambda::Function"
        and each["Properties"].get("Handler") == f"{function}.handler.handler"
    )
    return int(memory)


def invoke(function: str, seconds: float) -> None:
    """Run a function once, each part of its work for so long, within its memory."""
    done = subprocess.run(
        [sys.executable, "-c", _RUN, function, new_id(), str(seconds)],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "POWERTOOLS_LOG_LEVEL": "WARNING"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2_000:]
    megabytes = float(done.stdout.splitlines()[-1])
    print(f"{function}: {megabytes:.0f} MB")
    assert megabytes < memory_of(function)


def pending(tenant_id: str, at: datetime) -> Dispatch:
    return Dispatch(
        id=new_id(),
        tenant_id=tenant_id,
        created_by="otp_00000000",
        spec=Spec(agent=Agent.SHELL, tags={"team": "blue"}),
        expires_at=int((now() + timedelta(days=30)).timestamp()),
        created_at=at,
        queued_at=at,
    )


def write(database: Database, table: str, items: Iterable[Mapping[str, Any]]) -> None:
    puts = iter({"PutRequest": {"Item": item}} for item in items)
    while some := list(islice(puts, 25)):
        database.client.batch_write_item(RequestItems={table: some})  # type: ignore[dict-item]


def tenant_of(number: int) -> str:
    return f"t{number % TENANTS:03d}"


@pytest.fixture
def rows(store: Store, database: Database, monkeypatch: pytest.MonkeyPatch) -> list[Dispatch]:
    """Fill the tables; the first rows are held by workers, the next ones are late, the next in no queue."""
    at, ecs = now(), boto3.client("ecs")
    ecs.create_cluster(clusterName=(cluster := f"c-{new_id()}"))
    family = store.agents[Agent.SHELL].family
    ecs.register_task_definition(family=family, containerDefinitions=[{"name": "worker", "image": "i", "memory": 64}])
    subnet = boto3.client("ec2").describe_subnets()["Subnets"][0]["SubnetId"]
    boto3.client("s3").create_bucket(Bucket=(bucket := f"artifacts-{new_id().lower()}"))
    settings = store.agents[Agent.SHELL].model_copy(update={"limit": TENANTS + 3, "warm": 0})
    variables = {
        Env.AGENTS: json.dumps({Agent.SHELL: settings.model_dump()}),
        Env.ARTIFACTS_BUCKET: bucket,
        Env.BROKER_FUNCTION: "broker",
        Env.CLUSTER: cluster,
        Env.REVISIONS: "{}",
        Env.WORKER_SECURITY_GROUP: "sg-1",
        Env.WORKER_SUBNETS: subnet,
    }
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    tasks = [
        ecs.run_task(cluster=cluster, taskDefinition=family, count=1, startedBy=new_id())["tasks"][0]["taskArn"]
        for _ in range(TENANTS - 1)
    ]
    held = [apply(pending(tenant_of(n), at), Claim(arn.rpartition("/")[2], 0, at)) for n, arn in enumerate(tasks)]
    late = [pending(tenant_of(n), at - timedelta(days=2)) for n in range(LATE)]
    waiting = [pending(tenant_of(n), at) for n in range(ROWS - len(held) - len(late))]
    made = [*held, *late, *waiting]
    write(database, database.dispatches, (items_of(row)[0] for row in made))
    write(database, database.queues, map(queue_entry, late + waiting[UNQUEUED:]))
    write(database, database.workers, map(worker_item, held, tasks))
    write(database, database.workers, (slot_item(row, at) for row in held))
    for number in range(TENANTS):
        limits = Limits(concurrent=1, daily=100, timeout_seconds=600)
        store.tenants.add(Tenant(id=tenant_of(number), name="t", overrides=limits, created_at=at))
    return made


def worker_item(row: Dispatch, task_arn: str) -> Mapping[str, Any]:
    worker = Worker(
        worker_id=row.worker_id or "",
        task_arn=task_arn,
        agent=Agent.SHELL,
        revision=1,
        worker_state=WorkerState.BUSY,
        launched_at=row.created_at,
        dispatch_id=row.id,
        fencing_token=1,
        proven=True,
    )
    keys = {"pk": f"WORKERS#{Agent.SHELL}", "sk": row.worker_id}
    return to_attributes(keys | worker.model_dump(mode="json"))


def slot_item(row: Dispatch, at: datetime) -> Mapping[str, Any]:
    slot = {"dispatch_id": row.id, "claimed_at": at.isoformat(), "held_by_agent": row.spec.agent}
    return to_attributes({"pk": f"TENANT#{row.tenant_id}", "sk": "SLOT#000"} | slot)


def test_ten_thousand_rows_are_planned_for_and_healed_a_part_at_a_time(
    store: Store, database: Database, rows: list[Dispatch]
) -> None:
    held, late, unqueued = rows[: TENANTS - 1], rows[TENANTS - 1 :][:LATE], rows[TENANTS - 1 + LATE :][:UNQUEUED]
    store.await_indexes()
    assert sum(len(store.dispatches.live.page(n, " ", ROWS)) for n in range(ACTIVE_SHARDS)) == ROWS
    plan_until_a_worker_starts(store)
    invoke("reconciler", 0.01)
    snapshot = HeartbeatSnapshot(database)
    snapshot.take_over("test")
    assert snapshot.state("test").row is not None  # where the next pass continues
    for _ in range(CALLS):
        invoke("reconciler", 2)
        ended = [row for row in late if store.dispatches.get(row.id).status is Status.FAILED]
        left = store.dispatches.live.without_entry(store.dispatches.live.states(row.id for row in unqueued).values())
        if len(ended) == LATE and not left:
            break
    assert (len(ended), left) == (LATE, [])
    assert {store.dispatches.get(row.id).status for row in held} == {Status.PROVISIONING}


def plan_until_a_worker_starts(store: Store) -> None:
    """Only the last of all tenants has a free slot: for it one worker starts."""
    for _ in range(CALLS):
        invoke("planner", 3)
        if started := len(store.workers.alive(Agent.SHELL)) - (TENANTS - 1):
            break
    assert started == 1
