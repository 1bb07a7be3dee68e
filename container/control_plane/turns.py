"""Turns on the event loop: a tenant has a few requests handled at once, and one begins in each of the loop's rounds.

The loop runs what is ready in the order in which it became ready. Without turns, a request waits at each step behind
all of those that another tenant has sent at the same time; with them, behind one that begins, and those that one tenant
may have at once. Calls that block have a share of their own (`control_plane.threads`), which is as large.
"""

from asyncio import Semaphore, get_running_loop
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from weakref import WeakValueDictionary

from control_plane.threads import MOST_WAITING, SHARE, too_many_waiting


class _Turn:
    """The turns of one tenant, as long as it has requests."""

    def __init__(self, at_once: int) -> None:
        self.places = Semaphore(at_once)
        self._begins = Semaphore(1)

    async def begin(self) -> None:
        """Wait for a round of the loop in which no other request of the tenant has begun."""
        await self._begins.acquire()
        get_running_loop().call_soon(self._end_round)

    def _end_round(self) -> None:
        self._begins.release()


class Turns:
    """The turns of one application. Used on its event loop only."""

    def __init__(self, at_once: int = SHARE, most_waiting: int = MOST_WAITING) -> None:
        self._at_once = at_once
        self._most = at_once + most_waiting
        self._turns: WeakValueDictionary[str, _Turn] = WeakValueDictionary()
        self._held: Counter[str] = Counter()

    @asynccontextmanager
    async def take(self, tenant_id: str) -> AsyncIterator[None]:
        """Wait for a turn of the tenant's, and hold it meanwhile. Raises `ApiError`: 429 when too many wait."""
        if self._held[tenant_id] >= self._most:
            raise too_many_waiting()
        turn = self._turns.get(tenant_id) or _Turn(self._at_once)
        self._turns[tenant_id] = turn
        self._held[tenant_id] += 1
        try:
            async with turn.places:
                await turn.begin()
                yield
        finally:
            self._held[tenant_id] -= 1
            if not self._held[tenant_id]:
                del self._held[tenant_id]
