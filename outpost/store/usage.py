"""Counters of what dispatches used, and the settlement of their grants, written once for each that has ended.

A dispatch adds to the counters of its day for its tenant, for the operator, and for each of its tags, and to its
months' totals; an item of its own says that it was counted, so that a repeated delivery counts nothing twice. What is
read for a report is counters, never dispatches: their number depends on days, agents, models and values of a tag.

Counters are kept thirteen months (`outpost.store.budgets.KEPT`).
"""

import hashlib
from collections.abc import Iterator
from dataclasses import asdict
from datetime import date, timedelta
from typing import TYPE_CHECKING

from outpost.domain.agents import Agent
from outpost.domain.budgets import changes
from outpost.domain.dispatch import Dispatch
from outpost.domain.usage_totals import Entry, Totals, entry_of
from outpost.store.budgets import ENVIRONMENT, adding, expiry_of
from outpost.store.database import ConflictError, Database, Item, expression_values, key, to_attributes
from outpost.store.row_reader import read_row
from outpost.store.rows import key_of

if TYPE_CHECKING:
    from types_boto3_dynamodb.type_defs import TransactWriteItemTypeDef

MOST_ITEMS = 10_000
"""Counters that one report reads."""
_COUNTED = "COUNTED"
_KEYS = ("day", "tenant", "agent", "model", "tag")


class TooManyCountersError(Exception):
    """A report would read more than `MOST_ITEMS` counters."""


class UsageCounters:
    """Counts dispatches that have ended, and reads the counters."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def count(self, dispatch_id: str) -> bool:
        """Count a dispatch and settle its grants; returns whether that was still to do. Raises `ContentionError`."""
        row = read_row(self._db, dispatch_id)
        if row is None or not row.status.terminal:
            return False
        try:
            self._db.transact([self._mark(row), *self._settling(row), *self._counting(row)])
        except ConflictError:
            return False
        return True

    def _mark(self, row: Dispatch) -> "TransactWriteItemTypeDef":
        item = {"pk": key_of(row.id)[0], "sk": _COUNTED, "expires_at": row.expires_at}
        condition = "attribute_not_exists(pk)"
        table = self._db.dispatches
        return {"Put": {"TableName": table, "Item": to_attributes(item), "ConditionExpression": condition}}

    def _settling(self, row: Dispatch) -> Iterator["TransactWriteItemTypeDef"]:
        """Yield the writes that charge the months, and give back what was granted and not spent."""
        charges = row.charges or {}
        for month, change in changes(row.spending.taken, charges).items():
            amounts = {"committed": change, "charged": charges.get(month, 0)}
            if any(amounts.values()):
                for name in (row.tenant_id, ENVIRONMENT):
                    yield adding(self._db, name, month, amounts)

    def _counting(self, row: Dispatch) -> Iterator["TransactWriteItemTypeDef"]:
        entry = entry_of(row)
        yield self._add(_partition(row.tenant_id, entry), _sort_key(entry), entry)
        yield self._add(_partition(ENVIRONMENT, entry), f"{_sort_key(entry)}#{row.tenant_id}", entry)
        for name, value in row.spec.tags.items():
            tagged = Entry(**{**vars(entry), "tag": value})
            yield self._add(_partition(row.tenant_id, entry, name), _sort_key(tagged), tagged)

    def _add(self, pk: str, sk: str, entry: Entry) -> "TransactWriteItemTypeDef":
        counted = {name: value for name, value in asdict(entry.totals).items() if value}
        shown = {name: str(value) for name in _KEYS if (value := getattr(entry, name)) is not None}
        values = counted | {f"key_{name}": value for name, value in shown.items()}
        assert entry.day is not None  # noqa: S101 - an entry of a dispatch has its day
        names = {f"#{name}": name for name in shown}
        labels = ", ".join(f"#{name} = :key_{name}" for name in shown)
        return {
            "Update": {
                "TableName": self._db.dispatches,
                "Key": key(pk, sk),
                "UpdateExpression": f"SET expires_at = :expiry, {labels} "
                f"ADD {', '.join(f'{name} :{name}' for name in counted)}",
                "ExpressionAttributeNames": names,
                "ExpressionAttributeValues": expression_values({**values, "expiry": expiry_of(f"{entry.day:%Y-%m}")}),
            },
        }

    def entries(self, tenant_id: str, since: date, until: date, tag: str | None = None) -> list[Entry]:
        """Return the counters of a tenant, or of `ENVIRONMENT`, from one day to another, both included.

        With `tag`, those of dispatches that have it, by its value. Raises `TooManyCountersError`.
        """
        found: list[Entry] = []
        for first, last in _months(since, until):
            partition = _partition(tenant_id, Entry(Totals(), first), tag)
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


def _partition(tenant_id: str, entry: Entry, tag: str | None = None) -> str:
    """Return the partition of a month, or of a tag in a month."""
    month = f"{tenant_id}#{entry.day:%Y-%m}"
    return f"USAGE#{month}" if tag is None else f"TAG#{month}#{tag}"


def _sort_key(entry: Entry) -> str:
    """Return `<day>#<agent>#<model>`, with a digest of a tag's value: as it is, it may be longer than a key."""
    digest = "" if entry.tag is None else f"#{hashlib.sha256(entry.tag.encode()).hexdigest()[:32]}"
    return f"{entry.day:%d}#{entry.agent}#{entry.model or ''}{digest}"


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
