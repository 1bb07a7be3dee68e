"""The rate limit of an API key, which holds over all replicas without asking AWS at each request.

A replica takes a key's requests of the current minute from the common counter in blocks of a twentieth of the limit.
A client never gets more than its limit; less by what replicas have taken and not used, and that is less than a
twentieth each.
"""

import asyncio
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from cachetools import LRUCache

from control_plane.errors import ApiError, too_many
from outpost.store.tenants import WINDOW_SECONDS

BLOCKS = 20
CACHED_KEYS = 10_000

Lease = Callable[[str, int, int], int]
"""Counts requests of a key and minute; returns how many were counted before."""


@dataclass(frozen=True)
class Allowance:
    """What is left of a key's minute after a request, as this replica knows it."""

    limit: int
    remaining: int
    reset: int
    """Seconds until the next minute begins."""

    @property
    def headers(self) -> dict[str, str]:
        """The headers that show it."""
        return {
            "X-RateLimit-Limit": str(self.limit),
            "X-RateLimit-Remaining": str(self.remaining),
            "X-RateLimit-Reset": str(self.reset),
        }


@dataclass
class _Minute:
    """A key's minute on this replica."""

    window: int
    left: int = 0
    """Requests taken from the common counter and not used yet."""
    unleased: int | None = None
    """What the common counter had left when it was last read."""
    waiting: int = 0
    asking: asyncio.Lock = field(default_factory=asyncio.Lock)


class RateLimiter:
    """Counts the requests of keys. Used on the event loop only."""

    def __init__(self, lease: Lease, clock: Callable[[], float] = time.time) -> None:
        self._lease = lease
        self._clock = clock
        self._minutes: LRUCache[str, _Minute] = LRUCache(CACHED_KEYS)

    async def take(self, key_sha256: str, limit: int) -> tuple[Allowance, bool]:
        """Take one request from a key's minute; False when none was left."""
        at = self._clock()
        window = int(at // WINDOW_SECONDS) * WINDOW_SECONDS
        minute = self._minutes.get(key_sha256)
        if minute is None or minute.window != window:
            minute = self._minutes[key_sha256] = _Minute(window)
        while minute.left == 0 and minute.unleased != 0:
            await self._ask(minute, key_sha256, limit)
        taken = minute.left > 0
        minute.left -= taken
        remaining = minute.left + (minute.unleased or 0)
        return Allowance(limit, remaining, math.ceil(window + WINDOW_SECONDS - at)), taken

    async def _ask(self, minute: _Minute, key_sha256: str, limit: int) -> None:
        """Take a block from the common counter: as many as wait for one, at least."""
        minute.waiting += 1
        try:
            async with minute.asking:
                if minute.left == 0 and minute.unleased != 0:
                    wanted = max(minute.waiting, limit // BLOCKS, 1)
                    before = await asyncio.to_thread(self._lease, key_sha256, minute.window, wanted)
                    free = max(0, limit - before)
                    minute.left = min(wanted, free)
                    minute.unleased = free - minute.left
        finally:
            minute.waiting -= 1


def exceeded(allowance: Allowance) -> ApiError:
    """Return the refusal of a request over the limit."""
    used = f"The API key has used its {allowance.limit} requests of this minute"
    return too_many(f"{used}: come back in {allowance.reset} s.", allowance.reset)
