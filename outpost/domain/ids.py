"""Ids of dispatches and workspaces: ULIDs, which sort by time of creation."""

import re
from datetime import UTC, datetime, timedelta

from ulid import ULID

ULID_PATTERN = r"^[0-7][0-9A-HJKMNP-TV-Z]{25}$"
"""Crockford's base 32, 26 characters; the first is at most 7 (128 bits)."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LAST = 2**48 - 1
"""The last millisecond that an id can name."""


def new_id() -> str:
    """Return a new ULID."""
    return str(ULID())


def lowest_id(moment: datetime) -> str:
    """Return what sorts before every id made at this millisecond or later, and after all earlier ones."""
    milliseconds = (moment - _EPOCH) // timedelta(milliseconds=1)
    return str(ULID.from_bytes(min(max(milliseconds, 0), _LAST).to_bytes(6, "big") + bytes(10)))


def made_at(id_: str) -> datetime:
    """Return when an id was made, to the millisecond. Raises `ValueError` for what is no ULID."""
    return ULID.from_str(id_).datetime


def is_id(text: str) -> bool:
    """Return whether `text` has the form of an id; it need not exist."""
    return re.fullmatch(ULID_PATTERN, text) is not None


def now() -> datetime:
    """Return the current time in UTC, to the millisecond that rows and responses keep."""
    moment = datetime.now(UTC)
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)
