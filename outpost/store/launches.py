"""What the planner must remember between runs: that it runs, what it is about to launch, and what failed to launch."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from pydantic import BaseModel, ConfigDict

from outpost.domain.agents import Agent
from outpost.domain.reasons import Reason, ReasonCode
from outpost.store.database import ConflictError, Database

PLANNER_LEASE = timedelta(seconds=20)
"""Renewed each round. When it runs out under a slow planner, intents keep two planners from launching twice."""
LAUNCHES_PER_SECOND = 20
LAUNCH_BURST = 100
"""Fargate's quotas for new tasks of an account and region (AWS: Fargate throttling quotas)."""
INTENT_LIFETIME = timedelta(seconds=180)
"""A launch counts as supply for this long, whether RunTask's answer was seen or not."""
_KEPT = timedelta(days=1)


class Intent(BaseModel):
    """A batch that is about to be launched; written before RunTask, whose client token and `startedBy` it names."""

    model_config = ConfigDict(frozen=True)

    batch_id: str
    agent: Agent
    count: int
    launched_at: datetime


class LaunchFailure(BaseModel):
    """The agent's latest failure to launch."""

    model_config = ConfigDict(frozen=True)

    reason: Reason
    launched_at: datetime
    """When the task that failed was launched: a worker launched later that asks for work disproves the failure."""
    failed_at: datetime
    streak: int
    """Failures since the last launch that worked."""


class LaunchRate(BaseModel):
    """A token bucket that mirrors Fargate's: tokens at a time, so that no call is made that would be throttled."""

    model_config = ConfigDict(frozen=True)

    tokens: float
    counted_at: datetime

    def at(self, moment: datetime) -> "LaunchRate":
        """Return the bucket as it has refilled by then."""
        refilled = self.tokens + (moment - self.counted_at).total_seconds() * LAUNCHES_PER_SECOND
        return LaunchRate(tokens=min(refilled, LAUNCH_BURST), counted_at=moment)

    def take(self, count: int) -> "LaunchRate":
        """Return the bucket without `count` tokens."""
        return self.model_copy(update={"tokens": self.tokens - count})


