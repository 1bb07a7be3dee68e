"""The one way in which anything outside the run ends it: heartbeat and signals set it, the run looks at it."""

import threading
from enum import Enum


class Cause(Enum):
    """Why a run must stop before its end."""

    CANCELLED = "cancelled"
    TERMINATED = "terminated"
    """SIGTERM: Spot interruption, StopTask, drain."""
    LOST = "lost"
    """The lease is not live any more: nothing may be written."""


class Stopped(Exception):  # noqa: N818 - not an error: the run was asked to end
    """The run was asked to stop."""

    def __init__(self, cause: Cause) -> None:
        super().__init__(cause.value)
        self.cause = cause


class StopSignal:
    """A flag with a cause. The first cause stays, except that a lost lease outranks all others."""

    def __init__(self) -> None:
        self._changed = threading.Condition(threading.RLock())
        """With a lock that the thread that holds it may take again, as a signal handler interrupts that thread."""
        self.cause: Cause | None = None
        """Why to stop, or None."""

    def request(self, cause: Cause) -> None:
        """Ask the run to stop."""
        with self._changed:
            if self.cause is None or cause is Cause.LOST:
                self.cause = cause
            self._changed.notify_all()

    def wait(self, seconds: float) -> bool:
        """Wait at most `seconds`; return whether the run must stop."""
        with self._changed:
            return self._changed.wait_for(lambda: self.cause is not None, seconds)

    def check(self) -> None:
        """Raise `Stopped` when the run must stop."""
        if self.cause is not None:
            raise Stopped(self.cause)
