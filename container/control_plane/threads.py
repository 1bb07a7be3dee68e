"""Threads for blocking calls, shared fairly among tenants: none waits behind all the calls of another.

asyncio hands a call to the loop's executor in the context of its caller, which names the tenant.
"""

import time
from asyncio import get_running_loop
from collections import Counter, OrderedDict, deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from contextvars import ContextVar
from functools import partial
from threading import Lock
from typing import Any, ParamSpec, TypeVar

from control_plane.errors import ApiError, too_many

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")

count_time: ContextVar[Callable[[float], object] | None] = ContextVar("count_time", default=None)
"""Called on the loop with the seconds of CPU time that a call has taken: its thread held up the loop meanwhile."""
calling_tenant: ContextVar[str] = ContextVar("calling_tenant", default="")
"""Id of the tenant whose request this is; empty for what belongs to none, such as the look-up of a key."""

THREADS = 32
"""Blocking AWS calls at once, one thread each. botocore's pool holds twice as many connections."""
SHARE = THREADS // 4
"""Threads that one tenant's requests may hold on a replica."""
MOST_WAITING = 512
"""Calls of one tenant that may wait for a thread."""


def too_many_waiting() -> ApiError:
    """Return the refusal of a request whose tenant has too many waiting."""
    return too_many(
        "Too many requests of your tenant wait on this replica: send fewer at once, and try again in a second.", 1
    )


class TenantThreads(ThreadPoolExecutor):
    """An executor that takes waiting calls from tenants in turn, and from each no more than its share at once."""

    def __init__(self, threads: int = THREADS, share: int = SHARE, most_waiting: int = MOST_WAITING) -> None:
        super().__init__(threads, "aws")
        self._size = threads
        self._share = share
        self._most_waiting = most_waiting
        self._waiting: OrderedDict[str, deque[tuple[Future[Any], Callable[[], Any]]]] = OrderedDict()
        self._running: Counter[str] = Counter()
        self._lock = Lock()

    def submit(
        self, fn: Callable[Parameters, Result], /, *args: Parameters.args, **kwargs: Parameters.kwargs
    ) -> Future[Result]:
        """Run a call when its tenant's turn comes. Raises `ApiError`: 429 when too many wait."""
        future: Future[Result] = Future()
        with self._lock:
            queue = self._waiting.setdefault(calling_tenant.get(), deque())
            if len(queue) >= self._most_waiting:
                raise too_many_waiting()
            queue.append((future, _counted(partial(fn, *args, **kwargs))))
        self._start()
        return future

    def _start(self) -> None:
        """Start what may run now."""
        while found := self._take():
            tenant, future, call = found
            try:
                super().submit(self._run, tenant, future, call)
            except RuntimeError as error:  # the executor is shut down
                self._give_back(tenant)
                future.set_exception(error)

    def _take(self) -> tuple[str, Future[Any], Callable[[], Any]] | None:
        """Take the next call: that of the tenant which has waited longest for its turn and has threads left."""
        with self._lock:
            if self._running.total() >= self._size:
                return None
            tenant = next((each for each in self._waiting if not each or self._running[each] < self._share), None)
            if tenant is None:
                return None
            queue = self._waiting[tenant]
            future, call = queue.popleft()
            self._waiting.move_to_end(tenant)
            if not queue:
                del self._waiting[tenant]
            self._running[tenant] += 1
            return tenant, future, call

    def _run(self, tenant: str, future: Future[Any], call: Callable[[], Any]) -> None:
        if future.set_running_or_notify_cancel():
            try:
                future.set_result(call())
            except BaseException as error:  # noqa: BLE001 - it is raised to the caller that waits for the result
                future.set_exception(error)
        self._give_back(tenant)
        self._start()

    def _give_back(self, tenant: str) -> None:
        with self._lock:
            self._running[tenant] -= 1
            if not self._running[tenant]:
                del self._running[tenant]


def _counted(call: Callable[[], Result]) -> Callable[[], Result]:
    """Return the call with its CPU time counted, where that is wanted."""
    count = count_time.get()
    if count is None:
        return call
    loop = get_running_loop()

    def counted() -> Result:
        began = time.thread_time()
        try:
            return call()
        finally:
            with suppress(RuntimeError):  # the loop is closed
                loop.call_soon_threadsafe(count, time.thread_time() - began)

    return counted