class Launches:
    """The planner's items in the workers table."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def acquire(self, owner: str, at: datetime) -> bool:
        """Become the one planner, or leave a note that the one at work shall look again."""
        until = (at + PLANNER_LEASE).isoformat()
        try:
            self._db.update(
                self._db.workers,
                "LEASE#planner",
                "LEASE",
                "SET held_by = :me, held_until = :until REMOVE look_again",
                # The last one: a try whose response was lost may have been written.
                "attribute_not_exists(held_by) OR held_until < :now OR held_by = :me",
                me=owner,
                until=until,
                now=at.isoformat(),
            )
        except ConflictError:
            return not self._note_for_holder() and self.acquire(owner, at)
        return True

    def _note_for_holder(self) -> bool:
        try:
            self._db.update(
                self._db.workers,
                "LEASE#planner",
                "LEASE",
                "SET look_again = :yes",
                "attribute_exists(held_by)",
                yes=True,
            )
        except ConflictError:
            return False
        return True

    def release(self, owner: str) -> bool:
        """Stop being the planner. Returns False, still holding the lease, when somebody asked to look again."""
        try:
            self._db.update(
                self._db.workers,
                "LEASE#planner",
                "LEASE",
                "REMOVE held_by, held_until",
                "held_by = :me AND attribute_not_exists(look_again)",
                me=owner,
            )
        except ConflictError:
            return not self._still_held(owner)
        return True

    def _still_held(self, owner: str) -> bool:
        """Clear the note, if the lease is still ours: then the caller goes round once more."""
        try:
            self._db.update(self._db.workers, "LEASE#planner", "LEASE", "REMOVE look_again", "held_by = :me", me=owner)
        except ConflictError:
            return False
        return True

    def abandon(self, owner: str) -> None:
        """Stop being the planner, whoever wants to look again: the next start will."""
        try:
            self._db.update(
                self._db.workers,
                "LEASE#planner",
                "LEASE",
                "REMOVE held_by, held_until, look_again",
                "held_by = :me",
                me=owner,
            )
        except ConflictError:
            return

    def renew(self, owner: str, at: datetime) -> bool:
        """Hold the lease for longer. Returns False when another planner holds it now."""
        until = (at + PLANNER_LEASE).isoformat()
        try:
            self._db.update(
                self._db.workers,
                "LEASE#planner",
                "LEASE",
                "SET held_until = :until",
                "held_by = :me",
                me=owner,
                until=until,
            )
        except ConflictError:
            return False
        return True

    def rate(self, at: datetime) -> LaunchRate:
        """Read the launch rate's bucket, refilled; full when nothing was launched yet."""
        item = self._db.get(self._db.workers, "LEASE#planner", "RATE")
        known = LaunchRate.model_validate_json(item["document"]) if item else None
        return known.at(at) if known else LaunchRate(tokens=LAUNCH_BURST, counted_at=at)

    def keep_rate(self, rate: LaunchRate) -> None:
        """Write the bucket; only the planner that holds the lease does."""
        item = {"pk": "LEASE#planner", "sk": "RATE", "document": rate.model_dump_json()}
        self._db.put(self._db.workers, item)

    def intend(self, intent: Intent) -> None:
        """Write an intent down, before RunTask."""
        item = {
            "pk": f"INTENT#{intent.agent}",
            "sk": intent.batch_id,
            "document": intent.model_dump_json(),
            "expires_at": int((intent.launched_at + _KEPT).timestamp()),
        }
        self._db.put(self._db.workers, item)

    def intents(self, agent: Agent) -> Iterator[Intent]:
        """Yield the intents whose tasks are not all written down as workers yet."""
        for item in self._db.query(
            self._db.workers, "pk = :pk AND sk < :end", {"pk": f"INTENT#{agent}", "end": _FAILURE}
        ):
            yield Intent.model_validate_json(item["document"])

    def settle(self, intent: Intent) -> None:
        """Forget an intent: its tasks are written down as workers, or RunTask refused it."""
        self._db.delete(self._db.workers, f"INTENT#{intent.agent}", intent.batch_id)

    def failed(self, agent: Agent, reason: Reason, launched_at: datetime, at: datetime) -> None:
        """Write down a failure to launch; failures in a row make the planner pause ever longer."""
        earlier = self.failure(agent)
        streak = earlier.streak + 1 if earlier else 1
        failure = LaunchFailure(reason=reason, launched_at=launched_at, failed_at=at, streak=streak)
        item = {"pk": f"INTENT#{agent}", "sk": _FAILURE, "document": failure.model_dump_json()}
        self._db.put(self._db.workers, item | {"expires_at": int((failure.failed_at + _KEPT).timestamp())})

    def failure(self, agent: Agent) -> LaunchFailure | None:
        """Read the latest failure to launch since a launch last worked, or None."""
        item = self._db.get(self._db.workers, f"INTENT#{agent}", _FAILURE)
        return LaunchFailure.model_validate_json(item["document"]) if item else None

    def succeeded(self, agent: Agent, launched_at: datetime) -> None:
        """A task launched then works: forget a failure that is not younger."""
        failure = self.failure(agent)
        if failure and launched_at >= failure.launched_at:
            self._forget(agent)

    def accepted(self, agent: Agent) -> None:
        """RunTask found room: forget that there was none. Whether the task then starts, another failure may say."""
        failure = self.failure(agent)
        if failure and failure.reason.code is ReasonCode.CAPACITY_UNAVAILABLE:
            self._forget(agent)

    def _forget(self, agent: Agent) -> None:
        self._db.delete(self._db.workers, f"INTENT#{agent}", _FAILURE)


_FAILURE = "~failure"
"""Sorts after every batch id."""
