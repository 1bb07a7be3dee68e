"""The monthly budgets in dollars: what a tenant and the environment have committed, and how an attempt gets a part.

A month has an item for each tenant and one for the environment. `committed` is what ended dispatches were charged and
what live ones hold; a grant adds to it in the transaction that writes the grant into the dispatch's row, under the
condition that the budget has room. So all workers together never hold more than there is. `outpost.store.usage` settles
when a dispatch has ended.
"""

import calendar
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from outpost.domain.budgets import Budget, in_usd, month_of, slice_of, to_micros
from outpost.domain.dispatch import Dispatch, Lease
from outpost.domain.lifecycle import Grant, apply
from outpost.domain.tenants import Tenant
from outpost.names import Env
from outpost.store import keys
from outpost.store.database import ConflictError, ContentionError, Database, Write, update_write
from outpost.store.dispatches import Dispatches

ENVIRONMENT = "*"
"""Stands for the whole environment where a tenant's id would; no tenant has this id."""
KEPT = timedelta(days=400)
"""After the end of its month, an item of usage is kept for another thirteen."""
RACES = 20
"""Lost compare-and-sets before giving up: many workers may take from one budget at once."""


@dataclass(frozen=True)
class MonthlyLimits:
    """Budgets of a month, in US dollars; None: no limit."""

    environment: float | None = None
    tenant: float | None = None
    """Of each tenant that has none of its own."""

    @classmethod
    def from_environment(cls) -> "MonthlyLimits":
        """Return the environment's budgets, as deployed."""
        values = (os.environ.get(name) for name in (Env.MODEL_BUDGET, Env.TENANT_MODEL_BUDGET))
        return cls(*(float(value) if value else None for value in values))

    def of_tenant(self, tenant: Tenant) -> float | None:
        """Return a tenant's budget."""
        own = tenant.limits.monthly_budget_usd
        return self.tenant if own is None else own

    def apply_to(self, tenant: Tenant) -> bool:
        """Return whether the tenant's model calls have a budget of the month."""
        return self.environment is not None or self.of_tenant(tenant) is not None


@dataclass(frozen=True)
class MonthTotal:
    """A month of a tenant, or of the environment, in micro-dollars."""

    committed: int = 0
    """Charged to ended dispatches, and held by live ones."""
    charged: int = 0
    reported: frozenset[int] = frozenset()
    """Percentages of its budget that events were sent for."""


@dataclass(frozen=True)
class Granted:
    """What became of a request for money."""

    row: Dispatch
    """As it is now."""
    budgets: Sequence[Budget] = ()
    """Those that apply, as they are now; none when the attempt was allowed as much before."""
    shortage: Budget | None = None
    """The one that has no room; then nothing was granted."""


