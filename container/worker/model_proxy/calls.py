"""The record of a run's model calls: which succeeded, which are open, and which error no success has followed yet."""

import itertools
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from worker.model_endings import Ending
from worker.model_proxy.response import ModelCall
from worker.provider_errors import ProviderError


@dataclass(frozen=True)
class CallFailure:
    """The last error of calls that failed in a row."""

    error: ProviderError
    calls: int
    """How many failed in a row."""
    beside_work: bool = False
    """Whether they offered no tools, unlike the calls of the agent's work."""


class ModelCalls:
    """Records calls; used by many threads.

    An agent's work is in the calls that offer tools to the model. Beside them CLIs make calls without tools, for
    titles, summaries and classifications: what becomes of those says nothing about the work, once there is any.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._numbers = itertools.count()
        self._open: dict[int, float] = {}
        self._newest = {True: -1, False: -1}
        """Whether the calls offered tools -> the number of the newest one that has ended."""
        self._failures: dict[bool, CallFailure] = {}
        """Whether the calls offered tools -> their last error that no success has followed."""
        self.succeeded = 0
        self.offered_tools: frozenset[str] = frozenset()
        """Names of all tools that were offered to the model."""
        self.last_ending = Ending()
        """How the last call of the agent's work ended; one that failed has no finished response."""

    @contextmanager
    def open(self, tools: frozenset[str] = frozenset()) -> Iterator[ModelCall]:
        """Record one call while the block lasts; it offers `tools` to the model."""
        call = ModelCall()
        number = next(self._numbers)
        with self._lock:
            self._open[number] = time.monotonic()
        try:
            yield call
        finally:
            with self._lock:
                del self._open[number]
                error = call.finish()
                self.succeeded += error is None and call.succeeded
                if (error or call.succeeded) and self._is_newest(number, tools):
                    self._fail(error, tools) if error else self._succeed(call.ending, tools)

    def refuse(self, error: ProviderError, tools: frozenset[str] = frozenset()) -> None:
        """Record a call that was not passed on."""
        with self._lock:
            self._newest[bool(tools)] = next(self._numbers)
            self._fail(error, tools)

    def _is_newest(self, number: int, tools: frozenset[str]) -> bool:
        """Return whether no later call has ended: an agent that gave a call up has repeated it, and that one counts."""
        before, self._newest[bool(tools)] = self._newest[bool(tools)], max(number, self._newest[bool(tools)])
        return number > before

    def _fail(self, error: ProviderError, tools: frozenset[str]) -> None:
        before = self._failures.get(bool(tools))
        self._failures[bool(tools)] = CallFailure(error, before.calls + 1 if before else 1)
        if tools:
            self.offered_tools |= tools
            self.last_ending = Ending(unfinished=replace(error, message=f"its last model call failed: {error.message}"))

    def _succeed(self, ending: Ending, tools: frozenset[str]) -> None:
        self._failures.pop(False, None)
        if tools:
            self._failures.pop(True, None)
        if tools or not self.offered_tools:
            self.last_ending = ending
        self.offered_tools |= tools

    @property
    def last_failure(self) -> CallFailure | None:
        """The last error, unless a call has succeeded since then; of calls with tools first."""
        beside = self._failures.get(False)
        return self._failures.get(True) or (beside and replace(beside, beside_work=bool(self.offered_tools)))

    @property
    def waiting_since(self) -> float | None:
        """When the oldest open call began, by the monotonic clock; None when none is open."""
        with self._lock:
            return min(self._open.values(), default=None)
