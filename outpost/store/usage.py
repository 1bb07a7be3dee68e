"""Counters of what dispatches used, and the settlement of their grants, written once for each that has ended.

A dispatch adds to the counters of its day for its tenant, for the operator, and for each of its tags, and to its
months' totals; an item of its own says that it was counted, so that a repeated delivery counts nothing twice. What is
read for a report is counters, never dispatches: their number depends on days, agents, models and values of a tag.

Counters are kept thirteen months (`outpost.store.budgets.KEPT`).
"""

from collections.abc import Iterator
from dataclasses import asdict
from datetime import date, timedelta

from outpost.domain.agents import Agent
from outpost.domain.budgets import changes
from outpost.domain.dispatch import Dispatch
from outpost.domain.usage_event import Entry, Totals, entry_of
from outpost.store import keys
from outpost.store.budgets import ENVIRONMENT, adding, expiry_of
from outpost.store.database import ConflictError, Database, Item, Write, put_write, to_attributes, update_write
from outpost.store.dispatch_rows import DispatchRows
from outpost.store.keys import Key

MOST_ITEMS = 10_000
"""Counters that one report reads."""
_LABELS = ("day", "tenant", "agent", "model", "tag")


class TooManyCountersError(Exception):
    """A report would read more than `MOST_ITEMS` counters."""


class UsageCounters:
    """Counts dispatches that have ended, and reads the counters."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def count(self, dispatch_id: str) -> bool:
        """Count a dispatch and settle its grants; return whether that was still to do. Raises `ContentionError`."""
        row = DispatchRows(self._db).get(dispatch_id)
        if row is None or not row.status.terminal:
            return False
        item = to_attributes(keys.counted(row.id).item(expires_at=row.expires_at))
        mark = put_write(self._db.dispatches, item, "attribute_not_exists(pk)")
        try:
            self._db.transact([mark, *self._settling(row), *self._counting(row)])
        except ConflictError:
            return False
        return True

    def _settling(self, row: Dispatch) -> Iterator[Write]:
        """Yield the writes that charge the months, and give back what was granted and not spent."""
        charges = row.charges or {}
        for month, change in changes(row.spending.taken, charges).items():
            amounts = {"committed": change, "charged": charges.get(month, 0)}
            if any(amounts.values()):
                for name in (row.tenant_id, ENVIRONMENT):
                    yield adding(self._db, name, month, amounts)

    def _counting(self, row: Dispatch) -> Iterator[Write]:
        entry = entry_of(row)
        yield self._add(row.tenant_id, entry)
        yield self._add(ENVIRONMENT, entry, owner=row.tenant_id)
        for name, value in row.spec.tags.items():
            tagged = Entry(**{**vars(entry), "tag": value})
            yield self._add(row.tenant_id, tagged, name)

    def _add(self, tenant_id: str, entry: Entry, tag: str | None = None, owner: str | None = None) -> Write:
        counted = {name: value for name, value in asdict(entry.totals).items() if value}
        shown = {name: str(value) for name in _LABELS if (value := getattr(entry, name)) is not None}
        values = counted | {f"key_{name}": value for name, value in shown.items()}
        assert entry.day is not None  # noqa: S101 - an entry of a dispatch has its day
        assert entry.agent is not None  # noqa: S101 - and its agent
        month, names = f"{entry.day:%Y-%m}", {f"#{name}": name for name in shown}
        labels = ", ".join(f"#{name} = :key_{name}" for name in shown)
        key = keys.counter(entry.day.day, entry.agent, entry.model, tag=entry.tag, tenant_id=owner)
        added = ", ".join(f"{name} :{name}" for name in counted)
        write = update_write(
            self._db.dispatches,
            Key(keys.usage(tenant_id, month, tag), key),
            f"SET expires_at = :expiry, {labels} ADD {added}",
            **values,
            expiry=expiry_of(month),
        )
        write["Update"]["ExpressionAttributeNames"] = names
        return write

    def entries(self, tenant_id: str, since: date, until: date, tag: str | None = None) -> list[Entry]:
        """Return the counters of a tenant, or of `ENVIRONMENT`, from one day to another, both included.

        With `tag`, those of dispatches that have it, by its value. Raises `TooManyCountersError`.
        """
        found: list[Entry] = []
        for first, last in _months(since, until):
            partition = keys.usage(tenant_id, f"{first:%Y-%m}", tag)
            items = self._db.query(
                self._db.dispatches,
                "pk = :pk AND sk BETWEEN :first AND :last",
                {"pk": partition, "first": f"{first:%d}", "last": f"{last:%d}~"},
                limit=MOST_ITEMS - len(found) + 1,
            )
            found += map(_decode, items)
            if len(found) > MOST_ITEMS:
                raise TooManyCountersError(f"more than {MOST_ITEMS:,} counters lie between {since} and {until}")
        return found


def _months(since: date, until: date) -> Iterator[tuple[date, date]]:
    """Yield the first and the last day of a period in each of its months."""
    while since <= until:
        following = (since.replace(day=1) + timedelta(days=32)).replace(day=1)
        yield since, min(until, following - timedelta(days=1))
        since = following


def _decode(item: Item) -> Entry:
    totals = Totals(**{name: int(item.get(name, 0)) for name in asdict(Totals())})
    return Entry(
        totals,
        date.fromisoformat(item["day"]),
        item.get("tenant"),
        Agent(item["agent"]),
        item.get("model"),
        item.get("tag"),
    )
