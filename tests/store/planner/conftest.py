"""Fargate's quotas and faults under a virtual clock: the planner, the store and its tables are the real ones."""

import heapq
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import count
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError, ReadTimeoutError

from outpost.domain.agents import Agent, AgentSettings
from outpost.domain.diagnosis import TaskStop
from outpost.domain.dispatch import Status
from outpost.domain.ids import now
from outpost.domain.lifecycle import Start
from outpost.domain.tenants import Limits
from outpost.domain.workers import Worker, WorkerState
from outpost.fleet.recovery import Recovery
from outpost.fleet.worker_termination import WorkerTermination
from outpost.store.artifacts import Artifacts
from outpost.store.database import ConflictError, Database
from outpost.store.launches import Launches
from outpost.store.planner_lock import PlannerLock
from planner.demand import Demand
from planner.launcher import Launcher, NoResponseError, Placement
from planner.planner import Planner

Store = Any
START_SECONDS = 30.0
"""What Fargate takes from RunTask to the first instruction."""


class Clock:
    """A virtual clock; advancing it runs what was due in order."""

    def __init__(self) -> None:
        self.start = now()
        self.seconds = 0.0
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._order = count()

    def now(self) -> datetime:
        return self.start + timedelta(seconds=self.seconds)

    def later(self, seconds: float, action: Callable[[], None]) -> None:
        heapq.heappush(self._due, (self.seconds + seconds, next(self._order), action))

    def sleep(self, seconds: float) -> None:
        end = self.seconds + seconds
        while self._due and self._due[0][0] <= end:
            self.seconds, _, action = heapq.heappop(self._due)
            action()
        self.seconds = end


@dataclass
class Quota:
    """A token bucket of AWS's."""

    clock: Clock
    per_second: float
    burst: float
    tokens: float = 0
    counted: float = 0

    def __post_init__(self) -> None:
        self.tokens = self.burst

    def take(self, amount: float) -> bool:
        self.tokens = min(self.burst, self.tokens + (self.clock.seconds - self.counted) * self.per_second)
        self.counted = self.clock.seconds
        if self.tokens < amount - 1e-6:  # floats
            return False
        self.tokens -= amount
        return True


@dataclass
class SimulatedEcs:
    """RunTask as Fargate answers it. What happens to a task that started is `on_start`."""

    clock: Clock
    vcpu_limit: int = 10_000
    never_starts: float = 0
    calls: Counter[str] = field(default_factory=Counter)
    launched: list[tuple[float, str, str]] = field(default_factory=list)
    """When, on which provider and in which subnet tasks were launched."""
    full_zones: set[str] = field(default_factory=set)
    spot_is_full: bool = False
    unreachable: bool = False
    loses_responses: int = 0
    """So many responses are lost: the tasks start, and the caller sees a time-out."""
    before_call: Callable[[], None] = lambda: None
    revision: int = 1
    stopped: int = 0
    on_start: Callable[[dict[str, Any]], None] = lambda task: None

    def __post_init__(self) -> None:
        self._launches = Quota(self.clock, 20, 100)
        self._calls = Quota(self.clock, 20, 20)
        self._random = random.Random(7)
        self._responses: dict[str, dict[str, Any]] = {}
        self._counts: dict[str, int] = {}

    def run_task(self, **request: Any) -> dict[str, Any]:  # noqa: ANN401 - boto3's request
        self.calls["run_task"] += 1
        self.before_call()
        if self.unreachable:
            raise EndpointConnectionError(endpoint_url="https://ecs")
        response = self._responses.get(request["clientToken"])
        if response is None:
            response = self._responses[request["clientToken"]] = self._run_task(request)
            self._counts[request["clientToken"]] = request["count"]
        elif request["count"] != self._counts[request["clientToken"]]:
            error: Any = {"Error": {"Code": "ConflictException"}, "ResponseMetadata": {"HTTPStatusCode": 400}}
            raise ClientError(error | {"resourceIds": [task["taskArn"] for task in response["tasks"]]}, "RunTask")
        if self.loses_responses:
            self.loses_responses -= 1
            raise ReadTimeoutError(endpoint_url="https://ecs")
        return response

    def _run_task(self, request: dict[str, Any]) -> dict[str, Any]:
        size: int = request["count"]
        if not self._calls.take(1) or not self._launches.take(size):
            self.calls["throttled"] += 1
            words = "Rate exceeded while launching tasks"
            error: Any = {"Error": {"Code": "ClientException", "Message": words}}
            raise ClientError(error | {"ResponseMetadata": {"HTTPStatusCode": 400}}, "RunTask")
        provider = request["capacityProviderStrategy"][0]["capacityProvider"]
        subnet = request["networkConfiguration"]["awsvpcConfiguration"]["subnets"][0]
        if subnet in self.full_zones or (provider == "FARGATE_SPOT" and self.spot_is_full):
            return {"tasks": [], "failures": [{"reason": "Capacity is unavailable at this time"}] * size}
        room = max(0, self.vcpu_limit - len(self.launched) + self.stopped)
        failures = [{"reason": "You've reached the limit on the number of vCPUs"}] * max(0, size - room)
        return {"tasks": [self._launch(provider, subnet) for _ in range(min(size, room))], "failures": failures}

    def _launch(self, provider: str, subnet: str) -> dict[str, Any]:
        self.launched.append((self.clock.seconds, provider, subnet))
        task = {
            "taskArn": f"arn:aws:ecs:us-east-1:000000000000:task/outpost/{len(self.launched):032d}",
            "taskDefinitionArn": f"arn:aws:ecs:us-east-1:000000000000:task-definition/outpost-shell:{self.revision}",
        }
        if self._random.random() >= self.never_starts:
            self.clock.later(START_SECONDS, lambda: self.on_start(task))
        return task


