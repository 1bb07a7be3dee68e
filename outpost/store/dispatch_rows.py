"""Reading the rows of dispatches together with what is stored beside them; it needs no queues."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import chain, islice

from outpost.domain.dispatch import Dispatch
from outpost.domain.ids import lowest_id
from outpost.store import keys
from outpost.store.database import Database, Item
from outpost.store.live_dispatches import LiveDispatches
from outpost.store.rows import details_key, is_complete, row_from
from outpost.store.schema import BY_TENANT

EXAMINED = 1_000
"""Rows that one page of a filtered list looks at, at most."""
FILTERED_PAGE = 250
"""Rows read at a time when some will not match."""
_BEFORE_IDS = "0"
"""Sorts before every id."""


class UnknownDispatchError(LookupError):
    """There is no dispatch of this id."""


@dataclass(frozen=True)
class Page:
    """Some rows, newest first; `last_id` continues the list, None ends it."""

    rows: list[Dispatch]
    last_id: str | None


class DispatchRows:
    """The rows of the dispatches table; `live` finds those in it that have not ended."""

    def __init__(self, database: Database) -> None:
        self._db = database
        self.live = LiveDispatches(database)

    def get(self, dispatch_id: str) -> Dispatch | None:
        """Read a row as it is now, or None. Raises `LookupError` when a live row's details are missing."""
        item = self._db.get(self._db.dispatches, *keys.row(dispatch_id))
        return complete_row(self._db, item) if item else None

    def task(self, dispatch_id: str) -> str:
        """Read the text of a task. Raises `UnknownDispatchError`."""
        item = self._db.get(self._db.dispatches, *keys.task(dispatch_id))
        if item is None:
            raise UnknownDispatchError(dispatch_id)
        return str(item["task"])

    def page(
        self,
        tenant_id: str,
        *,
        limit: int,
        before: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        matches: Callable[[Dispatch], bool] | None = None,
        reads_details: bool = False,
        complete: bool = True,
    ) -> Page:
        """Return up to `limit` matching rows with ids below `before`, created in [since, until), newest first.

        At most `EXAMINED` rows are read, so a short page may have a `last_id`. `matches` gets rows that may miss tags
        and details, unless it `reads_details`; so may those that are returned, unless they are `complete`.
        """
        oldest = lowest_id(since) if since else _BEFORE_IDS
        newest = min(before or keys.AFTER_IDS, lowest_id(until) if until else keys.AFTER_IDS)
        if oldest > newest:
            return Page([], None)
        # BETWEEN includes `newest` itself, and one row more shows whether a page follows.
        size = FILTERED_PAGE if matches else limit + 2
        items = self._db.query(
            self._db.dispatches,
            "tenant_id = :tenant AND id BETWEEN :oldest AND :newest",
            {"tenant": tenant_id, "oldest": oldest, "newest": newest},
            index=BY_TENANT.name,
            newest_first=True,
            limit=EXAMINED,
            page_size=size,
        )
        pages = iter(lambda: list(islice(items, size)), [])
        found = (zip(page, self._rows(page, complete=reads_details), strict=True) for page in pages)
        chosen: list[Item] = []
        last: str | None = None
        examined = 0
        for item, row in chain.from_iterable(found):
            examined += 1
            if row.id == newest:
                continue
            if matches is None or matches(row):
                if len(chosen) == limit:
                    return Page(self._rows(chosen, complete=complete), last)
                chosen.append(item)
            last = row.id
        return Page(self._rows(chosen, complete=complete), last if examined == EXAMINED else None)

    def _rows(self, items: Sequence[Item], *, complete: bool) -> list[Dispatch]:
        return complete_rows(self._db, items) if complete else list(map(row_from, items))


def complete_row(database: Database, item: Item) -> Dispatch:
    """Return the row of an item. Raises `LookupError` when a live row's details are missing.

    They were written with the row or before it, and never change: a read that follows finds them.
    """
    if is_complete(item):
        return row_from(item)
    key = details_key(item)
    if key is None:
        return row_from(item, _any_details(database, item["id"]))
    details = database.get(database.dispatches, *key)
    row = row_from(item, details)
    if details is None and not row.status.terminal:  # of one that has ended, they may have expired before it
        raise LookupError(f"dispatch {row.id}: the item {key[1]} is missing: restore the table")
    return row


def _any_details(database: Database, dispatch_id: str) -> Item | None:
    condition, values = "pk = :pk AND begins_with(sk, :sk)", keys.details(dispatch_id)._asdict()
    return next(database.query(database.dispatches, condition, values, limit=1), None)


def complete_rows(database: Database, items: Sequence[Item]) -> list[Dispatch]:
    """Return the rows of items, in their order."""
    keys = [key for key in map(details_key, items) if key]
    found = database.get_many(database.dispatches, keys, ("pk", "sk", "texts")) if keys else []
    details = {(each["pk"], each["sk"]): each for each in found}
    return [row_from(item, details.get(details_key(item) or ("", ""))) for item in items]
