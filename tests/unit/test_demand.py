"""The planner's walk through the queues: bounded in what it reads however much is queued, and fair between tenants."""

from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from outpost.domain.agents import Agent
from outpost.domain.slots import Slots
from outpost.domain.tenants import Limits, Tenant
from planner.demand import WALK_LIMIT, Demand, Walk

NOW = datetime(2026, 1, 1, tzinfo=UTC)
Queues = dict[Agent, dict[str, list[str]]]


@dataclass
class Tables:
    """Queues, tenants and slots in memory; each read takes some time."""

    queues: Queues
    slots_of: Callable[[str], int] = lambda _: 1
    suspended: frozenset[str] = frozenset()
    seconds: float = 0
    """What a read takes."""
    reads: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self._sorted = {agent: sorted(f"{t}#" for t in tenants) for agent, tenants in self.queues.items()}

    def now(self) -> datetime:
        return NOW + timedelta(seconds=self.seconds * self.reads.total())

    def tenants(self, agent: Agent, behind: str = "") -> Iterator[str]:
        order = self._sorted.get(agent, [])
        for entry in order[bisect_right(order, f"{behind}#") if behind else 0 :]:
            self.reads["tenants"] += 1
            yield entry[:-1]

    def queued(self, agent: Agent, tenant_id: str, limit: int, at: datetime) -> list[str]:
        self.reads["queued"] += 1
        return self.queues.get(agent, {}).get(tenant_id, [])[:limit]

    def get(self, tenant_id: str) -> Tenant:
        self.reads["tenant"] += 1
        limits = Limits(concurrent=self.slots_of(tenant_id), daily=1_000_000, timeout_seconds=3_600)
        status = "suspended" if tenant_id in self.suspended else "active"
        return Tenant(id=tenant_id, name="T", overrides=limits, created_at=NOW, status=status)

    def of(self, _: str) -> Slots:
        self.reads["slots"] += 1
        return Slots({}, "")


def walk(tables: Tables, enough: dict[Agent, int], after: str = "", keep: Callable[[], None] = lambda: None) -> Walk:
    parts: Any = tables
    return Demand(parts, parts, parts, tables.now).walk(enough, Slots.free, after, keep)


def queue_of(tenants: int, each: int, agent: Agent = Agent.SHELL) -> Queues:
    return {agent: {f"t{n:06}": [f"{n:06}-{i:06}" for i in range(each)] for n in range(tenants)}}


def test_a_hundred_thousand_queued_by_one_tenant_cost_what_its_slots_cost() -> None:
    tables = Tables(queue_of(1, 100_000), slots_of=lambda _: 50)
    assert walk(tables, {Agent.SHELL: 5_000}).count(Agent.SHELL) == 50
    assert tables.reads.total() <= 5


def test_a_hundred_thousand_tenants_cost_what_the_agents_limit_costs() -> None:
    tables = Tables(queue_of(100_000, 1))
    found = walk(tables, {Agent.SHELL: 200})
    assert 200 <= found.count(Agent.SHELL) <= 202
    assert tables.reads.total() <= 4 * 203


def test_a_walk_ends_in_time_and_the_next_continues_until_every_tenant_was_visited() -> None:
    tables = Tables(queue_of(20_000, 1), seconds=0.02)
    seen: list[str] = []
    after, kept = "", 0

    def keep() -> None:
        nonlocal kept
        kept += 1

    for _ in range(200):
        begun = tables.now()
        found = walk(tables, {Agent.SHELL: 10**9}, after, keep)
        assert tables.now() - begun <= WALK_LIMIT + timedelta(seconds=0.1)
        seen += found.found[Agent.SHELL]
        after = found.after
        if len(seen) >= 20_000:
            break
    assert len(set(seen)) == 20_000
    assert len(seen) < 20_300
    assert kept == len(seen)  # the lease is kept at each tenant


def test_each_tenant_is_counted_once_around_wherever_a_walk_begins() -> None:
    tables = Tables(queue_of(7, 2))
    for after in ("", "t000000", "t000003", "t000006", "t0000035", "zzz", "0"):
        found = walk(tables, {Agent.SHELL: 100}, after)
        assert sorted(found.found[Agent.SHELL]) == [f"{n:06}-000000" for n in range(7)]


def test_tenants_whose_ids_begin_alike_are_all_visited_in_the_order_of_the_queue() -> None:
    queues = {
        Agent.SHELL: {"a": ["1"], "a-b": ["2"], "a-b-c": ["3"], "ab": ["4"]},
        Agent.CLAUDE: {"a-b": ["5"], "ab": ["6"], "a0": ["7"]},
    }
    for after in ("", "a", "a-b", "a0", "ab"):
        found = walk(Tables(queues, slots_of=lambda _: 2), {Agent.SHELL: 10, Agent.CLAUDE: 10}, after)
        assert {agent: sorted(ids) for agent, ids in found.found.items()} == {
            Agent.SHELL: ["1", "2", "3", "4"],
            Agent.CLAUDE: ["5", "6", "7"],
        }


def test_an_agent_with_enough_demand_still_takes_its_share_of_a_tenants_slots() -> None:
    queues = {Agent.SHELL: {"a": ["1"], "b": ["2"]}, Agent.CLAUDE: {"b": ["3"]}}
    found = walk(Tables(queues), {Agent.SHELL: 1, Agent.CLAUDE: 5})
    assert found.found == {Agent.SHELL: ["1", "2"]}  # the one slot of b is for its oldest


def test_a_suspended_tenant_has_no_demand() -> None:
    tables = Tables(queue_of(3, 1), suspended=frozenset({"t000001"}))
    assert walk(tables, {Agent.SHELL: 9}).found == {Agent.SHELL: ["000000-000000", "000002-000000"]}


_TENANTS = st.text("ab-0", min_size=1, max_size=3)
_QUEUES = st.dictionaries(
    st.sampled_from([Agent.SHELL, Agent.CLAUDE]), st.dictionaries(_TENANTS, st.integers(1, 4), max_size=12)
)


@given(_QUEUES, _TENANTS | st.just(""), st.integers(1, 3))
def test_a_whole_walk_finds_what_the_slots_of_all_tenants_have_room_for(
    lengths: dict[Agent, dict[str, int]], after: str, slots: int
) -> None:
    queues: Queues = {
        agent: {t: [f"{n}{agent}{t}" for n in range(number)] for t, number in tenants.items()}
        for agent, tenants in lengths.items()
    }
    found = walk(Tables(queues, slots_of=lambda _: slots), {Agent.SHELL: 1_000, Agent.CLAUDE: 1_000}, after)
    all_of: dict[str, int] = Counter()
    for tenants in lengths.values():
        all_of.update(tenants)
    assert sum(len(ids) for ids in found.found.values()) == sum(min(slots, number) for number in all_of.values())
    every = [id_ for ids in found.found.values() for id_ in ids]
    assert len(every) == len(set(every))