@dataclass
class World:
    """A planner, workers that run dispatches for a while, and the time."""

    store: Store
    clock: Clock
    ecs: SimulatedEcs
    planner: Planner
    termination: WorkerTermination
    run_seconds: float = 3_600
    crashes: bool = False
    ran: Counter[str] = field(default_factory=Counter)
    idle: list[Worker] = field(default_factory=list)

    def queue(self, number: int) -> list[str]:
        return [self.store.dispatch().id for _ in range(number)]

    def start(self, task: dict[str, Any]) -> None:
        """A task runs: the worker asks for work, as the broker would let it."""
        worker_id = task["taskArn"].rpartition("/")[2]
        if self.crashes:
            self.ecs.stopped += 1
            self.termination.handle(
                Agent.SHELL, worker_id, TaskStop("EssentialContainerExited", "bad", 1), self.clock.now()
            )
            return
        # Its row may not be written yet: the planner waits for ECS.
        asking = Worker(
            worker_id=worker_id,
            task_arn=task["taskArn"],
            agent=Agent.SHELL,
            revision=int(task["taskDefinitionArn"].rpartition(":")[2]),
            worker_state=WorkerState.IDLE,
            launched_at=self.clock.now(),
            proven=True,
        )
        try:
            worker = self.store.workers.idle(asking)
        except ConflictError:
            return
        self.planner.launches.succeeded(Agent.SHELL, worker.launched_at)
        self._claim(worker)

    def _claim(self, worker: Worker) -> None:
        queued = self.store.dispatches.live.queued("shell", "acme", limit=3)
        free = self.store.slots.of("acme").free(self.store.tenants.get("acme").limits.concurrent)
        row = self.store.claimer.claim(worker, queued, free, self.clock.now())
        if row is None:
            self.idle.append(worker)
            self.leave(worker)
            return
        self.store.dispatches.change(row.id, Start(row.lease, self.clock.now()))
        self.ran[row.id] += 1

    def leave(self, worker: Worker) -> None:
        """A late starter finds nothing and leaves."""
        self.ecs.stopped += 1
        self.termination.handle(
            Agent.SHELL, worker.worker_id, TaskStop("EssentialContainerExited", "", 0), self.clock.now()
        )

    def wake_planner(self) -> None:
        """Start the planner as its Lambda would be."""
        try:
            self.planner.work(str(self.clock.seconds), self.clock.now() + timedelta(seconds=45))
        except NoResponseError:
            self.ecs.calls["errors"] += 1

    def pass_time(self, seconds: float) -> None:
        """Let time pass; the planner's schedule starts it each minute."""
        end = self.clock.seconds + seconds
        while self.clock.seconds < end:
            self.wake_planner()
            self.clock.sleep(min(60, max(0.0, end - self.clock.seconds)))

    def running(self) -> int:
        return sum(self.store.dispatches.get(id_).status is Status.RUNNING for id_ in self.ran)


@pytest.fixture
def world(store: Store, database: Database) -> World:
    limits = Limits(concurrent=1_000, daily=1_000_000, timeout_seconds=86_400)
    store.tenants.change("acme", overrides=limits)
    clock = Clock()
    agents = {Agent.SHELL: AgentSettings(queue_url=store.queue_url, family="outpost-shell", limit=1_000)}
    launches = Launches(database)
    ecs = SimulatedEcs(clock)
    placement = Placement("outpost", ["zone-a", "zone-b"], "sg")
    client: Any = ecs
    launcher = Launcher(client, placement, agents, store.workers, launches, clock.now, random.Random(1))
    planner = Planner(
        agents,
        Demand(store.dispatches.live, store.tenants, store.slots, clock.now),
        store.workers,
        launches,
        PlannerLock(database, clock.now),
        launcher,
        clock.now,
        clock.sleep,
    )
    recovery = Recovery(store.dispatches, Artifacts(None, "none"))  # type: ignore[arg-type]
    made = World(store, clock, ecs, planner, WorkerTermination(store.workers, store.dispatches, recovery, launches))
    ecs.on_start = made.start
    return made


@pytest.fixture
def with_settings(world: World) -> Callable[..., Planner]:
    """Give the shell agent other settings."""

    def change(**fields: Any) -> Planner:  # noqa: ANN401 - the settings' fields
        agents: Any = world.planner.agents
        agents[Agent.SHELL] = agents[Agent.SHELL].model_copy(update=fields)
        return world.planner

    return change
