"""The plan: a pure function from demand and supply to launches.

Demand of an agent is its runnable dispatches and its warm target. A dispatch is runnable when it is pending and the
tenant has a slot that is free, or will be in a moment: its agent has ended and the results are being stored, or the
dispatch before it had the slot for seconds only. So the next worker starts meanwhile.
Supply is its workers that are starting or idle, and the launches that were intended and are not written down as workers
yet. Workers of an old revision serve the demand until they leave, and never count for the warm target.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from outpost.domain.agents import Agent
from outpost.domain.launches import Intent, LaunchFailure
from outpost.domain.workers import Worker, WorkerState

BATCH = 10
"""Tasks that one RunTask call can start."""
STARTING_LIMIT = timedelta(seconds=180)
"""A task that has not asked for work by then counts as supply no more: about 1 % of Fargate's tasks never start."""
UNKNOWN_REVISION = 0
"""Of a worker whose task ECS only named: it counts as the latest one until the worker has asked for work."""
DRAIN_STEPS = 4
"""Where the limit leaves no room to refill first, a warm pool of an old revision is replaced in so many steps."""


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

    def missing(self, demand: int, at: datetime) -> int:
        """Return how many workers are missing; below zero when there are too many."""
        current = self.intended + sum(self._is_current(worker) for worker in self._free(at))
        old = sum(not self._is_current(worker) and not worker.retiring for worker in self._free(at))
        return max(self.warm - current, demand + self.warm - current - old)

    def repeatable(self, demand: int, at: datetime) -> list[Intent]:
        """Return the intents to repeat now, the oldest first, together for no more tasks than are wanted of them.

        Others have fewer tasks than they had. Was the first call carried out, ECS refuses such a repetition
        and names the tasks of the first (`ConflictException.resourceIds`).
        """
        open_, found = [intent for intent in self.intents if intent.repeatable(at)], []
        wanted = self.missing(demand, at) + sum(intent.count for intent in open_)
        for intent in open_:
            count = min(intent.count, wanted)
            if count <= 0:
                break
            found.append(intent.model_copy(update={"count": count}))
            wanted -= count
        return found

    @property
    def intended(self) -> int:
        """Count the launches whose response is not known."""
        return sum(intent.count for intent in self.intents)

    @property
    def total(self) -> int:
        """Count all workers, busy ones too."""
        return len(self.counted) + self.intended

    def permitted(self, at: datetime) -> int:
        """Return how many launches earlier failures allow: none for 2, 4, 8 ... 300 s, then one as a trial.

        The outcome of a trial is awaited. A worker launched later that has asked for work disproves the failure.
        """
        failure = self.failure
        if failure is None or any(
            worker.launched_at >= failure.launched_at and worker.worker_state in (WorkerState.IDLE, WorkerState.BUSY)
            for worker in self.counted
        ):
            return self.limit
        launched = [w.launched_at for w in self._starting(at)] + [i.launched_at for i in self.intents]
        tried = any(moment > failure.failed_at for moment in launched)
        return 0 if tried or at - failure.failed_at < failure.pause else 1

    def retirable(self, demand: int, at: datetime) -> list[Worker]:
        """Return the idle workers of an old revision to retire now, the oldest first.

        Only when the limit leaves no room to launch their replacement before. The next step follows when the workers
        that replace the last one are idle: a revision that cannot start costs one step of the pool.
        """
        replacing = self.intents or any(self._is_current(worker) for worker in self._starting(at))
        leaving = any(worker.retiring for worker in self.counted)
        if self.total < self.limit or self.missing(demand, at) <= 0 or self.failure or replacing or leaving:
            return []
        old = [w for w in self.counted if w.worker_state is WorkerState.IDLE and not self._is_current(w)]
        step = -(-self.warm // DRAIN_STEPS)
        return sorted(old, key=lambda worker: (worker.launched_at, worker.worker_id))[:step]

    @property
    def counted(self) -> list[Worker]:
        """Return the workers that count: those that were launched, and those that the broker has verified.

        A row with a task that is not ours takes nobody's place, however long it stays.
        """
        return [worker for worker in self.alive if worker.proven or worker.worker_state is WorkerState.STARTING]

    def _free(self, at: datetime) -> Iterator[Worker]:
        """Yield the workers that are free for work, or soon will be."""
        yield from (worker for worker in self.counted if worker.worker_state is WorkerState.IDLE)
        yield from self._starting(at)

    def _starting(self, at: datetime) -> Iterator[Worker]:
        for worker in self.alive:
            # One that has a beat asks for work, and the broker cannot verify it at the moment.
            due = worker.beat > 0 or at - worker.launched_at < STARTING_LIMIT
            if worker.worker_state is WorkerState.STARTING and due:
                yield worker

    def _is_current(self, worker: Worker) -> bool:
        return worker.revision >= self.revision or worker.revision == UNKNOWN_REVISION


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
        missing = fleet.missing(demand.get(agent, 0), at)
        count = min(missing, fleet.limit - fleet.total, fleet.permitted(at))
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
