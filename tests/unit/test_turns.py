"""Turns on the event loop, in virtual time: a flood takes its share of the loop beside another tenant's requests."""

import asyncio
import gc
import inspect
import time
import weakref
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from contextvars import Context
from functools import partial
from typing import Any

import pytest

from control_plane.errors import ApiError
from control_plane.threads import TenantThreads, count_time
from control_plane.turns import BURST_SECONDS, LOOP_SHARE, PAUSE_SECONDS, Turns, create_task

STEP = 0.001
"""Seconds of the loop that a step of the flood takes."""


class VirtualLoop(asyncio.SelectorEventLoop):
    """Its time passes by waiting, which takes none, and by `work`."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        selector: Any = self._selector  # type: ignore[attr-defined]
        select = selector.select

        def skip(timeout: float | None) -> Any:  # noqa: ANN401 - as the selector returns
            self.now += timeout or 0
            return select(0)

        selector.select = skip
        self.set_task_factory(create_task)

    def time(self) -> float:
        return self.now


class Replica:
    """Requests that take turns."""

    def __init__(self, loop: VirtualLoop, at_once: int = 8, most_waiting: int = 512) -> None:
        self.loop = loop
        self.turns = Turns(at_once, most_waiting, loop.time)
        self.taken = 0.0
        """Seconds of the loop that the flood took."""

    async def serve(self, tenant: str, handle: Callable[[], Awaitable[object]]) -> None:
        async def handle_in_place() -> None:
            async with self.turns.take(tenant):
                await handle()

        await self.turns.serve(handle_in_place)

    async def flood(self, seconds: float = STEP) -> None:
        """One request of the flood, which waits for nothing."""
        self.taken += seconds
        self.loop.now += seconds

    async def small(self) -> None:
        """A request that waits for AWS twice."""
        for _ in range(2):
            self.loop.now += STEP / 10
            await asyncio.sleep(0.005)

    async def repeat(self, tenant: str, handle: Callable[[], Awaitable[object]], until: float) -> None:
        while self.loop.now < until:
            await self.serve(tenant, handle)

    def check_share(self, unpaid: float = 0, step: float = STEP) -> None:
        share = LOOP_SHARE * self.loop.now
        assert share / 2 < self.taken <= share + LOOP_SHARE * BURST_SECONDS + step + unpaid


def run(test: Callable[[Replica], Coroutine[Any, Any, None]], **options: int) -> None:
    loop = VirtualLoop()
    try:
        loop.run_until_complete(test(Replica(loop, **options)))
    finally:
        loop.close()


@pytest.mark.parametrize("step", [STEP, 0.02, PAUSE_SECONDS / 3])
@pytest.mark.parametrize("connections", [1, 34])
def test_a_flood_takes_its_share_of_the_loop_beside_another_tenant(connections: int, step: float) -> None:
    async def test(replica: Replica) -> None:
        await replica.serve("small", replica.small)
        one = partial(replica.repeat, "flood", partial(replica.flood, step), until=3)
        flood = [asyncio.create_task(one()) for _ in range(connections)]
        await replica.repeat("small", replica.small, until=3)
        replica.check_share(step=step)
        await asyncio.gather(*flood)

    run(test)


def test_what_a_tenant_took_while_it_was_alone_is_not_charged_to_it() -> None:
    async def test(replica: Replica) -> None:
        keeps_turn = asyncio.create_task(replica.serve("flood", partial(asyncio.sleep, 1)))
        for _ in range(100):
            await replica.serve("flood", replica.flood)
        await replica.serve("small", replica.small)
        began = replica.loop.now
        await replica.serve("flood", replica.flood)
        assert replica.loop.now - began == pytest.approx(STEP)
        await keeps_turn

    run(test)


def test_a_request_beside_a_flood_waits_for_few_of_its_steps() -> None:
    async def test(replica: Replica) -> None:
        flood = [asyncio.create_task(replica.repeat("flood", replica.flood, until=1)) for _ in range(34)]
        took = []
        while replica.loop.now < 0.9:
            await asyncio.sleep(0.0123)
            began = replica.loop.now
            await replica.serve("small", replica.small)
            took.append(replica.loop.now - began)
        await asyncio.gather(*flood)
        assert max(took) < 0.0102 + 1.5 * STEP

    run(test)


def test_a_tenant_that_is_alone_has_the_whole_loop() -> None:
    async def test(replica: Replica) -> None:
        await asyncio.gather(*(replica.serve("flood", replica.flood) for _ in range(500)))
        assert replica.loop.now == pytest.approx(500 * STEP)

    run(test)


def test_tasks_of_a_request_run_in_its_turns() -> None:
    """As the MCP package handles a request: in tasks of its own."""

    async def test(replica: Replica) -> None:
        async def in_a_task() -> None:
            await asyncio.create_task(replica.flood())

        await replica.serve("small", replica.small)
        flood = [replica.repeat("flood", in_a_task, until=1) for _ in range(34)]
        await asyncio.gather(replica.repeat("small", replica.small, until=1), *flood)
        replica.check_share()

    run(test)


def test_what_a_request_takes_before_its_tenant_is_known_counts() -> None:
    async def test(replica: Replica) -> None:
        async def request() -> None:
            await replica.flood()
            async with replica.turns.take("flood"):
                pass

        async def repeat() -> None:
            while replica.loop.now < 1:
                await replica.turns.serve(request)

        await asyncio.gather(replica.repeat("small", replica.small, until=1), *(repeat() for _ in range(34)))
        replica.check_share(unpaid=34 * STEP)  # each of them is authenticated before the first one waits

    run(test)


def test_the_time_of_a_requests_threads_counts() -> None:
    """A thread that computes holds up the loop: they share the interpreter's lock."""
    counted: list[float] = []

    def compute() -> None:
        end = time.thread_time() + 2 * STEP
        while time.thread_time() < end:
            pass

    async def test() -> None:
        asyncio.get_running_loop().set_default_executor(TenantThreads())
        count_time.set(counted.append)
        await asyncio.to_thread(compute)

    asyncio.run(test())
    assert [seconds >= 2 * STEP for seconds in counted] == [True]


