"""The plan: a pure function from demand and supply to launches.

Demand of an agent is its runnable dispatches (pending, and the tenant has a free slot) and its warm target; supply is
its workers that are starting or idle, and the launches that were intended and are not written down as workers yet.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from outpost.domain.agents import Agent
from outpost.store.launches import INTENT_LIFETIME, Intent, LaunchFailure
from outpost.store.workers import Worker, WorkerState

BATCH = 10
"""Tasks that one RunTask call can start."""
BURST = 100
"""Fargate's launch burst: a run launches no more, and the next run goes on."""
LONGEST_PAUSE = timedelta(minutes=5)


@dataclass(frozen=True)
class Fleet:
    """What is known of one agent's workers."""

    alive: Sequence[Worker]
    intents: Sequence[Intent]
    failure: LaunchFailure | None
    warm: int
    limit: int

    def supply(self, at: datetime) -> int:
        """Count the workers that are free for work, or soon will be."""
        free = sum(worker.worker_state in (WorkerState.STARTING, WorkerState.IDLE) for worker in self.alive)
        return free + self._intended(at)

    def total(self, at: datetime) -> int:
        """Count all workers, busy ones too."""
        return len(self.alive) + self._intended(at)

    def _intended(self, at: datetime) -> int:
        return sum(intent.count for intent in self.intents if at - intent.launched_at < INTENT_LIFETIME)

    def paused(self, at: datetime) -> bool:
        """Say whether launches pause after failures: 2, 4, 8 ... seconds, at most five minutes."""
        if self.failure is None:
            return False
        pause = min(timedelta(seconds=2 ** min(self.failure.streak, 16)), LONGEST_PAUSE)
        return at - self.failure.failed_at < pause


def runnable(queued: Mapping[Agent, Mapping[str, Sequence[str]]], free: Mapping[str, int]) -> dict[Agent, int]:
    """Count each agent's runnable dispatches: every tenant's free slots go to its oldest pending ones."""
    counts: dict[Agent, int] = {}
    for tenant_id, slots in free.items():
        waiting = [(id_, agent) for agent, tenants in queued.items() for id_ in tenants.get(tenant_id, ())]
        for _, agent in sorted(waiting)[:slots]:
            counts[agent] = counts.get(agent, 0) + 1
    return counts


def plan(demand: Mapping[Agent, int], fleets: Mapping[Agent, Fleet], at: datetime) -> dict[Agent, int]:
    """Return how many workers to launch for each agent now."""
    launches: dict[Agent, int] = {}
    left = BURST
    for agent, fleet in fleets.items():
        wanted = demand.get(agent, 0) + fleet.warm - fleet.supply(at)
        count = min(wanted, fleet.limit - fleet.total(at), left)
        if count > 0 and not fleet.paused(at):
            launches[agent] = count
            left -= count
    return launches


def batches(count: int) -> list[int]:
    """Split a count into RunTask calls."""
    return [min(BATCH, count - done) for done in range(0, count, BATCH)]
