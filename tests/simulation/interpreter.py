"""The world under the code: time, threads, randomness, ids and boto3's clients are the simulation's while it runs.

Everything is replaced in the modules of our own that are loaded, and nowhere else; one entry point for each, so that
code that takes a clock as a parameter and code that takes the interpreter's are driven alike.
"""

import logging
import os
import random
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, tzinfo
from types import ModuleType, SimpleNamespace
from typing import Any

import boto3
import pytest
import structlog
import ulid
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from ulid import PureRandomPolicy, ULIDGenerator

import broker.handler
import broker.identity
import dispatch_changes.handler
import planner.handler
import planner.launcher
import reconciler.handler
import reconciler.row_check
import reconciler.worker_check
import task_events.handler
import usage_events.handler
from outpost.aws.caller_identity import TIMEOUTS, TRIES, Caller, StsError
from outpost.domain import ids
from outpost.domain.agents import Agent
from outpost.domain.protocol import IdentityProof
from outpost.fleet import metrics, wakeups
from outpost.names import Env
from outpost.store import database, live_dispatches, rows
from tests.simulation.aws import Boundary
from tests.simulation.scheduler import Event, Host, Lock, Scheduler
from worker.clock import SYSTEM_CLOCK

DRIVEN = (
    "outpost.domain",
    "outpost.aws",
    "outpost.fleet",
    "outpost.store",
    "broker",
    "planner",
    "dispatch_changes",
    "reconciler",
    "task_events",
    "usage_events",
    "worker",
)
AGENTS = (Agent.SHELL, Agent.CLAUDE)
"""All agents that there are."""
FUNCTIONS = (
    broker.handler,
    planner.handler,
    dispatch_changes.handler,
    reconciler.handler,
    task_events.handler,
    usage_events.handler,
)
_STS = Config(read_timeout=TIMEOUTS[1], retries={"total_max_attempts": TRIES})
ENVIRONMENT = {
    Env.ENVIRONMENT: "simulation",
    Env.DISPATCHES_TABLE: "dispatches",
    Env.TENANTS_TABLE: "tenants",
    Env.WORKERS_TABLE: "workers",
    Env.QUEUES_TABLE: "queues",
    Env.WORKSPACES_TABLE: "workspaces",
    Env.ARTIFACTS_BUCKET: "artifacts",
    Env.ATTEMPT_ROLE_ARN: "arn:aws:iam::000000000000:role/attempt",
    Env.CLUSTER: "outpost",
    Env.BROKER_FUNCTION: "broker",
    Env.WORKER_SUBNETS: "subnet-a,subnet-b",
    Env.WORKER_SECURITY_GROUP: "group",
    Env.BROKER_FUNCTION: "broker",
    Env.PLANNER_FUNCTION: "planner",
    Env.USAGE_EVENTS_FUNCTION: "usage_events",
    Env.DEAD_LETTERS: "https://sqs/dead-letters",
    Env.MODEL_BUDGET: "",
    Env.TENANT_MODEL_BUDGET: "",
}


class Interpreter:
    """What the code takes for the interpreter: of the schedule that runs now."""

    scheduler: Scheduler
    boundary: Boundary

    def enter(self, scheduler: Scheduler, boundary: Boundary, variables: Mapping[str, str]) -> None:
        """Begin a schedule: functions start cold."""
        self.scheduler, self.boundary = scheduler, boundary
        os.environ.update(variables)
        self.start_cold()

    def start_cold(self) -> None:
        """Let functions read their configuration anew, as after a deploy."""
        for module in FUNCTIONS:
            for value in list(vars(module).values()):
                if hasattr(value, "cache_clear"):
                    value.cache_clear()

    def host(self) -> Host:
        """Return the host that runs."""
        return self.scheduler.process().host

    def client(self, service: str, **settings: Any) -> Any:  # noqa: ANN401 - as boto3.client
        return self.boundary.client(service, **settings)

    def session(self, *_: object, **__: object) -> Any:  # noqa: ANN401 - as boto3.Session
        return SimpleNamespace(client=self.client)

    def sleep(self, seconds: float) -> None:
        self.scheduler.wait(seconds)

    def monotonic(self) -> float:
        return self.scheduler.now

    def random(self) -> float:
        return self.host().random.random()

    def timestamp(self) -> float:
        return self.scheduler.wall().timestamp()


class _Datetime(datetime):
    interpreter: Interpreter

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
        return cls.interpreter.scheduler.wall().astimezone(tz)


class _Random:
    """The module `random`, drawing from the host that runs."""

    def __init__(self, interpreter: Interpreter) -> None:
        self._interpreter = interpreter

    def __getattr__(self, name: str) -> Callable[..., Any]:
        return getattr(self._interpreter.host().random, name)  # type: ignore[no-any-return]


class _Thread:
    def __init__(self, interpreter: Interpreter, target: Callable[..., object], args: Sequence[object] = ()) -> None:
        self._interpreter, self._target, self._arguments = interpreter, target, args
        self._done = Event(interpreter.scheduler)

    def start(self) -> None:
        def run() -> None:
            self._target(*self._arguments)
            self._done.set()

        self._interpreter.scheduler.start(self._interpreter.host(), run)

    def join(self, timeout: float | None = None) -> None:
        self._done.wait(timeout)

    def is_alive(self) -> bool:
        return not self._done.is_set()


