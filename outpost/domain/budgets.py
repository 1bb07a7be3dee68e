"""Budgets in US dollars: what an attempt may still spend, and what a dispatch is charged to which month. Pure.

Money is counted in whole micro-dollars, so that sums are exact. Before an attempt makes a model call, it holds a grant
for the most that the call could cost. Grants are taken from the budgets in slices, and what is not used goes back when
the dispatch ends (docs/adr/0039).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Literal

from pydantic import Field

from outpost.domain.value import Value

MICROS = 1_000_000
"""Micro-dollars in a dollar."""
SLICE = 1 * MICROS
"""What a grant is ahead of what is needed: so seldom is the broker asked, and so little is held unused."""
WARNING_PERCENT = 80
"""Of a budget: from there on its use is reported."""


def to_micros(usd: float) -> int:
    """Return US dollars in micro-dollars."""
    return round(usd * MICROS)


def to_usd(micros: int) -> float:
    """Return micro-dollars in US dollars."""
    return micros / MICROS


def in_usd(micros: int) -> str:
    """Return an amount for people, down to a hundredth of a cent."""
    text = f"{to_usd(micros):,.4f}"
    return f"{text.rstrip('0').ljust(len(text) - 2, '0')} USD"


def month_of(at: datetime) -> str:
    """Return the calendar month in UTC, `YYYY-MM`: each begins with nothing spent."""
    return f"{at.astimezone(UTC):%Y-%m}"


class Spending(Value):
    """What a dispatch took from the budgets, in micro-dollars; part of its row."""

    taken: dict[str, int] = Field(default_factory=dict)
    """Month -> what its attempts took from the month's budgets."""
    allowed: int = 0
    """What the current attempt may spend."""
    earlier: int = 0
    """What earlier attempts are charged."""

    @property
    def committed(self) -> int:
        """What is charged, and what the current attempt may spend."""
        return self.earlier + self.allowed

    @property
    def unused(self) -> int:
        """What was taken, and neither charged nor allowed to the current attempt: earlier attempts left it."""
        return max(sum(self.taken.values()) - self.committed, 0)

    def grant(self, allowed: int, taken: int, month: str) -> "Spending":
        """Allow the attempt this much in total, of which `taken` came from the month's budgets."""
        more = {month: self.taken.get(month, 0) + taken} if taken else {}
        return self.model_copy(update={"allowed": allowed, "taken": self.taken | more})

    def next_attempt(self) -> "Spending":
        """Charge the current attempt what it was allowed: what it spent of it is not known."""
        return self.model_copy(update={"allowed": 0, "earlier": self.committed})

    def charged(self, month: str, cost: int | None) -> dict[str, int]:
        """Return month -> what is charged to it, for a dispatch whose last attempt cost `cost` and ended in `month`.

        None: its cost is not known, so it is charged what it was allowed. What was taken from a month is used first
        from the earliest; what exceeds all that was taken is charged to the month of the end.
        """
        rest = self.committed if cost is None else self.earlier + cost
        charges: dict[str, int] = {}
        for each in sorted(self.taken):
            charges[each] = min(rest, self.taken[each])
            rest -= charges[each]
        if rest:
            charges[month] = charges.get(month, 0) + rest
        return charges


@dataclass(frozen=True)
class Budget:
    """A limit that grants have to stay within, in micro-dollars."""

    scope: Literal["dispatch", "tenant", "environment"]
    name: str
    """As messages name it, with its amount where the client may know it."""
    limit: int
    committed: int
    """Charged or granted so far."""
    reported: frozenset[int] = frozenset()
    """Percentages that events were sent for."""

    @property
    def room(self) -> int:
        """What can still be granted."""
        return max(self.limit - self.committed, 0)

    @property
    def percent(self) -> int:
        """How much of it is committed."""
        return self.committed * 100 // self.limit

    def with_more(self, granted: int) -> "Budget":
        """Return it as it is with a further grant."""
        return replace(self, committed=self.committed + granted)


def slice_of(missing: int, budgets: Iterable[Budget]) -> int:
    """Return how much to grant when `missing` is needed: that and a slice more, as far as every budget has room."""
    return min([missing + SLICE, *(budget.room for budget in budgets)])


def changes(taken: Mapping[str, int], charged: Mapping[str, int]) -> dict[str, int]:
    """Return month -> what settling adds to what its budgets have committed; negative where a part is given back."""
    months = sorted({*taken, *charged})
    return {month: charged.get(month, 0) - taken.get(month, 0) for month in months}
