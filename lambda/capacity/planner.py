"""The planner: reads demand and supply, plans, and launches at the rate that the account may launch at."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from aws_lambda_powertools import Logger

from capacity.launcher import Launcher
from capacity.plan import Fleet, batches, plan, ration, runnable
from outpost.domain.agents import Agent, AgentSettings
from outpost.domain.ids import made_at
from outpost.names import Metric
from outpost.store.dispatches import Dispatches
from outpost.store.launches import Launches
from outpost.store.metrics import emit
from outpost.store.tenants import Tenants
from outpost.store.workers import Slots, Workers

logger = Logger(service="capacity")

PACE_SECONDS = 0.5
"""Between two rounds while the launch rate is the bottleneck: ten tasks, one RunTask call."""


@dataclass(frozen=True)
class Planner:
    """One at a time, by the planner's lease. `now` and `sleep` are a clock's."""

    agents: Mapping[Agent, AgentSettings]
    dispatches: Dispatches
    tenants: Tenants
    workers: Workers
    launches: Launches
    launcher: Launcher
    now: Callable[[], datetime]
    sleep: Callable[[float], None]
    revisions: Mapping[Agent, int] = field(default_factory=dict)
    """Latest revision of each agent's task definition; an agent that is missing drains nobody."""

    def work(self, owner: str, until: datetime) -> None:
        """Make supply equal to demand, as long as there is something to launch, at most `until`."""
        if not self.launches.acquire(owner, self.now()):
            logger.info("another planner is at work and will look again")
            return
        try:
            self._work(owner, until)
        except Exception:
            self.launches.abandon(owner)
            raise

    def _work(self, owner: str, until: datetime) -> None:
        while self.now() < until:
            if self.run() > 0:
                self.sleep(PACE_SECONDS)
            elif self.launches.release(owner):
                return
            if not self.launches.renew(owner, self.now()):
                return
        self.launches.abandon(owner)  # the next start goes on

    def run(self) -> int:
        """Launch what is missing and the rate allows; return how many are still missing."""
        at = self.now()
        fleets = {agent: self._fleet(agent, settings, at) for agent, settings in self.agents.items()}
        soon = self._runnable(lambda slots, limit: slots.soon_free(limit, at))
        demand = {agent: len(ids) for agent, ids in soon.items()}
        wanted = plan(demand, fleets, at)
        rate = self.launches.rate(at)
        shares = ration(wanted, int(rate.tokens))
        for agent, count in shares.items():
            logger.info("launching", extra={"agent": agent, "count": count, "wanted": wanted[agent]})
            for size in batches(count):
                throttled = self.launcher.launch(agent, size)
                rate = rate.model_copy(update={"tokens": 0.0}) if throttled else rate.take(size)
                self.launches.keep_rate(rate)
                if throttled:
                    return sum(wanted.values())
        return sum(wanted.values()) - sum(shares.values())

    def tell_backlog(self) -> None:
        """Emit how many dispatches are runnable, and for how long the oldest has been there."""
        found, at = self._runnable(Slots.free), self.now()
        for agent in self.agents:
            ids = found.get(agent, [])
            emit(Metric.QUEUE_DEPTH, len(ids), Agent=agent)
            oldest = (at - made_at(min(ids))).total_seconds() if ids else 0.0
            emit(Metric.OLDEST_RUNNABLE, max(oldest, 0.0), Agent=agent)

    def _fleet(self, agent: Agent, settings: AgentSettings, at: datetime) -> Fleet:
        intents = [self.launcher.reconcile(intent) for intent in self.launches.intents(agent)]
        return Fleet(
            alive=self.workers.alive(agent),
            intents=intents,
            failure=self.launches.failure(agent),
            warm=settings.warm_at(at),
            limit=settings.limit,
            revision=self.revisions.get(agent, 0),
        )

    def _runnable(self, room: Callable[[Slots, int], list[int]]) -> dict[Agent, list[str]]:
        waiting = {agent: list(self.dispatches.live.tenants(agent)) for agent in self.agents}
        found = {tenant_id: self._room(tenant_id, room) for tenants in waiting.values() for tenant_id in tenants}
        queued = {
            agent: {t: self.dispatches.live.queued(agent, t, limit=found[t]) for t in tenants if found[t]}
            for agent, tenants in waiting.items()
        }
        return runnable(queued, found)

    def _room(self, tenant_id: str, room: Callable[[Slots, int], list[int]]) -> int:
        tenant = self.tenants.get(tenant_id)
        if tenant is None or tenant.status != "active":
            return 0
        return len(room(self.workers.slots(tenant_id), tenant.limits.concurrent))
