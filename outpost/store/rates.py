"""What each API key has used of its minute: one counter for all replicas."""

from datetime import UTC, datetime, timedelta

from outpost.store import keys
from outpost.store.database import Database

WINDOW_SECONDS = 60
_KEPT = timedelta(minutes=10)


class Rates:
    """The keys' counters in the tenants table; an old minute's item ends by its TTL."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def lease(self, key_sha256: str, window: int, count: int) -> int:
        """Count `count` requests of a key's minute, and return how many were counted before."""
        item = self._db.update(
            self._db.tenants,
            *keys.rate(key_sha256, window),
            "ADD leased :count SET expires_at = :expiry",
            count=count,
            expiry=int((datetime.fromtimestamp(window, UTC) + _KEPT).timestamp()),
        )
        return int(item["leased"]) - count
