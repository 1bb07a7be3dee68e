"""Reserves and counts the tokens of a run's model calls, and their list price, which the broker grants ahead."""

import math
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import NoReturn

from outpost.domain.budgets import MICROS, WARNING_PERCENT, in_usd, to_micros
from outpost.domain.dispatch import Spec
from outpost.domain.models import find_model
from outpost.domain.protocol import GrantResponse
from outpost.domain.usage import Tokens

REFUSAL_SECONDS = 5.0
"""How long a refusal stands for requests that need as much: others may give money back meanwhile."""


class GrantError(Exception):
    """The broker grants no money now; the text gives the reason."""


@dataclass(eq=False)
class Purse:
    """What is granted so far, in micro-dollars: the broker is called only for more. Used by many threads."""

    request: Callable[[int], GrantResponse]
    """Requests so much in total from the broker; raises `GrantError`."""
    warn: Callable[[str], None]
    spec: Spec
    earlier: int
    """Cost of past attempts."""
    allowed: int = 0
    """What calls may cost in total."""
    left: int = 0
    """What could be granted beyond, when the broker last refused."""
    refused: str | None = None
    """The budget that had no room when the broker last refused."""
    _refused_total: int = 0
    _refused_at: float = -REFUSAL_SECONDS
    _warned: set[str] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def raise_to(self, total: int) -> bool:
        """Return whether `total` is allowed, with a request to the broker if need be. Raises `GrantError`."""
        with self._lock:
            if self.allowed >= total:
                return True
            if total >= self._refused_total and time.monotonic() - self._refused_at < REFUSAL_SECONDS:
                return False
            response = self.request(total)
            self.allowed = max(self.allowed, response.allowed)
            self.left, self.refused = response.left, response.refused
            if response.refused is not None:
                self._refused_total, self._refused_at = total, time.monotonic()
        for text in response.warnings:
            self._warn_once(text)
        return self.allowed >= total

    def note_spent(self, spent: int) -> None:
        """Warn once most of the dispatch's own budget is spent."""
        limit = None if self.spec.max_cost_usd is None else to_micros(self.spec.max_cost_usd)
        if limit is not None and (self.earlier + spent) * 100 >= limit * WARNING_PERCENT:
            self._warn_once(f"{WARNING_PERCENT} % or more of maxCostUsd, {in_usd(limit)}, is spent")

    def _warn_once(self, text: str) -> None:
        with self._lock:
            new = text not in self._warned
            self._warned.add(text)
        if new:
            self.warn(text)


class BudgetExceededError(Exception):
    """A call could use more tokens or money than a budget has left; the text names all three numbers."""


