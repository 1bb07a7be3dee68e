"""Demand: the runnable dispatches of all tenants with work, read within a time however many they are.

A walk goes from tenant to tenant in the order of their ids, beginning where the last one stopped, and ends once around.
It stops earlier when its time is over, and reads no queue of an agent that has as much demand as it may have workers:
what a walk reads grows with the workers there may be, not with what is queued.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from heapq import merge
from itertools import groupby

from outpost.domain.agents import Agent
from outpost.domain.slots import Slots
from outpost.store.live_dispatches import LiveDispatches
from outpost.store.slots import TenantSlots
from outpost.store.tenants import Tenants
from planner.plan import runnable

WALK_LIMIT = timedelta(seconds=10)
"""What one walk may take: more than a thousand tenants at the latencies of DynamoDB, a minute of launches."""


@dataclass
class Walk:
    """What a walk found."""

    after: str
    """The tenant behind which the walk began; later the last one that it visited."""
    found: dict[Agent, list[str]] = field(default_factory=dict)
    """The ids of the runnable dispatches of each agent."""

    def add(self, ids: Mapping[Agent, list[str]]) -> None:
        """Add what one tenant's slots have room for."""
        for agent, more in ids.items():
            self.found.setdefault(agent, []).extend(more)

    def count(self, agent: Agent) -> int:
        """Return how many runnable dispatches of an agent were found so far."""
        return len(self.found.get(agent, ()))


@dataclass(frozen=True)
class Demand:
    """Reads the queues and slots of the tenants with work."""

    live: LiveDispatches
    tenants: Tenants
    slots: TenantSlots
    now: Callable[[], datetime]

    def walk(
        self,
        enough: Mapping[Agent, int],
        room: Callable[[Slots, int], list[int]],
        after: str = "",
        keep: Callable[[], None] = lambda: None,
    ) -> Walk:
        """Find the runnable dispatches of agents, up to about `enough` each.

        `room` returns the slots under a limit that dispatches may wait for. `keep` is called for each tenant.
        """
        until, walk = self.now() + WALK_LIMIT, Walk(after)
        for tenant_id, agents in self._tenants(walk, enough, after):
            slots = self._slots(tenant_id, room)
            queued = {
                agent: {tenant_id: self.live.queued(agent, tenant_id, limit=slots, at=self.now())}
                for agent in agents
                if slots
            }
            walk.add(runnable(queued, {tenant_id: slots}))
            walk.after = tenant_id
            keep()
            if self.now() >= until:
                break
        return walk

    def _tenants(self, walk: Walk, enough: Mapping[Agent, int], after: str) -> Iterator[tuple[str, list[Agent]]]:
        """Yield the tenants with work, once around, and the agents whose queues count."""
        for begin, last in ((after, None), ("", after)) if after else (("", None),):
            queues = [self._queue(walk, agent, limit, begin, last) for agent, limit in enough.items()]
            for tenant_id, entries in groupby(merge(*queues, key=_order), key=lambda entry: entry[0]):
                waiting = [agent for _, agent in entries]
                # An agent with enough demand takes its share of a tenant's slots nevertheless.
                yield tenant_id, [a for a, limit in enough.items() if a in waiting or walk.count(a) >= limit]

    def _queue(
        self, walk: Walk, agent: Agent, enough: int, after: str, last: str | None
    ) -> Iterator[tuple[str, Agent]]:
        """Yield the tenants with work for an agent behind one, up to `last`, until there is enough."""
        for tenant_id in self.live.tenants(agent, after):
            if walk.count(agent) >= enough or (last is not None and _order((tenant_id, agent)) > f"{last}#"):
                return
            yield tenant_id, agent

    def _slots(self, tenant_id: str, room: Callable[[Slots, int], list[int]]) -> int:
        tenant = self.tenants.get(tenant_id)
        if tenant is None or tenant.status != "active":
            return 0
        return len(room(self.slots.of(tenant_id), tenant.limits.concurrent))


def _order(entry: tuple[str, Agent]) -> str:
    """Return by what the entries of queues are sorted: `<tenant>#<id>`."""
    return f"{entry[0]}#"
