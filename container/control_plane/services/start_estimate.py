"""When a pending dispatch may start: an estimate from how long the tenant's latest dispatches ran."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from threading import Lock

from cachetools import TTLCache

from outpost.domain.agents import Agent
from outpost.domain.dispatch import Dispatch
from outpost.domain.tenants import Tenant
from outpost.store.dispatches import Dispatches
from outpost.store.slots import TenantSlots

FRESH_SECONDS = 20.0
CACHED_TENANTS = 1_000
SAMPLE = 50
"""The tenant's newest dispatches, whose run times are averaged."""


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

    def __init__(self, dispatches: Dispatches, slots: TenantSlots) -> None:
        self._dispatches = dispatches
        self._slots = slots
        self._throughputs: TTLCache[tuple[str, Agent], Throughput | None] = TTLCache(CACHED_TENANTS, FRESH_SECONDS)
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
        rows = self._dispatches.page(tenant.id, limit=SAMPLE, complete=False).rows
        times = [seconds for row in rows if row.spec.agent is agent and (seconds := run_seconds(row)) is not None]
        if not times:
            return None
        slots = tenant.limits.concurrent
        return Throughput(len(self._slots.of(tenant.id).free(slots)), slots, sum(times) / len(times))


def run_seconds(row: Dispatch) -> float | None:
    """Return how long a dispatch that has ended ran; None for one that never ran or still does."""
    return (row.ended_at - row.running_at).total_seconds() if row.ended_at and row.running_at else None
