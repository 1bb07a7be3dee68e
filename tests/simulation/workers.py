"""The worker's program, whole, but for what would run an agent: that is a script of durations and endings.

Driven are `worker.__main__`, the waiting for work, the lease and its heartbeats, the order of an attempt's steps, its
results and their uploads.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import worker.__main__ as program
import worker.attempt
import worker.results
import worker.step_context
import worker.steps
import worker.store
from outpost.domain.agents import Agent
from outpost.domain.artifacts import LogSource
from outpost.domain.collection import Collection
from outpost.domain.findings import Findings
from outpost.domain.protocol import ClaimRequest, IdentityProof
from outpost.domain.usage import Tokens
from tests.simulation.ecs import Task
from tests.simulation.interpreter import Interpreter
from tests.simulation.scheduler import Host
from worker.agent_process import AgentEnd
from worker.archive import ArchiveFullError
from worker.collect import Patch
from worker.isolation import NoIsolation
from worker.model_proxy.meter import BudgetExceededError, GrantError, Meter, Purse, cost
from worker.outcome import Evidence
from worker.settings import Identity, Settings
from worker.stop import StopSignal
from worker.store import AttemptStore

BROKER = "broker"
MODEL = "claude-sonnet-5-5"
"""What agents call; its price is in outpost/domain/models.toml."""
CALLS = 4
"""Model calls of a run with a budget in dollars."""
MOST, USED = Tokens(output=40_000), Tokens(output=30_000)
"""What a call could use, and uses."""


@dataclass(frozen=True)
class Script:
    """What one dispatch's agent does: seconds until it is prepared, until it ends, and until results are collected."""

    preparing: float
    running: float
    collecting: float
    exit_code: int


@dataclass
class Stage:
    """What scripted parts read: which script a dispatch has, and who hears that an agent starts and ends."""

    interpreter: Interpreter
    folder: Path
    scripts: Callable[[str], Script]
    agent_starts: Callable[[Host, str, int], None]
    agent_ends: Callable[[Host, str, int], None]
    exit_of: Callable[[Host, int], None]
    registered: dict[str, Callable[..., object]]
    spent: Callable[[str, float], None]
    tasks: Callable[[], Mapping[str, Task]]

    def task(self) -> Task:
        """Return the task whose worker runs."""
        name = self.interpreter.host().name
        return next(task for task in self.tasks().values() if task.host.name == name)


class _Workspace:
    commit_before = commit_after = url = None
    lfs_pointers: Sequence[str] = ()

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self.private = stage.folder

    def prepare(self, *_: object) -> None:
        dispatch_id = self._stage.interpreter.host().about or ""
        self._stage.interpreter.sleep(self._stage.scripts(dispatch_id).preparing)

    def resume(self) -> None:
        self.prepare()

    def write_task(self, text: str) -> None:
        """The task is the script."""

    def remove(self) -> None:
        """Nothing was made."""


class _Archive:
    def __init__(self, stage: Stage) -> None:
        self._stage = stage

    def restore(self, _: object) -> bool:
        self._stage.interpreter.sleep(1)
        return False

    def save(self, _: object, __: float, reserve: Callable[[int], int | None]) -> int:
        self._stage.interpreter.sleep(2)
        if reserve(1_000) is not None:
            raise ArchiveFullError("the workspace is too large")
        return 1_000


class _Log:
    tail = "the last line"
    progress: str | None = None

    def __init__(self, stage: Stage, store: AttemptStore) -> None:
        self._stage, self._store = stage, store
        self._sent = False

    def event(self, message: str, level: str = "info") -> None:
        self.progress = message

    def write(self, source: LogSource, messages: Sequence[str], level: str = "info") -> list[str]:
        return list(messages)

    def close(self, timeout: float) -> None:
        self._store.put_chunk(1, b'{"timestamp":"2026-11-28T12:00:00Z","source":"agent","message":"done"}\n')

    def abandon(self) -> None:
        """Nothing waits."""


class _Agent:
    final_message = "done"
    settings_files: Sequence[str] = ()

    def __init__(self, stage: Stage, dispatch_id: str, token: int, purse: Purse | None) -> None:
        self._stage, self._id, self._token = stage, dispatch_id, token
        self.meter, self._calls = Meter(None, purse), CALLS if purse else 1
        self._has_budget = purse is not None

    def prepare(self, _: Mapping[str, str]) -> None:
        """No model is called."""

    def use(self, _: object) -> None:
        """No model is called."""

    def close(self) -> None:
        """Nothing is open."""

    def run(self, _: object, stop: StopSignal, on_message: Callable[[Any], object]) -> Evidence:
        stage, script = self._stage, self._stage.scripts(self._id)
        host, began = stage.interpreter.host(), stage.interpreter.monotonic()
        stage.agent_starts(host, self._id, self._token)
        stopped = self._work(stop, script.running)
        stage.agent_ends(host, self._id, self._token)
        code = 143 if stopped else script.exit_code
        end = AgentEnd(code, stage.interpreter.monotonic() - began, stopped=stop.cause if stopped else None)
        return Evidence(end, time_limit=600, refusal=self.meter.refusal)

    def _work(self, stop: StopSignal, seconds: float) -> bool:
        """Call the model now and then, where that has a budget; return whether the agent was stopped."""
        for _ in range(self._calls):
            if stop.wait(seconds / self._calls):
                return True
            if self._has_budget:
                self._call_model()
        return False

    def _call_model(self) -> None:
        try:
            reservation = self.meter.reserve(MODEL, MOST)
        except (BudgetExceededError, GrantError):
            return
        if reservation is not None:
            self._stage.spent(self._id, cost(MODEL, USED) or 0.0)
            with reservation:
                reservation.used = lambda: USED