class _Condition:
    """As `threading.Condition`. Processes switch at waits only, so a check and what follows it are one step."""

    def __init__(self, interpreter: Interpreter) -> None:
        self._scheduler = interpreter.scheduler
        self._changed = Event(interpreter.scheduler)

    def __enter__(self) -> "_Condition":
        return self

    def __exit__(self, *_: object) -> None:
        return

    def notify_all(self) -> None:
        self._changed.set()

    def wait_for(self, predicate: Callable[[], bool], timeout: float | None = None) -> bool:
        end = None if timeout is None else self._scheduler.now + timeout
        while not predicate():
            left = None if end is None else end - self._scheduler.now
            if left is not None and left <= 0:
                break
            self._changed.clear()
            self._changed.wait(left)
        return predicate()


def _threading(interpreter: Interpreter) -> SimpleNamespace:
    def thread(target: Callable[..., object], args: Sequence[object] = (), **_: object) -> _Thread:
        return _Thread(interpreter, target, args)

    return SimpleNamespace(
        Lock=lambda: Lock(interpreter.scheduler),
        RLock=lambda: Lock(interpreter.scheduler),
        Event=lambda: Event(interpreter.scheduler),
        Condition=lambda *_: _Condition(interpreter),
        Thread=thread,
    )


def _ids(interpreter: Interpreter) -> ULIDGenerator:
    return ULIDGenerator(
        clock=lambda: int(interpreter.timestamp() * 1000),
        randomness=lambda _: interpreter.host().random.randbytes(10),
        policy=PureRandomPolicy(),
    )


class _Callers:
    """As `CallerIdentity`, over the fake STS."""

    def __init__(self, client: Any) -> None:  # noqa: ANN401 - a client as of boto3
        self._client = client

    @classmethod
    def from_environment(cls) -> "_Callers":
        return cls(boto3.client("sts", config=_STS))

    def caller(self, proof: IdentityProof, _: datetime) -> Caller:
        try:
            arn: str = self._client.get_caller_identity(Proof=proof)["Arn"]
        except (BotoCoreError, ClientError) as error:
            raise StsError(str(error)) from error
        return Caller(arn.split(":")[4], *arn.split("/")[1:])


class _Figure:
    def add_dimension(self, name: str, value: str) -> None:
        """Metrics of a simulated environment go nowhere."""


@contextmanager
def _no_metric(**_: object) -> Iterator[_Figure]:
    yield _Figure()


@contextmanager
def interpreting() -> Iterator[Interpreter]:
    """Replace the interpreter under our code while the block lasts."""
    interpreter = Interpreter()
    _Datetime.interpreter = interpreter
    modules: Mapping[ModuleType, object] = {
        time: SimpleNamespace(sleep=interpreter.sleep, monotonic=interpreter.monotonic, time=interpreter.timestamp),
        random: _Random(interpreter),
        threading: _threading(interpreter),
    }
    with pytest.MonkeyPatch.context() as patch:
        _replace_modules(patch, modules)
        patch.setattr(ids, "datetime", _Datetime)
        patch.setattr(ulid, "default_generator", _ids(interpreter))
        patch.setattr(dispatch_changes.handler, "_record", list)  # the audit log has tests of its own
        patch.setattr(metrics, "single_metric", _no_metric)
        patch.setattr(boto3, "client", interpreter.client)
        patch.setattr(broker.identity, "CallerIdentity", _Callers)
        for module in (
            reconciler.handler,
            reconciler.worker_check,
        ):  # those of other agents have neither workers nor tasks
            patch.setattr(module, "Agent", AGENTS)
        for module in (reconciler.row_check, live_dispatches, rows):  # a few dispatches have no use for more
            patch.setattr(module, "ACTIVE_SHARDS", 2)
        patch.setattr(planner.launcher, "Random", lambda: _Random(interpreter))
        for module in (database, wakeups):
            patch.setattr(module, "fast_session", interpreter.session)
        for name, value in {"monotonic": interpreter.monotonic, "sleep": interpreter.sleep}.items():
            patch.setitem(SYSTEM_CLOCK.__dict__, name, value)
        patch.setitem(SYSTEM_CLOCK.__dict__, "random", interpreter.random)
        for variable, text in ENVIRONMENT.items():
            patch.setenv(variable, text)
        structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
        logging.disable(logging.CRITICAL)
        try:
            yield interpreter
        finally:
            logging.disable(logging.NOTSET)
            structlog.reset_defaults()


def _replace_modules(patch: pytest.MonkeyPatch, replacements: Mapping[ModuleType, object]) -> None:
    """Let our modules see others in place of these, under whichever name they imported them."""
    for name, module in list(sys.modules.items()):
        if not any(name == root or name.startswith(f"{root}.") for root in DRIVEN):
            continue
        for attribute, value in list(vars(module).items()):
            if isinstance(value, ModuleType) and value in replacements:
                patch.setattr(module, attribute, replacements[value])
