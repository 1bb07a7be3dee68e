"""Turns on the event loop: how much of it one tenant's requests may take while other tenants are served.

A request runs in steps, from one wait to the next, and the loop runs steps in the order in which they became ready.
Without turns, each step of a request waits behind one of every request that another tenant has sent. So a tenant has a
few requests handled at once, of which one makes a step in each round of the loop; and while other tenants are served,
its steps take no more than its share of the loop's time, as long as none takes more than a third of `PAUSE_SECONDS`.
Streams of a tenant, with what keeps them up to date, are among its requests. Calls that block have a share of their own
(`control_plane.threads`), which is as large.
"""

import time
from asyncio import AbstractEventLoop, Semaphore, Task, get_running_loop, sleep
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Generator
from contextlib import asynccontextmanager
from contextvars import Context, ContextVar
from functools import partial
from types import coroutine
from typing import Any
from weakref import WeakValueDictionary

from control_plane.threads import MOST_WAITING, SHARE, THREADS, count_time, too_many_waiting

LOOP_SHARE = SHARE / THREADS
"""Of the loop's time, for a tenant beside others."""
BURST_SECONDS = 0.02
"""How much a tenant that took less than its share may take at once."""
PAUSE_SECONDS = 0.2
"""How long a tenant that took more than its share waits at most: its share holds for steps of up to a third of it."""
CONTESTED_SECONDS = 1.0
"""How long after a request of another tenant the loop counts as shared."""
_TICK_SECONDS = 0.001
"""The least time that uvloop waits."""

Clock = Callable[[], float]


class _Turn(Semaphore):
    """The turn of one tenant, acquired for each step, as long as the tenant has requests or waits for its next step."""

    def __init__(self, at_once: int, clock: Clock, is_contested: Callable[[], bool]) -> None:
        super().__init__(1)
        self.places = Semaphore(at_once)
        self._clock = clock
        self._is_contested = is_contested
        self._paid_until = clock()
        """By when what was taken of the loop's time is within the share."""

    def end(self, seconds: float) -> None:
        """Count the loop's time that the step has taken, and release the turn when the next one is due.

        The loop keeps the turn until then, also when its tenant has no request left.
        """
        at, loop = self._clock(), get_running_loop()
        most = PAUSE_SECONDS if self._is_contested() else 0.0
        paid = max(self._paid_until, at - BURST_SECONDS) + seconds / LOOP_SHARE
        self._paid_until = min(paid, at + most)
        pause = self._paid_until - at
        if pause >= _TICK_SECONDS:
            loop.call_later(pause, self.release)
        else:
            loop.call_soon(self.release)


class _Request:
    """A request, whose tenant is known once it is authenticated."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.turn: _Turn | None = None
        self.unpaid = 0.0
        """Seconds that were taken of the loop, and are not counted for the tenant yet."""

    def count(self, seconds: float) -> None:
        """Add to what was taken of the loop."""
        self.unpaid += seconds


_current: ContextVar[_Request | None] = ContextVar("_current", default=None)
"""The request that a task belongs to."""


@coroutine
def _in_turns(request: _Request, handling: Coroutine[Any, Any, Any]) -> Generator[Any, Any, Any]:
    """Run a coroutine in steps that are its request's. One that is cancelled or closed makes its next step at once."""
    step: Callable[[], Any] = partial(handling.send, None)
    waits_for, cancelled = None, False
    try:
        while True:
            turn = None if cancelled else request.turn
            if turn is not None:
                try:
                    yield from turn.acquire().__await__()
                except BaseException as error:  # noqa: BLE001 - it is raised where the coroutine waits
                    step, turn = partial(handling.throw, error), None
            waits_for = _make(step, request, turn)
            try:
                step, cancelled = partial(handling.send, (yield waits_for)), False
            except BaseException as error:  # noqa: BLE001 - as above
                step = partial(handling.throw, error)
                cancelled = not isinstance(error, Exception)  # CancelledError, GeneratorExit
    except StopIteration as end:
        return end.value
    finally:
        del step, waits_for  # they may hold the error, whose traceback holds this frame


def _make(step: Callable[[], Any], request: _Request, turn: _Turn | None) -> Any:  # noqa: ANN401 - what the coroutine waits for
    began = request.clock()
    try:
        return step()
    finally:
        del step  # as above
        request.count(request.clock() - began)
        if turn is not None:
            turn.end(request.unpaid)
            request.unpaid = 0.0


class Turns:
    """The turns of one application. Used on its event loop only."""

    def __init__(
        self, at_once: int = SHARE, most_waiting: int = MOST_WAITING, clock: Clock = time.perf_counter
    ) -> None:
        self._at_once = at_once
        self._most = at_once + most_waiting
        self._clock = clock
        self._turns: WeakValueDictionary[str, _Turn] = WeakValueDictionary()
        self._held: Counter[str] = Counter()
        self._latest = ""
        self._contested_until = clock()

    async def serve(self, handle: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Serve a request, or a part of one in its turns: what it takes of the loop counts from here on."""
        if _current.get() is not None:
            await handle()
            return
        request = _Request(self._clock)
        token, counting = _current.set(request), count_time.set(request.count)
        try:
            await _in_turns(request, handle())
        finally:
            _current.reset(token)
            count_time.reset(counting)

    @asynccontextmanager
    async def take(self, tenant_id: str) -> AsyncIterator[None]:
        """Wait for a place among the tenant's requests, and hold it meanwhile. From here on it runs in turns.

        A part of a request that has its place gets none of its own. Raises `ApiError`: 429 when too many wait.
        """
        request = _current.get()
        assert request is not None  # noqa: S101 - `serve` calls what calls this
        if request.turn is not None:
            yield
            return
        if self._held[tenant_id] >= self._most:
            raise too_many_waiting()
        self._note(tenant_id)
        turn = self._turns.get(tenant_id) or _Turn(self._at_once, self._clock, self._is_contested)
        self._turns[tenant_id] = turn
        self._held[tenant_id] += 1
        try:
            async with turn.places:
                request.turn = turn
                await sleep(0)  # the next step is the first in turn
                yield
        finally:
            self._held[tenant_id] -= 1
            if not self._held[tenant_id]:
                del self._held[tenant_id]

    def _note(self, tenant_id: str) -> None:
        if self._latest not in ("", tenant_id):
            self._contested_until = self._clock() + CONTESTED_SECONDS
        self._latest = tenant_id

    def _is_contested(self) -> bool:
        return self._clock() < self._contested_until


def create_task(loop: AbstractEventLoop, work: Any, **options: Any) -> Task[Any]:  # noqa: ANN401 - as asyncio has it
    """Create a task that runs in the turns of the request that it belongs to: the factory of the loop's tasks."""
    context: Context | None = options.get("context")
    request = _current.get() if context is None else context.get(_current)
    if request is None:
        return Task(work, loop=loop, **options)
    task = Task(_run(_in_turns(request, work)), loop=loop, **options)
    task.add_done_callback(lambda _: work.close())  # it was cancelled before it began
    return task


async def _run(steps: Awaitable[Any]) -> Any:  # noqa: ANN401 - what the coroutine returns
    return await steps
