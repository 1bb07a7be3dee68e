"""The dollars that an attempt may spend on model calls: granted by the broker ahead of the calls that need them."""

import threading
import time
from collections.abc import Callable

from outpost.domain.budgets import WARNING_PERCENT, in_usd, to_micros
from outpost.domain.dispatch import Spec
from outpost.domain.protocol import GrantResponse

REFUSAL_SECONDS = 5.0
"""How long a refusal stands for requests that need as much: others may give money back meanwhile."""


class GrantError(Exception):
    """The broker cannot be asked for money now; the text says why."""


class Purse:
    """What is granted so far, in micro-dollars; used by many threads.

    Most calls fit within it: the broker is called only when they do not.
    """

    def __init__(
        self,
        request: Callable[[int], GrantResponse],
        warn: Callable[[str], None],
        spec: Spec,
        earlier: int,
    ) -> None:
        """`request` asks the broker for so much in total, and raises `GrantError`; `earlier`: cost of past attempts."""
        self._request = request
        self._warn = warn
        self._limit = None if spec.max_cost_usd is None else to_micros(spec.max_cost_usd)
        self._earlier = earlier
        self._warned: set[str] = set()
        self._lock = threading.Lock()
        self._refused_total = 0
        self._refused_at = -REFUSAL_SECONDS
        self.allowed = 0
        """Micro-dollars that calls may cost in total."""
        self.left = 0
        """What could be granted beyond, when the broker last refused."""
        self.refused: str | None = None
        """The budget that had no room when the broker last refused."""

    def raise_to(self, total: int) -> bool:
        """Return whether `total` is allowed, asking the broker if need be. Raises `GrantError`."""
        with self._lock:
            if self.allowed >= total:
                return True
            if total >= self._refused_total and time.monotonic() - self._refused_at < REFUSAL_SECONDS:
                return False
            response = self._request(total)
            self.allowed = max(self.allowed, response.allowed)
            self.left, self.refused = response.left, response.refused
            if response.refused is not None:
                self._refused_total, self._refused_at = total, time.monotonic()
        for text in response.warnings:
            self._warn_once(text)
        return self.allowed >= total

    def note_spent(self, spent: int) -> None:
        """Warn once most of the dispatch's own budget is spent."""
        if self._limit is not None and (self._earlier + spent) * 100 >= self._limit * WARNING_PERCENT:
            self._warn_once(f"{WARNING_PERCENT} % or more of maxCostUsd, {in_usd(self._limit)}, is spent")

    def _warn_once(self, text: str) -> None:
        with self._lock:
            new = text not in self._warned
            self._warned.add(text)
        if new:
            self._warn(text)
