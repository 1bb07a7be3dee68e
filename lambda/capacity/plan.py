"""The plan: a pure function from demand and supply to launches.

Demand of an agent is its runnable dispatches and its warm target. A dispatch is runnable when it is pending and the
tenant has a slot that is free, or will be in a moment: its agent has ended and the results are being stored, or the
dispatch before it had the slot for seconds only. So the next worker starts meanwhile.
Supply is its workers that are starting or idle, and the launches that were intended and are not written down as workers
yet.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from outpost.domain.agents import Agent
from outpost.store.launches import INTENT_LIFETIME, Intent, LaunchFailure
from outpost.store.workers import Worker, WorkerState

BATCH = 10
"""Tasks that one RunTask call can start."""
LONGEST_PAUSE = timedelta(minutes=5)
STARTING_LIMIT = timedelta(seconds=180)
"""A task that has not asked for work by then counts as supply no more: about 1 % of Fargate's tasks never start."""


@dataclass(frozen=True)
class Fleet:
    """What is known of one agent's workers."""

    alive: Sequence[Worker]
    intents: Sequence[Intent]
    failure: LaunchFailure | None
    warm: int
    limit: int
    revision: int = 0
    """The task definition's latest revision: older workers are drained once they are replaced."""

    def supply(self, at: datetime) -> int:
        """Count the workers of this revision that are free for work, or soon will be."""
        free = sum(
            worker.worker_state is WorkerState.IDLE
            or (worker.worker_state is WorkerState.STARTING and at - worker.launched_at < STARTING_LIMIT)
            for worker in self.alive
            if worker.revision >= self.revision
        )
        return free + self._intended(at)

    def total(self, at: datetime) -> int:
        """Count all workers, busy ones too."""
        return len(self.alive) + self._intended(at)

    def _intended(self, at: datetime) -> int:
        return sum(intent.count for intent in self.intents if at - intent.launched_at < INTENT_LIFETIME)

    def permitted(self, at: datetime) -> int:
        """Return how many launches earlier failures allow: none for 2, 4, 8 ... 300 s, then one as a trial."""
        if self.failure is None:
            return self.limit
        pause = min(timedelta(seconds=2 ** min(self.failure.streak, 16)), LONGEST_PAUSE)
        return 0 if at - self.failure.failed_at < pause else 1


def runnable(queued: Mapping[Agent, Mapping[str, Sequence[str]]], free: Mapping[str, int]) -> dict[Agent, list[str]]:
    """Return the ids of each agent's runnable dispatches: every tenant's free slots go to its oldest pending ones."""
    found: dict[Agent, list[str]] = {}
    for tenant_id, slots in free.items():
        waiting = [(id_, agent) for agent, tenants in queued.items() for id_ in tenants.get(tenant_id, ())]
        for id_, agent in sorted(waiting)[:slots]:
            found.setdefault(agent, []).append(id_)
    return found


def plan(demand: Mapping[Agent, int], fleets: Mapping[Agent, Fleet], at: datetime) -> dict[Agent, int]:
    """Return how many workers each agent is short of and may have."""
    wanted: dict[Agent, int] = {}
    for agent, fleet in fleets.items():
        missing = demand.get(agent, 0) + fleet.warm - fleet.supply(at)
        count = min(missing, fleet.limit - fleet.total(at), fleet.permitted(at))
        if count > 0:
            wanted[agent] = count
    return wanted


def ration(wanted: Mapping[Agent, int], allowance: int) -> dict[Agent, int]:
    """Share what the launch rate allows among the agents, each getting the same until it has what it wants."""
    shares = dict.fromkeys(wanted, 0)
    left = allowance
    while left > 0 and (short := [agent for agent in wanted if shares[agent] < wanted[agent]]):
        for agent in short:
            share = min(max(left // len(short), 1), wanted[agent] - shares[agent], left)
            shares[agent] += share
            left -= share
    return {agent: share for agent, share in shares.items() if share}


def batches(count: int) -> list[int]:
    """Split a count into RunTask calls."""
    return [min(BATCH, count - done) for done in range(0, count, BATCH)]
