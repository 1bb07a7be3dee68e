"""Workers: what is known of a living worker task."""

from datetime import datetime
from enum import StrEnum

from outpost.domain.agents import Agent
from outpost.domain.value import Value


class WorkerState(StrEnum):
    """Starting (RunTask has returned), idle (requested work, found none), busy (claimed once), lost (was silent)."""

    STARTING = "starting"
    IDLE = "idle"
    BUSY = "busy"
    LOST = "lost"


class Worker(Value):
    """A living worker task. `beat` counts its heartbeats; a watcher sees by its own clock whether it still grows."""

    worker_id: str
    task_arn: str
    agent: Agent
    revision: int
    worker_state: WorkerState
    launched_at: datetime
    idle_since: datetime | None = None
    dispatch_id: str | None = None
    fencing_token: int | None = None
    beat: int = 0
    retiring: bool = False
    """It leaves when it asks for work and finds none: of an old revision, in the place of its replacement."""
    proven: bool = False
    """Whether the broker has verified that the task is ours, and that it is the task who asks for work."""
