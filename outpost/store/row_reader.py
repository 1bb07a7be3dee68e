"""Reading rows together with what is stored beside them."""

from collections.abc import Sequence

from outpost.domain.dispatch import Dispatch
from outpost.store import keys
from outpost.store.database import Database, Item
from outpost.store.rows import details_key, is_whole, row_from


def read_row(database: Database, dispatch_id: str) -> Dispatch | None:
    """Read a row as it is now, or None. Raises `LookupError` when a live row's longer texts are missing."""
    item = database.get(database.dispatches, *keys.row(dispatch_id))
    return complete_row(database, item) if item else None


def complete_row(database: Database, item: Item) -> Dispatch:
    """Return the row of an item. Raises `LookupError` when a live row's longer texts are missing.

    They were written with the row or before it, and never change: a read that follows finds them.
    """
    if is_whole(item):
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
