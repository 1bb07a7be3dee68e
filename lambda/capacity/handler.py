"""The planner's Lambda: on the dispatches' stream (fast) and on a schedule (sure); one at a time."""

from functools import cache
from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext

from capacity.launcher import Launcher
from capacity.plan import BURST, Fleet, batches, plan, runnable
from outpost.domain.agents import Agent, AgentSettings
from outpost.domain.ids import now
from outpost.store.database import Database
from outpost.store.dispatches import Dispatches
from outpost.store.launches import Launches
from outpost.store.tenants import Tenants
from outpost.store.wakeups import Wakeups, agents_from_environment
from outpost.store.workers import Workers

logger = Logger(service="capacity")


class Planner:
    """Reads demand and supply, plans, launches."""

    def __init__(self) -> None:
        database = Database.from_environment()
        self.launches = Launches(database)
        self._agents = agents_from_environment()
        self._dispatches = Dispatches(database, Wakeups.from_environment())
        self._tenants = Tenants(database)
        self._workers = Workers(database, self._dispatches)
        self._launcher = Launcher.from_environment(self._agents, self._workers, self.launches)

    def run(self) -> None:
        """Make supply equal to demand, once."""
        fleets = {agent: self._fleet(agent, settings) for agent, settings in self._agents.items()}
        for agent, count in plan(self._demand(), fleets, now()).items():
            logger.info("launching", extra={"agent": agent, "count": count})
            for size in batches(count):
                self._launcher.launch(agent, size)

    def _fleet(self, agent: Agent, settings: AgentSettings) -> Fleet:
        for intent in self.launches.intents(agent):
            self._launcher.reconcile(intent)
        return Fleet(
            alive=self._workers.alive(agent),
            intents=list(self.launches.intents(agent)),
            failure=self.launches.failure(agent),
            warm=settings.warm,
            limit=settings.limit,
        )

    def _demand(self) -> dict[Agent, int]:
        waiting = {agent: list(self._dispatches.queues(agent)) for agent in self._agents}
        free = {tenant_id: self._free(tenant_id) for tenants in waiting.values() for tenant_id in tenants}
        queued = {
            agent: {t: self._dispatches.queued(agent, t, limit=min(free[t], BURST)) for t in tenants if free[t]}
            for agent, tenants in waiting.items()
        }
        return runnable(queued, free)

    def _free(self, tenant_id: str) -> int:
        tenant = self._tenants.get(tenant_id)
        if tenant is None or tenant.status != "active":
            return 0
        return len(self._workers.slots(tenant_id).free(tenant.limits.concurrent))


@cache
def _planner() -> Planner:
    return Planner()


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> None:
    """Plan and launch. The event only says that something may have changed: the rows say what."""
    planner = _planner()
    owner = context.aws_request_id
    if not planner.launches.acquire(owner, now()):
        logger.info("another planner is at work and will look again")
        return
    done = False
    while not done:
        try:
            planner.run()
        finally:
            done = planner.launches.release(owner)