def run_worker(stage: Stage, task: Task, agent: Agent) -> None:
    """Run a task's container to its end."""
    task.sigterm = lambda: _send_sigterm(stage, task)
    try:
        code = program.main()
    except SystemExit as left:
        code = int(left.code or 0)
    stage.exit_of(task.host, code)


def _send_sigterm(stage: Stage, task: Task) -> None:
    handler = stage.registered.get(task.host.name)
    if handler is not None:
        stage.interpreter.scheduler.signal(task.host, lambda: void(handler(15, None)))


def void(_: object) -> None:
    """Drop a value."""


@contextmanager
def scripted(stage: Stage) -> Iterator[None]:
    """Replace what would run an agent while the block lasts."""
    file = stage.folder / "output.log"
    file.write_text("done\n")

    def patch_of(*_: object) -> Any:  # noqa: ANN401
        def collect() -> Patch:
            stage.interpreter.sleep(stage.scripts(stage.interpreter.host().about or "").collecting)
            return Patch(file, 1, {}, Collection(), Findings(), None)

        return SimpleNamespace(collect=collect)

    record = SimpleNamespace(notes=(), used_tokens=0, budget_tokens=0)
    redactor = SimpleNamespace(text=str, known={}, register=_ignore, process_event=None)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(program, "read_settings", lambda _: _settings(stage))
        patch.setattr(program, "read_identity", lambda *_: Identity(stage.task().arn, stage.task().revision, 0.25, 512))
        patch.setattr(program, "_isolation", lambda _: NoIsolation())
        patch.setattr(program, "adopt_orphans", lambda: None)
        patch.setattr(program, "warm_up", lambda: None)
        patch.setattr(program, "_claims", _claims)
        patch.setattr(program, "os", SimpleNamespace(environ={}, umask=int))
        patch.setattr(
            program,
            "structlog",
            SimpleNamespace(configure=_ignore, contextvars=_context(stage), processors=_Anything()),
        )
        patch.setattr(
            program, "signal", SimpleNamespace(SIGTERM=15, signal=lambda _, handler: _register(stage, handler))
        )
        patch.setattr(worker.store, "_session", lambda _: stage.interpreter.session())
        patch.setattr(worker.step_context, "Workspace", lambda *_: _Workspace(stage))
        patch.setattr(worker.step_context, "Archive", lambda *_: _Archive(stage))
        patch.setattr(worker.step_context, "RunLog", lambda store, *_: _Log(stage, store))
        patch.setattr(
            worker.step_context,
            "AgentSession",
            lambda assignment, *rest: _Agent(stage, assignment.dispatch_id, assignment.lease.token, rest[-1]),
        )
        context = SimpleNamespace(record=record, text="", file=file)
        patch.setattr(worker.steps, "compose_prompt_context", lambda *_: context)
        patch.setattr(worker.step_context, "HeldRoom", lambda _: SimpleNamespace(take=_ignore, release=_ignore))
        patch.setattr(worker.attempt, "end_all", lambda *_, **__: None)
        patch.setattr(program, "AttemptRedactor", lambda: redactor)
        patch.setattr(worker.results, "SecretScan", lambda *_: None)
        patch.setattr(worker.results, "Collector", patch_of)
        yield


class _Anything:
    def __getattr__(self, name: str) -> Any:  # noqa: ANN401
        return _ignore


def _ignore(*_: object, **__: object) -> None:
    return None


def _context(stage: Stage) -> SimpleNamespace:
    def bind(dispatch_id: str | None = None, **_: object) -> None:
        if dispatch_id is not None:
            stage.interpreter.host().about = dispatch_id

    return SimpleNamespace(bind_contextvars=bind, merge_contextvars=None)


def _register(stage: Stage, handler: Callable[..., object]) -> None:
    stage.registered[stage.interpreter.host().name] = handler


def _claims(settings: Settings, identity: Identity) -> Callable[[], ClaimRequest]:
    proof = IdentityProof(
        access_key_id="A" * 20, session_token=identity.worker_id, signed_at="20261128T120000Z", signature="0" * 64
    )
    request = ClaimRequest(
        worker_id=identity.worker_id,
        task_arn=identity.task_arn,
        agent=settings.agent,
        revision=identity.revision,
        proof=proof,
    )
    return lambda: request


def _settings(stage: Stage) -> Settings:
    family = stage.task().family
    agent = Agent(family.rpartition("-")[2])
    return Settings(
        agent=agent,
        environment="simulation",
        queue_url=f"https://sqs/{agent}",
        broker_function=BROKER,
        git_base_url="https://git.test",
        git_allowed_hosts=frozenset(),
        launcher=None,
        agent_path="/bin",
        metadata_url="",
        workspaces=stage.folder,
    )
