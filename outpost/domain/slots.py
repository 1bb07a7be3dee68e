"""A tenant's slots: each is taken by one running dispatch."""

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta

SOON = timedelta(seconds=20)
"""A moment: as long as a worker that was started for the next dispatch would wait for it."""


@dataclass(frozen=True)
class Slots:
    """A tenant's concurrency: which slots are taken, and when one was last given out."""

    taken: dict[int, str]
    last_served: str
    agents: Counter[str] = field(default_factory=Counter)
    """How many of those taken run which agent."""
    ending: dict[int, datetime] = field(default_factory=dict)
    """Those taken that will be free in a moment, and since when: the agent has ended, or the last one was quick."""

    def free(self, limit: int) -> list[int]:
        """Return the free slots under a limit."""
        return [number for number in range(limit) if number not in self.taken]

    def soon_free(self, limit: int, at: datetime) -> list[int]:
        """Return the slots under a limit that are free, or will be in a moment."""
        ending = [number for number, since in self.ending.items() if number < limit and at - since < SOON]
        return [*self.free(limit), *ending]
