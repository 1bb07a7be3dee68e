"""Lambda: invocations with a time limit, of which asynchronous ones are tried again and now and then come twice."""

import io
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from tests.simulation.aws import Call, Operation
from tests.simulation.errors import no_response
from tests.simulation.faults import Faults
from tests.simulation.scheduler import Event, Host, Killed, Scheduler

RETRIES = (60.0, 120.0)
"""Seconds before the second and third try of an asynchronous invocation (Lambda Developer Guide)."""


@dataclass(frozen=True)
class Function:
    """A function: its handler and its time limit in seconds."""

    run: Callable[[dict[str, Any], "Context"], object]
    timeout: float


@dataclass(frozen=True)
class Context:
    """What handlers read of an invocation."""

    aws_request_id: str
    remaining: Callable[[], float]

    def get_remaining_time_in_millis(self) -> int:
        return int(self.remaining() * 1000)


@dataclass(eq=False)
class Invocation:
    """One run of a function."""

    host: Host
    done: Event
    result: object = None
    error: Exception | None = None


@dataclass
class FakeLambda:
    """The functions by name."""

    scheduler: Scheduler
    faults: Faults
    log: Callable[[str, str], None]
    functions: dict[str, Function] = field(default_factory=dict)
    dead_letters: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    """Asynchronous invocations that failed at every try."""
    _count: int = 0

    def operations(self) -> dict[str, Operation]:
        return {"invoke": self.invoke}

    def invoke(self, request: dict[str, Any], call: Call) -> dict[str, Any]:
        name, payload = request["FunctionName"], json.loads(request.get("Payload", b"{}"))
        label = f"{call.host.name}/{name}-{call.host.calls}"
        if request.get("InvocationType") == "Event":
            self.send(name, payload, label)
            return {"StatusCode": 202}
        invocation = self.start(name, payload, label, call.host)
        share = self.faults.doubled_invocations
        if self.faults.strikes("doubled invocation", share, call.host, self.scheduler.now, f" call {call.host.calls}"):
            self.start(name, payload, f"{label}!", call.host)
        if not invocation.done.wait(call.read_timeout):
            raise no_response("lambda")
        if invocation.error is None and not invocation.host.dead:
            return {"StatusCode": 200, "Payload": io.BytesIO(json.dumps(invocation.result).encode())}
        error = {"errorType": type(invocation.error).__name__, "errorMessage": str(invocation.error)}
        return {"StatusCode": 200, "FunctionError": "Unhandled", "Payload": io.BytesIO(json.dumps(error).encode())}

    def send(self, name: str, payload: dict[str, Any], label: str, retries: tuple[float, ...] = RETRIES) -> None:
        """Invoke asynchronously: tried again when it fails, and now and then delivered twice."""
        host = Host(f"queue of {label}", self.faults.seed)
        twice = self.faults.strikes("doubled invocation", self.faults.doubled_invocations, host, self.scheduler.now)
        for copy in range(1 + twice):
            mark = f"{label}{'!' * copy}"
            self.scheduler.start(host, partial(self._deliver, name, payload, mark, retries), copy * 0.01)

    def _deliver(self, name: str, payload: dict[str, Any], label: str, retries: tuple[float, ...]) -> None:
        for number, pause in enumerate((0.0, *retries)):
            self.scheduler.wait(pause)
            if self.faults.is_down("lambda", self.scheduler.now):
                continue
            invocation = self.start(name, payload, f"{label}.{number}" if number else label, None)
            invocation.done.wait()
            if invocation.error is None and not invocation.host.dead:
                return
        self.dead_letters.append((name, payload))

    def start(self, name: str, payload: dict[str, Any], label: str, caller: Host | None) -> Invocation:
        """Start one run; it ends by itself, by its death or by its time limit."""
        about = payload.get("dispatch_id") or (caller.about if caller else None)
        host = Host(label, self.faults.seed, about=about, function=name)
        host.skew = host.random.uniform(-self.faults.skew, self.faults.skew) if self.faults.skew else 0.0
        invocation = Invocation(host, Event(self.scheduler))
        host.on_death.append(invocation.done.set)
        function = self.functions[name]
        self._count += 1
        end = self.scheduler.now + function.timeout
        context = Context(f"request-{self._count}", lambda: end - self.scheduler.now)

        def run() -> None:
            try:
                invocation.result = function.run(payload, context)
            except Killed:
                raise
            except Exception as error:  # noqa: BLE001 - Lambda reports whatever a handler raises
                invocation.error = error
                self.log(host.name, f"failed: {type(error).__name__}: {error}")
            invocation.done.set()

        self.scheduler.start(host, run)
        self.scheduler.after(function.timeout, lambda: self._limit(invocation))
        return invocation

    def _limit(self, invocation: Invocation) -> None:
        if not invocation.done.is_set():
            self.log(invocation.host.name, "is ended: over its time limit")
            self.scheduler.kill(invocation.host)
