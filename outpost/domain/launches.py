"""Launching workers: batches that are being launched, failures to launch with their back-off, and the launch rate."""

from datetime import datetime, timedelta

from outpost.domain.agents import Agent
from outpost.domain.reasons import Reason
from outpost.domain.value import Value

LAUNCHES_PER_SECOND = 20
LAUNCH_BURST = 100
"""Fargate's quotas for new tasks of an account and region (AWS: Fargate throttling quotas)."""
LONGEST_PAUSE = timedelta(minutes=5)
"""Between two trials of an agent whose launches fail."""
REPEATED_FOR = timedelta(minutes=5)
"""RunTask without a response is repeated this long. ECS returns the tasks of the first call for at least an hour, whose
client token lives for 24 hours or an hour longer than its tasks (Amazon ECS API Reference: "Ensuring idempotency")."""
FORGOTTEN_AFTER = REPEATED_FOR + timedelta(minutes=3)
"""What the last repetition started has asked for work by then, or counts as supply no more."""


class Intent(Value):
    """One call of RunTask, written before it: `batch_id` is its client token and its `startedBy`.

    It has all that the call depends on, so that another planner repeats it exactly. `count` tasks are supply until the
    response is known.
    """

    batch_id: str
    agent: Agent
    count: int
    launched_at: datetime
    provider: str = ""
    subnets: tuple[str, ...] = ()
    """In the order in which ECS is asked for them. Empty in intents of the release before: not to be repeated."""

    def repeatable(self, at: datetime) -> bool:
        """Return whether RunTask may be called again for it."""
        return bool(self.subnets) and at - self.launched_at < REPEATED_FOR

    def forgotten(self, at: datetime) -> bool:
        """Return whether it counts no more, although its response was never seen."""
        return at - self.launched_at >= FORGOTTEN_AFTER


class LaunchFailure(Value):
    """The agent's latest failure to launch. All tasks launched before it was known are one failure."""

    reason: Reason
    launched_at: datetime
    """When the task that failed was launched: a worker launched later that asks for work disproves the failure."""
    failed_at: datetime
    """When the first task of the burst failed: the time of the event, whenever that was processed."""
    streak: int = 1
    """Failures since the last launch that worked."""

    @property
    def pause(self) -> timedelta:
        """How long after `failed_at` nothing is launched: 2, 4, 8 ... 300 s."""
        return min(timedelta(seconds=2 ** min(self.streak, 16)), LONGEST_PAUSE)


def count_failure(earlier: LaunchFailure | None, new: LaunchFailure) -> LaunchFailure:
    """Return the failure to keep after a new one.

    A task launched before the earlier failure belongs to the same burst. One launched after it was a new trial. The
    same failure counts once, however often it is reported and although clocks differ.
    """
    new = new.model_copy(update={"failed_at": max(new.failed_at, new.launched_at), "streak": 1})
    if earlier is None:
        return new
    if new.launched_at > earlier.failed_at:
        return new.model_copy(update={"streak": earlier.streak + 1})
    if new.launched_at < earlier.launched_at:
        return earlier
    return earlier.model_copy(update={"reason": new.reason, "launched_at": new.launched_at})


class LaunchRate(Value):
    """A token bucket that mirrors Fargate's: tokens at a time, so that no call is made that would be throttled."""

    tokens: float
    counted_at: datetime

    def at(self, moment: datetime) -> "LaunchRate":
        """Return the bucket as it has refilled by then; a clock that is behind the last one refills nothing."""
        seconds = max((moment - self.counted_at).total_seconds(), 0.0)
        return LaunchRate(tokens=min(self.tokens + seconds * LAUNCHES_PER_SECOND, LAUNCH_BURST), counted_at=moment)

    def take(self, count: int) -> "LaunchRate":
        """Return the bucket without `count` tokens."""
        return self.model_copy(update={"tokens": self.tokens - count})