class Meter:
    """Adds up tokens and what they cost, within a budget; used by many threads.

    A call first reserves the most that it could use, and is charged what it used when it ends: the sum of what is
    charged and reserved never passes the budget, unless a provider reports more than a call could use. Money is counted
    likewise, where there is a `purse`.
    """

    def __init__(self, budget: int | None = None, purse: Purse | None = None) -> None:
        """`budget`: tokens, in and out, cached ones included; None: no limit. `purse`: what calls may cost."""
        self.budget = budget
        self._purse = purse
        self._spent_micros = 0
        self._charged = Tokens()
        self._spent: float | None = 0.0
        self._open: set[Reservation] = set()
        self._changed = threading.Condition()
        self.calls = 0
        """Calls that used tokens, and have ended."""
        self.refusal: str | None = None
        """Why the last call was refused for the budget's sake, if one was."""

    def reserve(self, model: str, most: Tokens, wait: float = 0.0) -> "Reservation | None":
        """Reserve the most that a call could use, in tokens and in money.

        Returns None when what it needs is still reserved by other calls after `wait` seconds. Raises
        `BudgetExceededError` when a budget is too small for it, whatever the other calls use, and `GrantError`.
        """
        deadline, micros = time.monotonic() + wait, self._most_micros(model, most)
        while True:
            with self._changed:
                self._check_tokens(most)
                if self._fits(most, micros):
                    reservation = Reservation(self, model, most, micros)
                    self._open.add(reservation)
                    return reservation
                needed = self.committed_micros + micros
            if self._purse is not None and self._purse.allowed < needed and self._purse.raise_to(needed):
                continue  # with what was granted
            with self._changed:
                if self._fits(most, micros):
                    continue  # others have ended meanwhile
                self._check_money(micros)
                remaining = deadline - time.monotonic()
                if remaining <= 0:
                    return None
                self._changed.wait(remaining)

    def _most_micros(self, model: str, most: Tokens) -> int:
        """Return the most that a call could cost, in micro-dollars; 0 where money is not limited, or none is used."""
        if self._purse is None or not most.total:
            return 0
        usd = most_cost(model, most)
        if usd is None:
            self._refuse(f"the model {model} has no known price, which a budget in dollars needs")
        return math.ceil(usd * MICROS)

    def _fits(self, most: Tokens, micros: int) -> bool:
        tokens_fit = self.budget is None or self.committed + most.total <= self.budget
        return tokens_fit and (self._purse is None or self.committed_micros + micros <= self._purse.allowed)

    def _check_tokens(self, most: Tokens) -> None:
        if self.budget is None:
            return
        free = self.budget - self._charged.total
        if most.total > free:
            self._refuse(
                f"the budget of {self.budget:,} model tokens has no room for the next call: "
                f"{max(free, 0):,} are left, and it could use {most.total:,}"
            )

    def _check_money(self, micros: int) -> None:
        if self._purse is None or self._purse.refused is None:
            return
        free = self._purse.allowed + self._purse.left - self._spent_micros
        if micros > free:
            self._refuse(
                f"{self._purse.refused} has no room for the next call: {in_usd(max(free, 0))} are neither spent nor "
                f"reserved by other dispatches, and it could cost {in_usd(micros)}"
            )

    def _refuse(self, why: str) -> NoReturn:
        self.refusal = why
        raise BudgetExceededError(why)

    def settle(self, reservation: "Reservation") -> None:
        """End a reservation, and charge what its call used. Raises `KeyError` when it was settled before."""
        with self._changed:
            self._open.remove(reservation)
            used = reservation.used()
            if used.total:
                self.calls += 1
                self._charged += used
                usd = cost(reservation.model, used)
                self._spent = _sum((self._spent, usd))
                self._spent_micros += math.ceil((usd or 0) * MICROS)
            self._changed.notify_all()
            spent = self._spent_micros
        if self._purse is not None:
            self._purse.note_spent(spent)

    @property
    def committed(self) -> int:
        """Tokens charged so far, and those reserved by calls that have not ended."""
        with self._changed:
            return self._charged.total + sum(reservation.most.total for reservation in self._open)

    @property
    def committed_micros(self) -> int:
        """Micro-dollars charged so far, and those reserved by calls that have not ended."""
        with self._changed:
            return self._spent_micros + sum(reservation.micros for reservation in self._open)

    @property
    def tokens(self) -> Tokens:
        """All tokens so far, with those of calls that have not ended."""
        with self._changed:
            return sum((reservation.used() for reservation in self._open), self._charged)

    @property
    def cost(self) -> float | None:
        """US dollars so far; None when a model without a price was used."""
        with self._changed:
            ongoing = [cost(reservation.model, reservation.used()) for reservation in self._open]
            total = _sum((self._spent, *ongoing))
        return None if total is None else round(total, 6)


@dataclass(eq=False)
class Reservation:
    """Tokens that one call may use, until the end of its `with` block settles it."""

    meter: Meter
    model: str
    most: Tokens
    """The most that the call could use."""
    micros: int = 0
    """The most that it could cost, in micro-dollars."""
    used: Callable[[], Tokens] = Tokens
    """Returns what the call is charged if it ends now; called by several threads."""

    def __enter__(self) -> "Reservation":
        """Return the reservation."""
        return self

    def __exit__(self, *_: object) -> None:
        """Charge what was used."""
        self.meter.settle(self)


def _sum(costs: Iterable[float | None]) -> float | None:
    """Return the sum; None when a part is unknown."""
    known = list(costs)
    return None if None in known else sum(each for each in known if each is not None)


def cost(model: str, call: Tokens) -> float | None:
    """Return the cost of one call in US dollars; None for a model without a price.

    The tokens of several calls must not be added before: a long call may have a higher price.
    """
    known = find_model(model)
    return known.cost_of(call) if known else None


def most_cost(model: str, most: Tokens) -> float | None:
    """Return the most that a call could cost, in US dollars; None for a model without a price.

    Its input may all be written to the provider's cache, which costs more than reading it with some.
    """
    known = find_model(model)
    plain, written = Tokens(most.input, output=most.output), Tokens(most.input, 0, most.input, most.output)
    return max(known.cost_of(plain), known.cost_of(written)) if known else None
