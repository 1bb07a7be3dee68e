"""What the reconciler's passes observed of heartbeats, and where they are."""

from datetime import datetime
from typing import NamedTuple

from outpost.domain.agents import Agent
from outpost.domain.value import Value


class Observation(NamedTuple):
    """A worker's token and beat counter, when they were last read, and for how long they stood still, in seconds."""

    token: int
    beat: int
    number: int
    """Of the round that last observed it."""
    seen_at: float
    """Epoch seconds at the end of the last read."""
    unheard: float
    silent: float
    """How much of `unheard` counts: what passed between passes that ran and heard the fleet."""


class ReconcilerState(Value):
    """Where the passes of the reconciler are. A pass that has no time left continues in the next one."""

    holder: str = ""
    """The invocation whose passes count: the newest. An older one that is still running stops."""
    ended_at: datetime | None = None
    """Of the last pass."""
    hearing: bool = True
    """Whether the last pass heard the fleet."""
    mute_seconds: float = 0
    """For how long passes have not heard the fleet."""
    number: int = 1
    """Of the round: one walk through all workers."""
    worker: tuple[Agent, str] | None = None
    """The last worker seen of this round; None before the first."""
    heard: int = 0
    unheard: int = 0
    """Workers of this round so far."""
    row: tuple[int, str] | None = None
    """The shard and id of the last active row seen; None before the first."""
    items: int = 0
    """How many items hold the observations."""
