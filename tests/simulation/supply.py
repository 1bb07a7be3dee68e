"""What must hold of launches."""

from collections import defaultdict
from collections.abc import Sequence

from outpost.domain.agents import Agent
from outpost.domain.dispatch import Status
from tests.simulation.ecs import Task
from tests.simulation.observed import Observed

STARTING_SECONDS = 180.0
"""A task that has not asked for work by then is supply no more."""
PLANNER_SECONDS = 60.0
"""A planner launches at most so long after it has read what there is: its function's time limit."""
DEMAND_SECONDS = 120.0
"""For so long a launch may answer to demand that was there."""


class Supply(Observed):
    """Compares launches with what was wanted."""

    def _count_demand(self) -> None:
        wanted: dict[Agent, int] = defaultdict(int)
        for tenant, limit in self.scenario.tenants.items():
            rows = (row for row in self.rows.values() if row.tenant_id == tenant and row.status is Status.PENDING)
            pending = sorted(row.id for row in rows)
            varies = any(self._is_postponed(self.rows[id_]) for id_ in pending)  # which of them may be claimed
            for id_ in pending if varies else pending[:limit]:
                wanted[self.rows[id_].spec.agent] += 1
        self.demand.append((self.scheduler.now, dict(wanted)))

    def launched(self, made: Sequence[Task]) -> None:
        """Tasks were launched: no more than were wanted a while ago."""
        for task in made:
            self.log(task.host.name, f"launched: revision {task.revision}")
        for agent, settings in self.scenario.agents.items():
            new = [task for task in made if task.family == settings.family]
            if not new:
                continue
            alive = [task for task in self._ecs.tasks.values() if task.family == settings.family and self._counts(task)]
            self.require("no agent is over its limit", len(alive) <= settings.limit, f"{agent}: {len(alive)}")
            free = [task for task in alive if not self._has_claimed(task) and task.revision == self._ecs.revision]
            peak = self._peak(agent)
            text = f"{agent}: {len(free)} free workers for {peak} dispatches and {settings.warm} warm"
            self.require("launches are bounded by demand", len(free) <= peak + settings.warm, text)

    def _peak(self, agent: Agent) -> int:
        """Return the most that was wanted of an agent at once in the last while."""
        since = self.scheduler.now - DEMAND_SECONDS
        recent = [wanted.get(agent, 0) for at, wanted in self.demand if at >= since]
        before = [wanted.get(agent, 0) for at, wanted in self.demand if at < since]
        return max([*recent, *before[-1:]], default=0)

    def _counts(self, task: Task) -> bool:
        """Return whether a task is one that the planner can and must count."""
        now = self.scheduler.now
        if task.stopped is not None or task.stop_asked is not None or task.host.frozen_until > now - 100:
            return False
        limit, asked = STARTING_SECONDS - 2 * self.faults.skew, self.first_beats.get(task.id)
        if not task.running or asked is None:
            return now - task.created < limit
        if asked - task.created >= limit and now - asked < PLANNER_SECONDS:
            return False  # a planner that has given it up may have read the workers before
        return not task.host.cut_off[0] <= now <= task.host.cut_off[1] + 100
