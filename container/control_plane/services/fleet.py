"""The figures of a fleet: a tenant's own, and the platform's for the operator; and when a pending dispatch may start.

Their cost does not grow with history. Workers are counted once in five seconds, however many ask.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from threading import Lock

from cachetools import TTLCache

from control_plane.admission import Policy
from control_plane.schemas.health import AgentFleetView, AgentTotalsView, FleetView, TotalsView
from control_plane.settings import Stores
from outpost.domain.agents import Agent
from outpost.domain.dispatch import Dispatch, Status
from outpost.domain.ids import now
from outpost.domain.slots import Slots
from outpost.domain.tenants import OPERATOR, Tenant
from outpost.domain.workers import WorkerState
from outpost.store.dispatch_rows import EXAMINED

FRESH_SECONDS = 5.0
"""How old the count of workers may be."""
THROUGHPUT_SECONDS = 20.0
"""How old a tenant's throughput may be."""
CACHED_TENANTS = 1_000
SAMPLE = 50
"""The tenant's newest dispatches, whose run times are averaged."""


class Fleet:
    """Counts dispatches and workers."""

    def __init__(self, policy: Policy, stores: Stores) -> None:
        self._policy = policy
        self._stores = stores
        self._states: TTLCache[Agent, Counter[WorkerState]] = TTLCache(len(Agent), FRESH_SECONDS, time.monotonic)
        self._lock = Lock()

    async def of(self, tenant: Tenant) -> FleetView:
        """Return a tenant's figures; the operator's have the platform's totals as well."""
        return await asyncio.to_thread(self._of, tenant)

    def _of(self, tenant: Tenant) -> FleetView:
        page = self._stores.dispatches.page(tenant.id, limit=EXAMINED, since=now() - timedelta(hours=1), complete=False)
        slots = self._stores.slots.of(tenant.id)
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
            pending=self._stores.dispatches.live.pending(agent, tenant.id, EXAMINED),
            success_rate=round(successes / len(ended), 4) if ended else None,
            mean_duration_seconds=round(sum(times) / len(times), 3) if times else None,
        )

    def _totals(self) -> TotalsView:
        agents = {
            agent: AgentTotalsView(
                starting=self._workers_of(agent)[WorkerState.STARTING],
                idle=self._workers_of(agent)[WorkerState.IDLE],
                busy=self._workers_of(agent)[WorkerState.BUSY],
                pending=self._stores.dispatches.live.pending_of_all(agent, EXAMINED),
            )
            for agent in self._policy.agents
        }
        return TotalsView(agents=agents, live=self._stores.dispatches.live.count(EXAMINED))

    def _workers_of(self, agent: Agent) -> Counter[WorkerState]:
        with self._lock:
            if agent not in self._states:
                self._states[agent] = Counter(worker.worker_state for worker in self._stores.workers.alive(agent))
            return self._states[agent]


@dataclass(frozen=True)
class Throughput:
    """How fast a tenant's dispatches come and go."""

    free: int
    """Slots that were free."""
    slots: int
    seconds: float
    """Mean run time."""

    def start(self, position: int, at: datetime) -> datetime:
        """Return when the dispatch at this place in the queue will get a slot; the worker's own start comes on top."""
        waiting = position - self.free
        rounds = -(-waiting // self.slots) if waiting > 0 else 0
        return at + timedelta(seconds=round(rounds * self.seconds))


class StartEstimator:
    """Estimates when dispatches start. A tenant's throughput is at most 20 seconds old."""

    def __init__(self, stores: Stores) -> None:
        self._stores = stores
        self._throughputs: TTLCache[tuple[str, Agent], Throughput | None] = TTLCache(CACHED_TENANTS, THROUGHPUT_SECONDS)
        self._lock = Lock()

    def start(self, tenant: Tenant, agent: Agent, position: int, at: datetime) -> datetime | None:
        """Return when a dispatch will probably start, or None when no dispatch for the agent has ended lately."""
        key = tenant.id, agent
        with self._lock:
            known, throughput = key in self._throughputs, self._throughputs.get(key)
        if not known:
            throughput = self._measure(tenant, agent)
            with self._lock:
                self._throughputs[key] = throughput
        return throughput.start(position, at) if throughput else None

    def _measure(self, tenant: Tenant, agent: Agent) -> Throughput | None:
        rows = self._stores.dispatches.page(tenant.id, limit=SAMPLE, complete=False).rows
        times = [seconds for row in rows if row.spec.agent is agent and (seconds := run_seconds(row)) is not None]
        if not times:
            return None
        slots = tenant.limits.concurrent
        return Throughput(len(self._stores.slots.of(tenant.id).free(slots)), slots, sum(times) / len(times))


def run_seconds(row: Dispatch) -> float | None:
    """Return how long a dispatch that has ended ran; None for one that never ran or still does."""
    return (row.ended_at - row.running_at).total_seconds() if row.ended_at and row.running_at else None
