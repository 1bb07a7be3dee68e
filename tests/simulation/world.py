"""One schedule: the environment, its functions and clients, wired as they are deployed."""

import json
from collections.abc import Callable
from functools import partial
from typing import Any

import broker.handler
import dispatch_changes.handler
import planner.handler
import reconciler.handler
import task_events.handler
import usage_events.handler
from outpost.domain.agents import Agent, AgentSettings
from outpost.domain.ids import now
from outpost.domain.tenants import Limits, Tenant
from outpost.names import Env
from outpost.store import keys, schema
from outpost.store.database import Database
from outpost.store.tenants import Tenants
from tests.simulation.aws import Boundary, Call, Operation, Recorded
from tests.simulation.bounds import LOOK, Bounds
from tests.simulation.clients import Clients
from tests.simulation.dynamodb import Change, FakeDynamoDB
from tests.simulation.ecs import FakeEcs, Task
from tests.simulation.faults import CALM_LAG, Faults
from tests.simulation.functions import FakeLambda, Function
from tests.simulation.interpreter import ENVIRONMENT, Interpreter
from tests.simulation.invariants import Monitor
from tests.simulation.observed import Violated
from tests.simulation.scenario import Scenario
from tests.simulation.scheduler import Event, Host, Scheduler
from tests.simulation.storage import FakeEvents, FakeS3, FakeSqs, sts_operations
from tests.simulation.workers import BROKER, Script, Stage, run_worker

PLANNER, RECONCILER, TASK_EVENTS, CHANGES = "planner", "reconciler", "task_events", "dispatch_changes"
USAGE_EVENTS = ENVIRONMENT[Env.USAGE_EVENTS_FUNCTION]
TABLES = {
    "dispatches": schema.DISPATCHES,
    "tenants": schema.TENANTS,
    "workers": schema.WORKERS,
    "queues": schema.QUEUES,
    "workspaces": schema.WORKSPACES,
}
PERIOD = 60.0
"""Seconds between two scheduled starts of planner and reconciler."""
TAIL = 600.0
"""Seconds after which everything is cleared away, once all dispatches have ended and no fault strikes."""
TAILS = 10
"""One of so many schedules runs on for that long."""
LONGEST = 3_000.0
"""Seconds within which all dispatches have ended after the last fault."""


