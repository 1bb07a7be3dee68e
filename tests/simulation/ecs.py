"""ECS: tasks that start late, never, or end at any time; lists and descriptions that lag; events of stopped tasks."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from outpost.names import WORKER_CONTAINER
from tests.simulation.aws import Call, Operation
from tests.simulation.errors import client_error
from tests.simulation.faults import Faults, task_fate
from tests.simulation.scheduler import Host, Scheduler

STOP_TIMEOUT = 120.0
"""Seconds between SIGTERM and SIGKILL (constructs/outpost_constructs/worker_task.py)."""
REMEMBERED = 3_600.0
"""Seconds for which a stopped task is described."""
Request = dict[str, Any]
Response = dict[str, Any]


@dataclass(eq=False)
class Task:
    """One task, as it is."""

    id: str
    family: str
    revision: int
    started_by: str
    created: float
    host: Host
    running: bool = False
    stop_asked: float | None = None
    stopped: float | None = None
    stop_code: str = ""
    reason: str = ""
    exit_code: int | None = None
    sigterm: Callable[[], None] = lambda: None

    @property
    def arn(self) -> str:
        return f"arn:aws:ecs:us-east-1:000000000000:task/outpost/{self.id}"

    def described(self) -> dict[str, Any]:
        """Return the task as DescribeTasks and events show it."""
        container = {"name": WORKER_CONTAINER} | ({} if self.exit_code is None else {"exitCode": self.exit_code})
        status = "STOPPED" if self.stopped is not None else "RUNNING" if self.running else "PENDING"
        return {
            "taskArn": self.arn,
            "clusterArn": "arn:aws:ecs:us-east-1:000000000000:cluster/outpost",
            "taskDefinitionArn": f"arn:aws:ecs:us-east-1:000000000000:task-definition/{self.family}:{self.revision}",
            "lastStatus": status,
            "desiredStatus": "STOPPED" if self.stopped is not None or self.stop_asked is not None else "RUNNING",
            "startedBy": self.started_by,
            "group": f"family:{self.family}",
            "containers": [container],
        } | ({"stopCode": self.stop_code, "stoppedReason": self.reason} if status == "STOPPED" else {})


@dataclass
class FakeEcs:
    """The cluster. `run` is what a task's container does, `stopped` hears of ended tasks, `launched` of new ones."""

    scheduler: Scheduler
    faults: Faults
    run: Callable[[Task], None]
    stopped: Callable[[Task], None]
    log: Callable[[str, str], None]
    launched: Callable[[list[Task]], None] = lambda tasks: None
    revision: int = 1
    tasks: dict[str, Task] = field(default_factory=dict)
    _answers: dict[str, tuple[int, Response]] = field(default_factory=dict)

    def operations(self) -> dict[str, Operation]:
        return {
            "run_task": self.run_task,
            "list_tasks": self.list_tasks,
            "describe_tasks": self.describe_tasks,
            "stop_task": self.stop_task,
        }

    def run_task(self, request: Request, call: Call) -> Response:
        token = request["clientToken"]
        if token in self._answers:
            return self._repeated(request)
        size: int = request["count"]
        refused = self.faults.strikes(
            "no capacity", self.faults.no_capacity, call.host, self.scheduler.now, f" call {call.host.calls}"
        )
        granted = call.host.random.randrange(size) if refused else size
        made = [self._launch(request) for _ in range(granted)]
        failures = [{"reason": "Capacity is unavailable at this time"}] if refused else []
        self._answers[token] = size, {"tasks": [task.described() for task in made], "failures": failures}
        self.launched(made)
        return self._answers[token][1]

    def _repeated(self, request: Request) -> Response:
        """Return the first response; another request with the same token is refused (RunTask: ConflictException)."""
        size, response = self._answers[request["clientToken"]]
        if size != request["count"]:
            arns = [task["taskArn"] for task in response["tasks"]]
            raise client_error("RunTask", "ConflictException", "The clientToken is in use.", resourceIds=arns)
        return response

    def _launch(self, request: Request) -> Task:
        number, now = len(self.tasks) + 1, self.scheduler.now
        host = Host(f"task-{number}", self.faults.seed)
        host.skew = host.random.uniform(-self.faults.skew, self.faults.skew)
        task = Task(f"{number:032x}", request["taskDefinition"], self.revision, request["startedBy"], now, host)
        self.tasks[task.arn] = task
        fate = task_fate(self.faults, host, now)
        delay = host.random.uniform(8, 40)
        if fate in ("never starts", "starts late", "fails to start"):
            self.faults.meet(f"task {fate}")
        if fate == "never starts":
            return task
        if fate == "starts late":
            delay = host.random.uniform(60, 290)
        if fate == "fails to start":
            self.scheduler.after(
                delay, lambda: self.end(task, "TaskFailedToStart", "CannotPullContainerError: i/o timeout", None)
            )
            return task
        self.scheduler.after(delay, lambda: self._start(task, fate))
        return task

    def _start(self, task: Task, fate: str | None) -> None:
        if task.stopped is not None:
            return
        task.running = True
        task.host.on_death.append(
            lambda: self.scheduler.after(2.0, lambda: self.end(task, "EssentialContainerExited", "", 137))
        )
        self.log(task.host.name, "starts")
        self.scheduler.start(task.host, lambda: self.run(task))
        soon = task.host.random.expovariate(1 / 40)
        effect = self._effect(task, fate, soon)
        if effect is not None:
            self.scheduler.after(soon, lambda: self._strike(task, fate, effect))

    def _strike(self, task: Task, fate: str | None, effect: Callable[[], None]) -> None:
        if task.stopped is None:
            self.faults.meet(f"task {fate}", task.host)
            effect()

    def _effect(self, task: Task, fate: str | None, soon: float) -> Callable[[], None] | None:
        """Return what becomes of a task soon after its start, None: nothing bad."""
        if fate == "crashes":
            return lambda: self.end(task, "EssentialContainerExited", "", 137)
        if fate == "is interrupted":
            return lambda: self._stop(task, "SpotInterruption", "Your Spot Task was interrupted.")
        if fate == "hangs":
            return lambda: self.scheduler.freeze(task.host, 1e9)
        if fate == "stands still":
            seconds = task.host.random.uniform(20, 100)
            self.faults.latest = max(self.faults.latest, self.scheduler.now + soon + seconds)
            return lambda: self.scheduler.freeze(task.host, seconds)
        if fate == "is cut off":
            seconds = task.host.random.uniform(20, 400)
            task.host.cut_off = self.scheduler.now + soon, self.scheduler.now + soon + seconds
            self.faults.latest = max(self.faults.latest, task.host.cut_off[1])
        return None

    def _stop(self, task: Task, code: str, reason: str) -> None:
        if task.stopped is not None or task.stop_asked is not None:
            return
        task.stop_asked, task.stop_code, task.reason = self.scheduler.now, code, reason
        self.log(task.host.name, f"is to stop: {code} {reason}")
        if not task.running:
            self.scheduler.after(2.0, lambda: self.end(task, code, reason, None))
            return
        task.sigterm()
        self.scheduler.after(STOP_TIMEOUT, lambda: self.end(task, code, reason, 137))

    def end(self, task: Task, code: str, reason: str, exit_code: int | None) -> None:
        """The task's container is gone."""
        if task.stopped is not None:
            return
        task.stopped, task.exit_code = self.scheduler.now, exit_code
        task.stop_code, task.reason = task.stop_code or code, task.reason or reason
        self.log(task.host.name, f"ended: {task.stop_code} {task.reason} exit code {exit_code}")
        self.scheduler.kill(task.host)
        self.stopped(task)

    def list_tasks(self, request: Request, _: Call) -> Response:
        moment = self.scheduler.now - self.faults.list_lag
        wanted: Mapping[str, object] = {
            "family": request.get("family"),
            "started_by": request.get("startedBy"),
        }
        found = [
            task.arn
            for task in self.tasks.values()
            if task.created <= moment
            and all(value is None or getattr(task, name) == value for name, value in wanted.items())
            and self._listed(task, moment, request.get("desiredStatus", "RUNNING"))
        ]
        return {"taskArns": found}

    @staticmethod
    def _listed(task: Task, moment: float, status: str) -> bool:
        ending = min((each for each in (task.stopped, task.stop_asked) if each is not None), default=None)
        gone = ending is not None and ending <= moment
        return gone == (status == "STOPPED") and (task.stopped is None or moment - task.stopped < REMEMBERED)

    def describe_tasks(self, request: Request, _: Call) -> Response:
        moment = self.scheduler.now - self.faults.list_lag
        found, missing = [], []
        for name in request["tasks"]:
            task = self._find(name)
            forgotten = task and task.stopped is not None and moment - task.stopped > REMEMBERED
            if task is None or forgotten or task.created > moment:
                missing.append({"arn": name, "reason": "MISSING"})
            else:
                found.append(task.described())
        return {"tasks": found, "failures": missing}

    def _find(self, name: str) -> Task | None:
        """Return the task of an ARN or an id."""
        return next((task for task in self.tasks.values() if name in (task.arn, task.id)), None)

    def stop_task(self, request: Request, _: Call) -> Response:
        task = self._find(request["task"])
        if task is None:
            raise client_error("StopTask", "InvalidParameterException", "The referenced task was not found.")
        self._stop(task, "UserInitiated", request.get("reason", ""))
        return {"task": task.described()}