class Budgets:
    """Grants parts of the budgets to attempts."""

    def __init__(self, database: Database, dispatches: Dispatches, limits: MonthlyLimits) -> None:
        self._db = database
        self._dispatches = dispatches
        self.limits = limits

    def month(self, tenant_id: str, month: str) -> MonthTotal:
        """Return what a tenant, or `ENVIRONMENT`, has committed of a month."""
        item = self._db.get(self._db.dispatches, *keys.month(tenant_id, month)) or {}
        reported = frozenset(int(percent) for percent in item.get("reported", ()))
        return MonthTotal(int(item.get("committed", 0)), int(item.get("charged", 0)), reported)

    def note_reported(self, tenant_id: str, month: str, percent: int) -> None:
        """Note that the event of a percentage was sent."""
        self._db.update(
            self._db.dispatches, *keys.month(tenant_id, month), "ADD reported :percent", None, percent={percent}
        )

    def _applying(self, row: Dispatch, tenant: Tenant, month: str) -> Iterator[Budget]:
        """Yield the budgets that a grant to the dispatch has to stay within, as they are now."""
        spending = row.spending
        if row.spec.max_cost_usd is not None:
            limit = to_micros(row.spec.max_cost_usd)
            yield Budget("dispatch", f"maxCostUsd of {in_usd(limit)}", limit, spending.committed)
        if (own := self.limits.of_tenant(tenant)) is not None:
            limit, total = to_micros(own), self.month(tenant.id, month)
            name = f"the tenant's budget of {in_usd(limit)} for {month}"
            yield Budget("tenant", name, limit, total.committed - spending.unused, total.reported)
        if self.limits.environment is not None:
            limit, total = to_micros(self.limits.environment), self.month(ENVIRONMENT, month)
            name = f"the environment's budget for {month}"
            yield Budget("environment", name, limit, total.committed - spending.unused, total.reported)

    def grant(self, row: Dispatch, lease: Lease, micros: int, tenant: Tenant, at: datetime) -> Granted:
        """Allow the attempt `micros` in total, and a slice more where there is room.

        What it is allowed already is not taken again, so that a request can be repeated. Raises `TransitionError`
        when the lease is not live, `ContentionError`.
        """
        for _ in range(RACES):
            missing = micros - row.spending.allowed
            if missing <= 0 and row.lease == lease:
                return Granted(row)
            budgets = list(self._applying(row, tenant, month_of(at)))
            tightest = min(budgets, key=lambda budget: budget.room, default=None)
            if tightest is not None and tightest.room < missing:
                return Granted(row, budgets, tightest)
            more = slice_of(missing, budgets)
            if changed := self._take(row, lease, more, tenant, at):
                return Granted(changed, [budget.with_more(more) for budget in budgets])
            row = self._dispatches.get(row.id) or row
        raise ContentionError(f"dispatch {row.id}: too many attempts take from the same budget at this moment")

    def _take(self, row: Dispatch, lease: Lease, more: int, tenant: Tenant, at: datetime) -> Dispatch | None:
        """Write a grant; returns None when row or budgets have changed since they were read."""
        month, taken = month_of(at), max(more - row.spending.unused, 0)
        changed = apply(row, Grant(lease, row.spending.allowed + more, taken, month))
        limits = {tenant.id: self.limits.of_tenant(tenant), ENVIRONMENT: self.limits.environment}
        counted = [self._count(name, month, taken, limit) for name, limit in limits.items()] if taken else []
        try:
            self._db.transact([*self._dispatches.replacement(row, changed), *counted])
        except ConflictError:
            return None
        return changed

    def _count(self, tenant_id: str, month: str, taken: int, limit: float | None) -> Write:
        if limit is None:
            return adding(self._db, tenant_id, month, {"committed": taken})
        return adding(self._db, tenant_id, month, {"committed": taken}, room=to_micros(limit) - taken)

    def give_back(self, row: Dispatch, lease: Lease, spent: int, at: datetime) -> Dispatch:
        """Note what an attempt has spent that makes no more calls. Raises `TransitionError`, `ContentionError`.

        The rest stays with the dispatch: its next attempt gets it, or its end gives it back.
        """
        return self._dispatches.change(row.id, Grant(lease, spent, 0, month_of(at)))


def expiry_of(month: str) -> int:
    """Return until when items of a month are kept, in epoch seconds."""
    year, number = map(int, month.split("-"))
    end = datetime(year, number, calendar.monthrange(year, number)[1], tzinfo=UTC) + timedelta(days=1)
    return int((end + KEPT).timestamp())


def adding(database: Database, tenant_id: str, month: str, amounts: dict[str, int], room: int | None = None) -> Write:
    """Return the write that adds micro-dollars to a month's totals, if no more than `room` is committed."""
    expression = f"SET expires_at = :expiry ADD {', '.join(f'{name} :{name}' for name in amounts)}"
    condition, bound = None, {}
    if room is not None:
        condition, bound = "attribute_not_exists(committed) OR committed <= :room", {"room": room}
    values = amounts | bound | {"expiry": expiry_of(month)}
    return update_write(database.dispatches, keys.month(tenant_id, month), expression, condition, **values)