class World:
    """Everything of one schedule."""

    def __init__(
        self,
        interpreter: Interpreter,
        stage: Stage,
        scenario: Scenario,
        faults: Faults,
        recorded: list[Recorded] | None = None,
    ) -> None:
        self.scenario, self.faults = scenario, faults
        self.scheduler = Scheduler()
        self.story: list[tuple[float, str, str]] | None = None
        self.monitor = Monitor(scenario, faults, self.scheduler, self._tell)
        self.boundary = Boundary(self.scheduler, faults, self.monitor.state_of)
        self.boundary.recorded = recorded
        self.dynamodb = FakeDynamoDB(TABLES, lambda: self.scheduler.now, self._lag, self._committed)
        self.ecs = FakeEcs(self.scheduler, faults, self._run_task, self._stopped, self._tell, self.monitor.launched)
        self.functions = FakeLambda(self.scheduler, faults, self._tell, self._functions())
        self.s3 = FakeS3(stored=self.monitor.stored)
        self.sqs, self.events = FakeSqs(self.scheduler, faults, faults.seed), FakeEvents()
        self._records: list[dict[str, Any]] = []
        self._arrived = Event(self.scheduler)
        self.clients = Clients(scenario, faults, self.scheduler, self.monitor)
        self._interpreter, self._stage = interpreter, stage
        self.monitor.watch(self.dynamodb, self.ecs)
        faults.states = self.monitor.states
        self._connect()
        self._set_stage()

    def _connect(self) -> None:
        services = self.boundary.operations
        services["dynamodb"] = {
            name: _stateless(getattr(self.dynamodb, name))
            for name in (
                "get_item",
                "put_item",
                "update_item",
                "delete_item",
                "query",
                "scan",
                "transact_write_items",
                "transact_get_items",
                "batch_get_item",
            )
        }
        services["ecs"] = self.ecs.operations()
        services["lambda"] = self.functions.operations()
        services["s3"] = self.s3.operations()
        services["sqs"] = self.sqs.operations()
        services["events"] = self.events.operations()
        services["sts"] = sts_operations(self.scheduler)

    def _set_stage(self) -> None:
        stage = self._stage
        stage.interpreter = self._interpreter
        stage.scripts = self._script
        stage.agent_starts, stage.agent_ends = self.monitor.agent_starts, self.monitor.agent_ends
        stage.exit_of = self._exited
        stage.spent = self.monitor.spent
        stage.registered = {}
        stage.tasks = lambda: self.ecs.tasks

    def _functions(self) -> dict[str, Function]:
        return {
            BROKER: Function(_plain(broker.handler.handler), 10),
            PLANNER: Function(_plain(planner.handler.handler), 60),
            RECONCILER: Function(_plain(reconciler.handler.handler), 75),
            TASK_EVENTS: Function(_plain(task_events.handler.handler), 30),
            CHANGES: Function(_plain(dispatch_changes.handler.handler), 60),
            USAGE_EVENTS: Function(_plain(usage_events.handler.handler), 30),
        }

    def _tell(self, who: str, what: str) -> None:
        if self.story is not None:
            self.story.append((self.scheduler.now, who, what))

    def tell_story(self) -> None:
        """Keep a timeline."""
        self.story = []
        self.boundary.log = lambda what: self._tell(self.scheduler.process().host.name, what)

    def run(self) -> Violated | None:
        """Run the schedule to its end; return what was violated first, None: nothing."""
        self._interpreter.enter(self.scheduler, self.boundary, self._variables(1))
        self._look(Bounds(self.monitor))
        try:
            self._start()
            self._run()
        except Violated:
            return self.monitor.violated
        finally:
            self.scheduler.close()
        return self.monitor.violated

    def _run(self) -> None:
        scheduler, monitor = self.scheduler, self.monitor
        last = max([order.at for order in self.scenario.orders], default=0.0)
        end = max(self.faults.until, last) + LONGEST
        scheduler.run(end, lambda: self.clients.all_answered and monitor.all_ended())
        monitor.check_ended()
        if self.faults.seed % TAILS == 0:
            scheduler.run(max(scheduler.now, self.faults.until, self.faults.latest) + TAIL)
            monitor.check_cleared()
            monitor.check_counted({event["id"] for event in self.events.taken}, self._dead_letters())

    def _look(self, bounds: Bounds) -> None:
        bounds.look()
        self.scheduler.after(LOOK, lambda: self._look(bounds))

    def _dead_letters(self) -> set[str]:
        """Return the ids of the ended dispatches in the dead letters of usage_events."""
        bodies = [json.loads(body) for body in self.sqs.sent.get(ENVIRONMENT[Env.DEAD_LETTERS], ())]
        payloads = [payload for name, payload in self.functions.dead_letters if name == USAGE_EVENTS]
        payloads += [json.loads(body["payload"]) for body in bodies if body["function"] == USAGE_EVENTS]
        return {ended["id"] for payload in payloads for ended in payload["ended"]}

    def _start(self) -> None:
        host = Host("operator", self.faults.seed)
        self.scheduler.start(host, self._populate)
        for name, first in ((PLANNER, 1.0), (RECONCILER, host.random.uniform(0, 60))):
            self.scheduler.start(Host(f"schedule of {name}", 0), partial(self._repeat, name), first)
        self.scheduler.start(Host("stream", self.faults.seed), self._follow)
        for order in self.scenario.orders:
            for copy in range(order.repeats):
                self.clients.start(order, copy)
        if suspension := self.scenario.suspension:
            self.scheduler.after(suspension.at, partial(self._set_status, suspension.tenant, "suspended"))
            self.scheduler.after(
                suspension.at + suspension.seconds, partial(self._set_status, suspension.tenant, "active")
            )
        if self.faults.deploy_at is not None and self.faults.note("deploy", 0):
            self.scheduler.start(Host("deploy", 0), self._deploy, self.faults.deploy_at)

    def _populate(self) -> None:
        """Write the tenants, without the boundary: they are there from the start."""
        for name, concurrent in self.scenario.tenants.items():
            limits = Limits(
                concurrent=concurrent,
                daily=self.scenario.daily[name],
                timeout_seconds=86_400,
                monthly_budget_usd=self.scenario.budgets[name],
            )
            tenant = Tenant(id=name, name=name, overrides=limits, created_at=now())
            Tenants(_direct(self.dynamodb)).add(tenant)

    def _set_status(self, tenant_id: str, status: str) -> None:
        """Suspend or resume a tenant, as the operator does."""
        Tenants(_direct(self.dynamodb)).change(tenant_id, status=status)
        self._tell("operator", f"{tenant_id} is {status}")
        self.monitor.status_changed(tenant_id, status)

    def _variables(self, revision: int) -> dict[str, str]:
        agents: dict[Agent, AgentSettings] = self.scenario.agents
        return {
            Env.AGENTS: json.dumps({agent: settings.model_dump(mode="json") for agent, settings in agents.items()}),
            Env.REVISIONS: json.dumps(dict.fromkeys(agents, revision)),
            Env.MODEL_BUDGET: str(self.scenario.budget or ""),
        }

    def _deploy(self) -> None:
        self.ecs.revision += 1
        self.faults.meet("deploy")
        self._tell("deploy", f"revision {self.ecs.revision} of everything")
        self._interpreter.enter(self.scheduler, self.boundary, self._variables(self.ecs.revision))

    def _repeat(self, function: str) -> None:
        count = 0
        while True:
            count += 1
            self.functions.send(function, {}, f"{function}-{count}", retries=())
            self.scheduler.wait(PERIOD)

    def _script(self, dispatch_id: str) -> Script:
        return self.scenario.order(self.monitor.number_of(dispatch_id)).script

    def _lag(self, _: str) -> float:
        return self.faults.index_lag if self.scheduler.now < self.faults.until else CALM_LAG

    def _committed(self, changes: Any) -> None:  # noqa: ANN401
        for change in changes:
            if change.table == "dispatches" and change.key[1] == keys.ROW and change.new:
                self._records.append(self._record(change))
                self._arrived.set()
        self.monitor.committed(changes)

    def _record(self, change: Change) -> dict[str, Any]:
        number = str(self.scheduler.steps)
        images: dict[str, Any] = {"NewImage": change.new} | ({"OldImage": change.old} if change.old else {})
        images |= {"ApproximateCreationDateTime": 1.8e9, "SequenceNumber": number}
        return {"eventID": number, "dynamodb": images}

    def _follow(self) -> None:
        """The stream: delivers batches, each until it is handled."""
        count = 0
        while True:
            if not self._records:
                self._arrived.clear()
                self._arrived.wait()
            self.scheduler.wait(self.faults.stream_lag if self.scheduler.now < self.faults.until else 0.3)
            batch, self._records = self._records, []
            while batch:
                count += 1
                invocation = self.functions.start(CHANGES, {"Records": batch}, f"changes-{count}", None)
                invocation.done.wait()
                if invocation.error is None and not invocation.host.dead:
                    break
                self.scheduler.wait(2.0)

    def _run_task(self, task: Task) -> None:
        run_worker(self._stage, task, Agent(task.family.removeprefix("outpost-")))

    def _exited(self, host: Host, code: int) -> None:
        task = next(task for task in self.ecs.tasks.values() if task.host is host)
        self.monitor.exited(task, code)
        self.scheduler.after(
            0.5, lambda: self.ecs.end(task, "EssentialContainerExited", "Essential container exited", code)
        )

    def _stopped(self, task: Task) -> None:
        """EventBridge: reports a stopped task, late, twice or not at all."""
        faults, draw, shares = self.faults, task.host, self.faults.events
        moment = self.scheduler.now
        if faults.strikes("event lost", shares.get("lost", 0.0), draw, moment):
            return
        late = faults.strikes("event late", shares.get("late", 0.0), draw, moment)
        very = faults.strikes("event very late", shares.get("very late", 0.0), draw, moment)
        copies = 1 + faults.strikes("event doubled", shares.get("doubled", 0.0), draw, moment)
        for copy in range(copies):
            delay = 9_000.0 if very else draw.random.uniform(20, 400) if late else draw.random.uniform(0.5, 3)
            label = f"{task.host.name}/stopped-{copy}"
            self.scheduler.after(delay + copy, partial(self._report, task, label))

    def _report(self, task: Task, label: str) -> None:
        self.functions.send(TASK_EVENTS, {"detail": task.described()}, label)


def _stateless(operation: Callable[[dict[str, Any]], dict[str, Any]]) -> Operation:
    def apply(request: dict[str, Any], _: Call) -> dict[str, Any]:
        return operation(request)

    return apply


def _plain(handler: Any) -> Callable[[dict[str, Any], Any], object]:  # noqa: ANN401
    """Return a handler without what logs its invocation."""
    return getattr(handler, "__wrapped__", handler)  # type: ignore[no-any-return]


class _Direct:
    """A client that nothing cuts."""

    def __init__(self, dynamodb: FakeDynamoDB) -> None:
        self._dynamodb = dynamodb

    def __getattr__(self, operation: str) -> Callable[..., dict[str, Any]]:
        return lambda **request: getattr(self._dynamodb, operation)(request)


def _direct(dynamodb: FakeDynamoDB) -> Database:
    client: Any = _Direct(dynamodb)
    return Database(client, *TABLES)
