"""Usage is counted once for each dispatch that has ended, and its grants are settled with it."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import outpost.store.usage
from broker.broker import Broker
from outpost.domain.agents import Agent
from outpost.domain.budgets import MICROS, Spending, changes
from outpost.domain.dispatch import Dispatch, Status, Usage
from outpost.domain.lifecycle import Cancel, Finish, Report, Start
from outpost.domain.reasons import Reason, ReasonCode
from outpost.domain.usage_event import Entry, Totals, grouped
from outpost.names import Env
from outpost.store.budgets import ENVIRONMENT, MonthlyLimits
from outpost.store.database import Database
from outpost.store.usage import TooManyCountersError, UsageCounters
from tests.store.test_budgets import DECEMBER, NOVEMBER, ask, claimed, committed, limited, lose

Store = Any
DONE = Reason.of(ReasonCode.COMPLETED, "done")
USED = Usage(
    duration_seconds=10.5,
    input_tokens=1_000,
    cached_input_tokens=150,
    output_tokens=400,
    model_calls=2,
    model_cost_usd=1.25,
    vcpu_seconds=20,
    gb_seconds=40,
)


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(Env.ENVIRONMENT, "test")


@pytest.fixture
def counters(database: Database) -> UsageCounters:
    return UsageCounters(database)


def end(store: Store, row: Dispatch, usage: Usage = USED, at: datetime = NOVEMBER) -> Dispatch:
    """Let the worker that holds the dispatch report its success."""
    assert row.lease is not None
    for event in (Start(row.lease, at), Finish(row.lease, 0, at)):
        store.dispatches.change(row.id, event)
    ended: Dispatch = store.dispatches.change(row.id, Report(row.lease, Status.SUCCESS, DONE, at, 0, usage))
    return ended


def november(counters: UsageCounters, tenant: str = "acme", tag: str | None = None) -> list[Entry]:
    return counters.entries(tenant, date(2026, 11, 1), date(2026, 11, 30), tag)


def test_a_dispatch_is_counted_once_however_often_it_is_delivered(store: Store, counters: UsageCounters) -> None:
    row = end(store, claimed(store, tags={"team": "web", "ticket": "=1+1"}))
    with ThreadPoolExecutor(8) as pool:
        counted = list(pool.map(lambda _: counters.count(row.id), range(8)))
    assert counted.count(True) == 1
    totals = Totals(1, 0, 1_000, 150, 400, 2, 1_250_000, 10_500, 20_000, 40_000)
    entry = Entry(totals, date(2026, 11, 30), "acme", Agent.CLAUDE, "claude-opus-5-5")
    assert november(counters) == november(counters, ENVIRONMENT) == [entry]
    assert [each.tag for each in november(counters, tag="ticket")] == ["=1+1"]
    assert november(counters, tag="team")[0].totals == totals
    assert november(counters, tag="nothing") == november(counters, "globex") == []


def test_a_live_dispatch_and_an_unknown_one_are_not_counted(store: Store, counters: UsageCounters) -> None:
    assert counters.count(claimed(store).id) is False
    assert counters.count("01K9ZJ3J0X4T8WB6Q1V5N7M2CD") is False
    assert november(counters) == []


def test_days_agents_and_models_are_told_apart_and_added_up(store: Store, counters: UsageCounters) -> None:
    early = datetime(2026, 11, 2, tzinfo=UTC)
    cases: list[tuple[datetime, dict[str, object]]] = [
        (early, {}),
        (early, {}),
        (NOVEMBER, {}),
        (NOVEMBER, {"model_id": "claude-haiku-5-5"}),
        (NOVEMBER, {"agent": Agent.SHELL, "model_id": None}),
        (DECEMBER, {}),
    ]
    for number, (at, fields) in enumerate(cases):
        counters.count(end(store, claimed(store, number, **fields), at=at).id)
    found = november(counters)
    assert [(each.day, each.totals.dispatches) for each in grouped(found, ["day"])] == [
        (date(2026, 11, 2), 2),
        (date(2026, 11, 30), 3),
    ]
    assert [(each.model, each.totals.dispatches) for each in grouped(found, ["model"])] == [
        (None, 1),
        ("claude-haiku-5-5", 1),
        ("claude-opus-5-5", 3),
    ]
    whole = counters.entries("acme", date(2026, 11, 2), date(2026, 12, 1))
    assert sum(each.totals.dispatches for each in whole) == 6
    assert sum(each.totals.dispatches for each in counters.entries("acme", date(2026, 11, 3), date(2026, 12, 31))) == 4


def test_a_dispatch_whose_model_has_no_price_is_counted_as_such(store: Store, counters: UsageCounters) -> None:
    row = end(store, claimed(store), USED.model_copy(update={"model_cost_usd": None}))
    counters.count(row.id)
    [entry] = november(counters)
    assert (entry.totals.unpriced, entry.totals.cost_micros, row.cost_usd) == (1, 0, None)


def test_what_was_granted_and_not_spent_is_given_back_once(
    store: Store, broker: Broker, counters: UsageCounters
) -> None:
    broker = limited(broker, MonthlyLimits(tenant=5))
    row = claimed(store)
    ask(broker, row, 4)
    assert committed(broker) == 5
    row = end(store, row)
    assert [counters.count(row.id) for _ in range(2)] == [True, False]
    assert committed(broker) == committed(broker, ENVIRONMENT) == 1.25
    assert broker.grants.budgets.month("acme", "2026-11").charged == 1.25 * MICROS


def test_what_runs_without_a_budget_counts_for_one_that_is_set_later(
    store: Store, broker: Broker, counters: UsageCounters
) -> None:
    counters.count(end(store, claimed(store)).id)
    broker = limited(broker, MonthlyLimits(tenant=2))
    assert ask(broker, claimed(store, 2), 1).refused == "the tenant's budget of 2.00 USD for 2026-11"


def test_a_lost_worker_is_charged_what_it_might_have_spent(
    store: Store, broker: Broker, counters: UsageCounters
) -> None:
    broker = limited(broker, MonthlyLimits(tenant=50))
    row = claimed(store)
    ask(broker, row, 2)
    assert row.lease is not None
    store.dispatches.change(row.id, Start(row.lease, NOVEMBER))
    lose(store, row)
    counters.count(row.id)
    assert committed(broker) == 3
    assert store.dispatches.get(row.id).cost_usd == 3


def test_a_worker_that_was_lost_before_its_first_call_costs_nothing(
    store: Store, broker: Broker, counters: UsageCounters
) -> None:
    broker = limited(broker, MonthlyLimits(tenant=50))
    row = claimed(store)
    lose(store, row)
    store.dispatches.change(row.id, Cancel(None, NOVEMBER))
    assert counters.count(row.id)
    assert committed(broker) == 0


def test_a_run_over_the_end_of_a_month_is_charged_to_the_months_that_granted_it(
    store: Store, broker: Broker, counters: UsageCounters
) -> None:
    limits = MonthlyLimits(tenant=5)
    row = claimed(store)
    ask(limited(broker, limits, NOVEMBER), row, 4)
    broker = limited(broker, limits, DECEMBER)
    ask(broker, row, 6)
    assert (committed(broker), committed(broker, month="2026-12")) == (5, 2)
    counters.count(end(store, row, USED.model_copy(update={"model_cost_usd": 5.5}), DECEMBER).id)
    assert (committed(broker), committed(broker, month="2026-12")) == (5, 0.5)


def test_a_report_reads_a_limited_number_of_counters(
    store: Store, counters: UsageCounters, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(3):
        counters.count(end(store, claimed(store, number, tags={"n": str(number)})).id)
    monkeypatch.setattr(outpost.store.usage, "MOST_ITEMS", 2)
    with pytest.raises(TooManyCountersError, match="more than 2 counters"):
        november(counters, tag="n")
    with store.reads() as reads:
        assert len(november(counters)) == 1
    assert (reads.calls["Query"], reads.items) == (1, 1)


MONTHS = st.sampled_from(["2026-10", "2026-11", "2026-12"])
AMOUNTS = st.integers(0, 10**9)


@given(st.dictionaries(MONTHS, AMOUNTS), AMOUNTS, AMOUNTS, st.none() | AMOUNTS)
def test_settling_charges_the_whole_cost_and_no_month_more_than_it_granted_but_the_last(
    taken: dict[str, int], earlier: int, allowed: int, cost: int | None
) -> None:
    spending = Spending(taken=taken, earlier=earlier, allowed=allowed)
    charged = spending.charged("2026-12", cost)
    assert sum(charged.values()) == earlier + (allowed if cost is None else cost)
    assert all(charged[month] <= taken[month] for month in charged if month != "2026-12")
    settled = {month: taken.get(month, 0) + change for month, change in changes(taken, charged).items()}
    assert settled == {month: charged.get(month, 0) for month in settled}
    assert all(amount >= 0 for amount in settled.values())


@given(st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 10**6), st.booleans()), max_size=12))
def test_a_dispatch_never_takes_more_than_its_attempts_were_allowed(steps: list[tuple[int, int, bool]]) -> None:
    spending = Spending()
    for more, spent, ends in steps:
        taken = max(more - spending.unused, 0)
        spending = spending.grant(spending.allowed + more, taken, "2026-11")
        assert sum(spending.taken.values()) >= spending.committed
        if ends:
            spending = spending.grant(min(spent, spending.allowed), 0, "2026-11").next_attempt()
    assert sum(spending.taken.values()) == spending.committed + spending.unused