def test_a_task_that_is_cancelled_before_it_begins_leaves_nothing() -> None:
    async def test(replica: Replica) -> None:
        never = replica.small()

        async def cancel() -> None:
            asyncio.create_task(never).cancel()

        await replica.serve("acme", cancel)
        await asyncio.sleep(1)
        assert inspect.getcoroutinestate(never) == inspect.CORO_CLOSED

    run(test)


@pytest.mark.parametrize("error", [RuntimeError, asyncio.CancelledError])
def test_a_task_that_fails_leaves_nothing_to_the_garbage_collector(error: type[BaseException]) -> None:
    class FailureError(error):  # type: ignore[valid-type,misc]
        pass

    failures: list[weakref.ref[BaseException]] = []

    async def fail() -> None:
        await asyncio.sleep(0)
        failure = FailureError()
        failures.append(weakref.ref(failure))
        try:
            raise failure
        finally:
            del failure

    async def in_a_task() -> None:
        with suppress(FailureError):
            await asyncio.create_task(fail())

    async def test(replica: Replica) -> None:
        await replica.serve("acme", in_a_task)
        await asyncio.sleep(0)
        assert [each() for each in failures] == [None]

    gc.disable()
    try:
        run(test)
    finally:
        gc.enable()


def test_a_failed_call_of_a_request_gives_it_no_step_out_of_turn() -> None:
    """Only a request that is cancelled makes its next step at once."""

    async def test(replica: Replica) -> None:
        async def failed_call() -> None:
            call = asyncio.get_running_loop().create_future()
            asyncio.get_running_loop().call_soon(call.set_exception, ConnectionError())
            with suppress(ConnectionError):
                await call
            await replica.flood()

        await replica.serve("small", replica.small)
        flood = [replica.repeat("flood", failed_call, until=1) for _ in range(34)]
        await asyncio.gather(replica.repeat("small", replica.small, until=1), *flood)
        replica.check_share()

    run(test)


def test_a_task_in_a_context_of_its_own_belongs_to_no_request() -> None:
    """As uvicorn begins a pipelined request, when the one before it responds."""

    async def test(replica: Replica) -> None:
        async def first() -> None:
            behind = replica.serve("behind", partial(replica.flood, 20 * STEP))
            await asyncio.get_running_loop().create_task(behind, context=Context())

        await replica.serve("small", replica.small)
        began = replica.loop.now
        await replica.serve("first", first)
        assert replica.loop.now - began == pytest.approx(20 * STEP)

    run(test)


def test_a_part_of_a_request_takes_no_place_of_its_own() -> None:
    """A tool of MCP calls a route of the API: with places for both, eight such requests would wait for each other."""

    async def test(replica: Replica) -> None:
        async with asyncio.timeout(1):
            await replica.serve("acme", lambda: replica.serve("acme", replica.small))

    run(test, at_once=1)


def test_more_requests_than_may_wait_are_refused() -> None:
    async def test(replica: Replica) -> None:
        requests = [asyncio.create_task(replica.serve("acme", replica.small)) for _ in range(4)]
        done = await asyncio.gather(*requests, return_exceptions=True)
        assert [type(each) for each in done] == [type(None)] * 3 + [ApiError]
        await replica.serve("acme", replica.small)

    run(test, at_once=1, most_waiting=2)


@pytest.mark.parametrize("wait", [0, 0.001, 0.02], ids=["before it begins", "while it waits", "in its turn"])
def test_a_request_that_is_cancelled_leaves_its_place(wait: float) -> None:
    async def test(replica: Replica) -> None:
        requests = [asyncio.create_task(replica.serve("acme", replica.small)) for _ in range(3)]
        await asyncio.sleep(wait)
        for each in requests:
            each.cancel()
        assert isinstance((await asyncio.gather(*requests, return_exceptions=True))[-1], asyncio.CancelledError)
        async with asyncio.timeout(1):
            await replica.serve("acme", replica.small)

    run(test, at_once=1)
