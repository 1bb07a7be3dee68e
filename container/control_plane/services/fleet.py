"""The figures of a fleet: a tenant's own, and the platform's for the operator. Their cost does not grow with history.

Workers are counted once in five seconds, however many ask.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Iterable
from datetime import timedelta
from threading import Lock

from cachetools import TTLCache

from control_plane.admission import Policy
from control_plane.schemas.health import AgentFleetView, AgentTotalsView, FleetView, TotalsView
from control_plane.services.start_estimate import run_seconds
from outpost.domain.agents import Agent
from outpost.domain.dispatch import Dispatch, Status
from outpost.domain.ids import now
from outpost.domain.slots import Slots
from outpost.domain.tenants import OPERATOR, Tenant
from outpost.domain.workers import WorkerState
from outpost.store.dispatch_rows import EXAMINED
from outpost.store.dispatches import Dispatches
from outpost.store.slots import TenantSlots
from outpost.store.workers import Workers

FRESH_SECONDS = 5.0


class Fleet:
    """Counts dispatches and workers."""

    def __init__(self, policy: Policy, dispatches: Dispatches, workers: Workers, slots: TenantSlots) -> None:
        self._policy = policy
        self._dispatches = dispatches
        self._workers = workers
        self._slots = slots
        self._states: TTLCache[Agent, Counter[WorkerState]] = TTLCache(len(Agent), FRESH_SECONDS, time.monotonic)
        self._lock = Lock()

    async def of(self, tenant: Tenant) -> FleetView:
        """Return a tenant's figures; the operator's have the platform's totals as well."""
        return await asyncio.to_thread(self._of, tenant)

    def _of(self, tenant: Tenant) -> FleetView:
        page = self._dispatches.page(tenant.id, limit=EXAMINED, since=now() - timedelta(hours=1), complete=False)
        slots = self._slots.of(tenant.id)
        return FleetView(
            agents={agent: self._agent(tenant, agent, slots, page.rows) for agent in Agent},
            slots_used=len(slots.taken),
            slots=tenant.limits.concurrent,
            last_hour=dict(Counter(row.status for row in page.rows)),
            complete=page.last_id is None,
            totals=self._totals() if tenant.id == OPERATOR else None,
        )

    def _agent(self, tenant: Tenant, agent: Agent, slots: Slots, rows: Iterable[Dispatch]) -> AgentFleetView:
        settings = self._policy.agents.get(agent)
        if settings is None:
            return AgentFleetView(available=False)
        ended = [row for row in rows if row.spec.agent is agent and row.status.terminal]
        times = [seconds for row in ended if (seconds := run_seconds(row)) is not None]
        successes = sum(row.status is Status.SUCCESS for row in ended)
        return AgentFleetView(
            available=True,
            model_id=settings.resolve_model(None),
            warm=min(self._workers_of(agent)[WorkerState.IDLE], len(slots.free(tenant.limits.concurrent))),
            busy=slots.agents[agent],
            pending=self._dispatches.live.pending(agent, tenant.id, EXAMINED),
            success_rate=round(successes / len(ended), 4) if ended else None,
            mean_duration_seconds=round(sum(times) / len(times), 3) if times else None,
        )

    def _totals(self) -> TotalsView:
        agents = {
            agent: AgentTotalsView(
                starting=self._workers_of(agent)[WorkerState.STARTING],
                idle=self._workers_of(agent)[WorkerState.IDLE],
                busy=self._workers_of(agent)[WorkerState.BUSY],
                pending=self._dispatches.live.pending_of_all(agent, EXAMINED),
            )
            for agent in self._policy.agents
        }
        return TotalsView(agents=agents, live=self._dispatches.live.count(EXAMINED))

    def _workers_of(self, agent: Agent) -> Counter[WorkerState]:
        with self._lock:
            if agent not in self._states:
                self._states[agent] = Counter(worker.worker_state for worker in self._workers.alive(agent))
            return self._states[agent]
