"""What a pass works with, what it has failed at, and how much time it has left."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import TypeVar

from aws_lambda_powertools import Logger

from outpost.fleet.store import Store
from outpost.fleet.worker_termination import WorkerTermination
from outpost.store.heartbeat_snapshot import HeartbeatSnapshot
from reconciler.tasks import Tasks

logger = Logger(service="reconciler")

Thing = TypeVar("Thing")


@dataclass(frozen=True)
class Parts:
    """The store, the cluster's tasks and a clock."""

    store: Store
    termination: WorkerTermination
    snapshot: HeartbeatSnapshot
    tasks: Tasks
    now: Callable[[], datetime]
    broker_responds: Callable[[], bool]
    """Calls the broker as workers do; returns whether it responded."""


@dataclass
class Progress:
    """The time limit and the failures of one pass: one item that fails keeps no other from being healed."""

    now: Callable[[], datetime]
    until: datetime
    number: int
    """Of the round. Each begins with another item, so that slow failures do not always delay the same ones."""
    failures: list[Exception] = field(default_factory=list)

    @property
    def over(self) -> bool:
        """Whether the pass has no time left; the next one continues."""
        return self.now() >= self.until

    def attempt(self, heal: Callable[[], object], what: object) -> bool:
        """Call `heal` and keep its exception; return whether there was none."""
        try:
            heal()
        except Exception as error:
            logger.exception("could not heal", extra={"thing": str(what)})
            self.failures.append(error)
            return False
        return True

    def each(self, things: Sequence[Thing], heal: Callable[[Thing], object]) -> None:
        """Call `heal` with each, as long as there is time."""
        first = self.number % len(things) if things else 0
        for thing in [*things[first:], *things[:first]]:
            if self.over:
                return
            self.attempt(partial(heal, thing), thing)

    def finish(self) -> None:
        """Raise `ExceptionGroup` when something failed."""
        if self.failures:
            raise ExceptionGroup("the reconciler could not heal everything", self.failures)
