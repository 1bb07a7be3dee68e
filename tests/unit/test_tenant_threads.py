"""Threads for blocking calls: each tenant's calls have their turn and their share, and vanish with their clients."""

import asyncio
import contextvars
from collections import Counter
from concurrent.futures import Future
from threading import Event, Lock

import pytest

from control_plane.errors import ApiError, ErrorCode
from control_plane.threads import TenantThreads, calling_tenant


def submit(threads: TenantThreads, tenant: str, call: object, *args: object) -> Future[object]:
    """Submit as a request of the tenant's does."""

    def of_tenant() -> Future[object]:
        calling_tenant.set(tenant)
        return threads.submit(call, *args)  # type: ignore[arg-type]

    return contextvars.copy_context().run(of_tenant)


class Gate:
    """A call that waits, and counts how many of each tenant run beside each other."""

    def __init__(self) -> None:
        self.release = Event()
        self.most: Counter[str] = Counter()
        self._running: Counter[str] = Counter()
        self._lock = Lock()

    def __call__(self, tenant: str) -> str:
        with self._lock:
            self._running[tenant] += 1
            self.most[tenant] = max(self.most[tenant], self._running[tenant])
        assert self.release.wait(20)
        with self._lock:
            self._running[tenant] -= 1
        return tenant


def test_a_tenant_holds_no_more_than_its_share_and_another_is_served_at_once() -> None:
    gate, quick = Gate(), Event()
    with TenantThreads(threads=8, share=2) as threads:
        flood = [submit(threads, "flood", gate, "flood") for _ in range(50)]
        submit(threads, "small", quick.set).result(20)
        assert not any(each.done() for each in flood)
        gate.release.set()
        assert {each.result(20) for each in flood} == {"flood"}
    assert gate.most["flood"] == 2


def test_waiting_tenants_are_served_in_turn() -> None:
    order: list[str] = []
    gate = Gate()
    with TenantThreads(threads=1, share=1) as threads:
        first = submit(threads, "a", gate, "a")
        waiting = [submit(threads, tenant, order.append, tenant) for tenant in "aaabbc"]
        gate.release.set()
        for each in (first, *waiting):
            each.result(20)
    assert order == list("abcaba")


def test_calls_of_no_tenant_are_not_held_to_a_share() -> None:
    gate = Gate()
    with TenantThreads(threads=4, share=1) as threads:
        calls = [threads.submit(gate, "") for _ in range(4)]
        gate.release.set()
        assert [each.result(20) for each in calls] == [""] * 4
    assert gate.most[""] >= 1


def test_a_call_that_is_cancelled_while_it_waits_never_runs() -> None:
    ran: list[int] = []
    gate = Gate()
    with TenantThreads(threads=1, share=1) as threads:
        first = submit(threads, "a", gate, "a")
        cancelled, kept = submit(threads, "a", ran.append, 1), submit(threads, "a", ran.append, 2)
        assert cancelled.cancel()
        gate.release.set()
        first.result(20)
        kept.result(20)
    assert ran == [2]


def test_more_waiting_calls_than_a_replica_keeps_are_refused() -> None:
    gate = Gate()
    with TenantThreads(threads=1, share=1, most_waiting=3) as threads:
        for _ in range(4):
            submit(threads, "a", gate, "a")
        with pytest.raises(ApiError) as refused:
            submit(threads, "a", gate, "a")
        assert refused.value.code is ErrorCode.RATE_LIMIT_EXCEEDED
        other = submit(threads, "b", gate, "b")
        gate.release.set()
        assert other.result(20) == "b"


def test_errors_reach_whoever_waits() -> None:
    with TenantThreads(threads=1) as threads, pytest.raises(ZeroDivisionError):
        submit(threads, "a", lambda: 1 / 0).result(20)


def test_asyncio_hands_calls_over_in_their_tenants_name() -> None:
    gate = Gate()

    async def of_tenant(tenant: str) -> str:
        calling_tenant.set(tenant)
        return await asyncio.to_thread(gate, tenant)

    async def main() -> None:
        asyncio.get_running_loop().set_default_executor(TenantThreads(threads=8, share=3))
        tasks = [asyncio.create_task(of_tenant("a")) for _ in range(20)]
        tasks.append(asyncio.create_task(of_tenant("b")))
        await asyncio.sleep(0)
        gate.release.set()
        await asyncio.gather(*tasks)

    asyncio.run(main())
    assert gate.most["a"] <= 3
    assert gate.most["b"] == 1
