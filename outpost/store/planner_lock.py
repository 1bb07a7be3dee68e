"""The planner's lock: a lease with a fencing token, so that one planner at a time launches, whatever the clocks say.

Clocks only decide when a planner that is silent may be replaced. Each that acquires the lock gets a larger token, and
what a planner writes before it launches is conditional on its own: the one that was replaced launches nothing more.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from outpost.store import keys
from outpost.store.database import ConflictError, Database, Item, Write, update_write

PLANNER_LEASE = timedelta(seconds=20)
"""A planner that is silent for longer may be replaced. One call of ECS takes 7 s at most."""
RENEWED_AFTER = PLANNER_LEASE / 4


class LockLostError(Exception):
    """Another planner holds the lock now; nothing was written."""


@dataclass(frozen=True)
class PlannerLock:
    """The item of the lock in the workers table. `now` is the clock of the one that holds it, or wants it."""

    database: Database
    now: Callable[[], datetime]

    def acquire(self, owner: str) -> "Term | None":
        """Become the one planner; or return None and leave a note that the one at work shall look again."""
        at = self.now()
        try:
            item = self._update(
                "SET held_by = :me, held_until = :until ADD fencing_token :one REMOVE look_again",
                # The last one: a try whose response was lost may have been written.
                "attribute_not_exists(held_by) OR held_until < :now OR held_by = :me",
                me=owner,
                until=(at + PLANNER_LEASE).isoformat(),
                now=at.isoformat(),
                one=1,
            )
        except ConflictError:
            noted = self.try_update("SET look_again = :yes", "attribute_exists(held_by)", yes=True)
            return None if noted else self.acquire(owner)
        return Term(self, owner, int(item["fencing_token"]), at)

    def try_update(self, expression: str, condition: str, **values: object) -> bool:
        """Update the lock's item; return whether the condition held."""
        try:
            self._update(expression, condition, **values)
        except ConflictError:
            return False
        return True

    def _update(self, expression: str, condition: str, **values: object) -> Item:
        pk, sk = keys.PLANNER_LOCK
        return self.database.update(self.database.workers, pk, sk, expression, condition, **values)


@dataclass
class Term:
    """What the planner may do while it holds the lock.

    Every write may be repeated after a lost response: it is refused only when another planner has acquired the lock.
    """

    lock: PlannerLock
    owner: str
    token: int
    renewed_at: datetime

    @property
    def _me(self) -> dict[str, object]:
        return {"me": self.owner, "token": self.token}

    def keep(self) -> None:
        """Renew the lease when a quarter of it has passed. Raises `LockLostError`."""
        at = self.lock.now()
        if abs(at - self.renewed_at) < RENEWED_AFTER:
            return
        if not self.lock.try_update(_RENEW, _HELD, **self._me, until=(at + PLANNER_LEASE).isoformat()):
            raise LockLostError("another planner holds the lock")
        self.renewed_at = at

    def write(self, writes: Sequence[Write]) -> None:
        """Write, and renew the lease, in one transaction. Raises `LockLostError`, `ContentionError`."""
        at, database = self.lock.now(), self.lock.database
        until = (at + PLANNER_LEASE).isoformat()
        renewal = update_write(database.workers, keys.PLANNER_LOCK, _RENEW, _HELD, **self._me, until=until)
        try:
            database.transact([renewal, *writes])
        except ConflictError as refused:
            raise LockLostError("another planner holds the lock") from refused
        self.renewed_at = at

    def release(self) -> bool:
        """Stop being the planner. Returns False, still holding the lock, when somebody asked to look again."""
        unasked = f"{_HELD} AND attribute_not_exists(look_again)"
        if self.lock.try_update("REMOVE held_by, held_until", unasked, **self._me):
            return True
        return not self.lock.try_update("REMOVE look_again", _HELD, **self._me)

    def abandon(self) -> None:
        """Stop being the planner although somebody may have asked to look again: the next start will."""
        self.lock.try_update("REMOVE held_by, held_until, look_again", _HELD, **self._me)


_RENEW = "SET held_until = :until"
_HELD = "held_by = :me AND fencing_token = :token"
