"""Which tenants a claim may serve: at most a fixed number is read, however many have work.

Up to `WINDOW` tenants are compared: the least recently served goes first, then the oldest dispatch. With more tenants
than that, each claim begins behind the last tenant that an earlier one looked at, so that each comes up once around.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import chain, islice

from outpost.domain.agents import Agent
from outpost.domain.slots import Slots
from outpost.fleet.store import Store
from outpost.store.live_dispatches import TenantQueue, Turns

WINDOW = 16
"""Tenants that are compared."""
EXAMINED = 128
"""Tenants that a claim looks at, at most, when the first ones have no free slot."""
CHOICE = 8
"""How many of a tenant's oldest dispatches a claim may choose from when others claim at the same time."""


@dataclass(frozen=True)
class Candidate:
    """A tenant with work for the agent and a free slot."""

    tenant_id: str
    slots: Slots
    queued: list[str]
    free: list[int]


@dataclass(frozen=True)
class Candidates:
    """Finds candidates."""

    store: Store
    turns: Turns

    def of(self, agent: Agent, at: datetime) -> Iterator[Candidate]:
        """Yield tenants that may be served, in the order in which they are served."""
        queues = islice(self._around(agent, at), EXAMINED)
        while window := list(islice(queues, WINDOW)):
            if len(window) == WINDOW:  # there may be more
                self.turns.keep(agent, window[-1].tenant_id)
            ready = filter(None, map(self._candidate, window))
            yield from sorted(ready, key=lambda candidate: (candidate.slots.last_served, candidate.queued[0]))

    def _around(self, agent: Agent, at: datetime) -> Iterator[TenantQueue]:
        behind, queues = self.turns.behind(agent), self.store.rows.live.queues
        return chain(queues(agent, at, behind), queues(agent, at, until=behind) if behind else ())

    def _candidate(self, queue: TenantQueue) -> Candidate | None:
        tenant = self.store.tenants.get(queue.tenant_id) if queue.ids else None
        if tenant is None or tenant.status != "active":
            return None
        slots = self.store.slots.of(tenant.id)
        free = slots.free(tenant.limits.concurrent)
        return Candidate(tenant.id, slots, queue.ids[:CHOICE], free) if free else None
