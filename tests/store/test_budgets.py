"""Budgets in dollars: no number of workers together is granted more than there is, in any month."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from broker.broker import Broker
from broker.grants import BudgetThreshold, EventNotSentError, Grants
from outpost.domain.agents import Agent
from outpost.domain.budgets import MICROS, SLICE
from outpost.domain.dispatch import Dispatch, Lease, Status, Usage
from outpost.domain.ids import now
from outpost.domain.lifecycle import Finish, Lose, Report, Start
from outpost.domain.protocol import GrantRequest, GrantResponse
from outpost.domain.reasons import Reason, ReasonCode
from outpost.domain.workers import Worker, WorkerState
from outpost.names import Env
from outpost.store import keys
from outpost.store.budgets import ENVIRONMENT, Budgets, MonthlyLimits

Store = Any
Ask = Callable[..., GrantResponse]
NOVEMBER = datetime(2026, 11, 30, 23, 59, 59, tzinfo=UTC)
DECEMBER = NOVEMBER + timedelta(seconds=1)
LOST = Reason.of(ReasonCode.WORKER_LOST, "gone")


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(Env.ENVIRONMENT, "test")


def claimed(store: Store, number: int = 1, **spec: object) -> Dispatch:
    """Return a dispatch of claude that a worker holds."""
    fields = {"agent": Agent.CLAUDE, "model_id": "claude-opus-5-5"} | spec
    return claim(store, store.dispatch(**fields), number)


def claim(store: Store, row: Dispatch, number: int) -> Dispatch:
    """Let a worker take the dispatch, and the tenant's slot of the same number."""
    arn = f"arn:aws:ecs:us-east-1:000000000000:task/outpost/w{number}"
    worker = Worker(
        worker_id=f"w{number}",
        task_arn=arn,
        agent=row.spec.agent,
        revision=1,
        worker_state=WorkerState.IDLE,
        launched_at=now(),
    )
    taken: Dispatch | None = store.claimer.claim(store.workers.idle(worker), [row.id], [number], now())
    assert taken is not None
    return taken


def lose(store: Store, row: Dispatch) -> None:
    """Let the worker be lost."""
    assert row.lease is not None
    store.dispatches.change(row.id, Lose(row.lease, LOST, now()))


def limited(
    broker: Broker, limits: MonthlyLimits, at: datetime = NOVEMBER, events: list[BudgetThreshold] | None = None
) -> Broker:
    budgets = Budgets(broker.store.tenants._db, broker.store.dispatches, limits)
    return replace(
        broker,
        grants=Grants(budgets, (events if events is not None else list[BudgetThreshold]()).append),
        now=lambda: at,
    )


def ask(broker: Broker, row: Dispatch, usd: float, *, final: bool = False) -> GrantResponse:
    assert row.lease is not None
    request = GrantRequest(dispatch_id=row.id, lease=row.lease, micros=round(usd * MICROS), final=final)
    response = broker.handle(request)
    assert isinstance(response, GrantResponse)
    return response


def committed(broker: Broker, tenant: str = "acme", month: str = "2026-11") -> float:
    return broker.grants.budgets.month(tenant, month).committed / MICROS


def test_a_grant_is_a_slice_ahead_of_what_is_needed_and_counts_for_tenant_and_environment(
    store: Store, broker: Broker
) -> None:
    broker = limited(broker, MonthlyLimits(environment=100, tenant=50))
    row = claimed(store)
    assert ask(broker, row, 3) == GrantResponse(live=True, allowed=3 * MICROS + SLICE)
    assert committed(broker) == committed(broker, ENVIRONMENT) == 4


def test_a_repeated_request_takes_nothing_twice(store: Store, broker: Broker) -> None:
    broker = limited(broker, MonthlyLimits(tenant=50))
    row = claimed(store)
    assert ask(broker, row, 3) == ask(broker, row, 3)
    assert ask(broker, row, 2).allowed == 4 * MICROS
    assert committed(broker) == 4


def test_a_worker_that_lost_its_lease_is_granted_nothing(store: Store, broker: Broker) -> None:
    broker = limited(broker, MonthlyLimits(tenant=50))
    row = claimed(store)
    lose(store, row)
    assert ask(broker, row, 1) == GrantResponse(live=False)
    assert ask(broker, row, 1, final=True) == GrantResponse(live=False)
    assert committed(broker) == 0


def test_25_workers_together_are_never_granted_more_than_the_budget(store: Store, broker: Broker) -> None:
    budget = 20.5
    broker = limited(broker, MonthlyLimits(environment=1_000, tenant=budget))
    rows = [claimed(store, number) for number in range(25)]

    def spend(row: Dispatch) -> float:
        allowed = 0
        for calls in range(1, 5):  # each asks for 0.75 more until it is refused
            response = ask(broker, row, allowed / MICROS + 0.75)
            if response.refused:
                assert "the tenant's budget of 20.50 USD for 2026-11" in response.refused
                break
            allowed = response.allowed
            assert calls <= 4
        return allowed / MICROS

    with ThreadPoolExecutor(25) as pool:
        granted = list(pool.map(spend, rows))
    assert sum(granted) == pytest.approx(committed(broker))
    assert budget - 0.75 < sum(granted) <= budget
    assert committed(broker, ENVIRONMENT) == committed(broker)


def test_of_two_grants_that_saw_the_same_room_one_is_written(store: Store, broker: Broker) -> None:
    budgets = limited(broker, MonthlyLimits(tenant=5)).grants.budgets
    tenant, rows = store.tenants.get("acme"), [claimed(store, number) for number in range(2)]
    for row in rows:
        assert [budget.room for budget in budgets._applying(row, tenant, "2026-11")] == [5 * MICROS]
    written = [budgets._take(row, row.lease, 3 * MICROS, tenant, NOVEMBER) is not None for row in rows if row.lease]
    assert written == [True, False]
    assert budgets.month("acme", "2026-11").committed == 3 * MICROS


def test_the_environments_budget_holds_for_all_tenants_together(store: Store, broker: Broker) -> None:
    broker = limited(broker, MonthlyLimits(environment=5))
    ours, theirs = claimed(store, 1), claimed(store, 2, tenant_id="globex")
    assert ask(broker, ours, 3).allowed == 4 * MICROS
    refused = ask(broker, theirs, 2)
    assert (refused.allowed, refused.left, refused.refused) == (0, MICROS, "the environment's budget for 2026-11")
    assert ask(broker, theirs, 1).allowed == MICROS


def test_a_tenants_own_budget_comes_before_the_environments_default(store: Store, broker: Broker) -> None:
    broker = limited(broker, MonthlyLimits(tenant=1))
    overrides = store.tenants.get("acme").overrides.model_copy(update={"monthly_budget_usd": 10.0})
    store.tenants.change("acme", overrides=overrides)
    assert ask(broker, claimed(store, 1), 5).allowed == 6 * MICROS
    assert ask(broker, claimed(store, 2, tenant_id="globex"), 5).refused is not None


def test_a_month_begins_anew_at_midnight_utc(store: Store, broker: Broker) -> None:
    limits = MonthlyLimits(tenant=5)
    row = claimed(store)
    assert ask(limited(broker, limits, NOVEMBER), row, 5).allowed == 5 * MICROS
    assert ask(limited(broker, limits, NOVEMBER), row, 5.5).refused is not None
    assert ask(limited(broker, limits, DECEMBER), row, 9).allowed == 10 * MICROS
    assert (committed(broker), committed(broker, month="2026-12")) == (5, 5)
    assert store.dispatches.get(row.id).spending.taken == {"2026-11": 5 * MICROS, "2026-12": 5 * MICROS}


def test_attempts_share_the_dispatchs_own_budget(store: Store, broker: Broker) -> None:
    row = claimed(store, retryable=True, max_cost_usd=6)
    assert ask(broker, row, 2).allowed == 3 * MICROS
    lose(store, row)  # its worker is lost: what it was allowed is charged
    again = claim(store, row, 2)
    assert again.spending.earlier == 3 * MICROS
    assert ask(broker, again, 2.5).allowed == 3 * MICROS
    refused = ask(broker, again, 3.5)
    assert (refused.left, refused.refused) == (0, "maxCostUsd of 6.00 USD")


def test_what_a_stopped_worker_gives_back_is_for_the_next_attempt(store: Store, broker: Broker) -> None:
    broker = limited(broker, MonthlyLimits(tenant=5))
    row = claimed(store, max_cost_usd=5)
    assert ask(broker, row, 4).allowed == 5 * MICROS
    assert ask(broker, row, 0.5, final=True).allowed == MICROS // 2
    lose(store, row)
    again = claim(store, row, 2)
    assert ask(broker, again, 4.5).allowed == 4.5 * MICROS
    assert committed(broker) == 5  # nothing was taken twice
    assert ask(broker, again, 4.6).refused == "maxCostUsd of 5.00 USD"


def test_the_end_of_a_dispatch_says_what_it_is_charged(store: Store, broker: Broker) -> None:
    broker = limited(broker, MonthlyLimits(tenant=50))
    row = claimed(store)
    ask(broker, row, 3)
    assert row.lease is not None
    done = Reason.of(ReasonCode.BUDGET_EXCEEDED, "spent")
    usage = Usage(model_cost_usd=1.25)
    report = Report(row.lease, Status.FAILED, done, NOVEMBER, usage=usage)
    store.dispatches.change(row.id, Start(row.lease, NOVEMBER))
    store.dispatches.change(row.id, Finish(row.lease, 1, NOVEMBER))
    ended = store.dispatches.change(row.id, report)
    assert ended.charges == {"2026-11": 1.25 * MICROS}
    assert ended.cost_usd == 1.25


def test_thresholds_are_reported_once_a_month_on_the_bus_and_in_each_dispatchs_log(
    store: Store, broker: Broker
) -> None:
    events: list[BudgetThreshold] = []
    broker = limited(broker, MonthlyLimits(environment=1_000, tenant=10), events=events)
    first, second = claimed(store, 1), claimed(store, 2)
    assert ask(broker, first, 5).warnings == ()
    warning = "80 % or more of the tenant's budget of 10.00 USD for 2026-11 is spent or reserved"
    assert ask(broker, second, 2).warnings == (warning,)
    assert ask(broker, first, 6.5).warnings == (warning,)
    assert ask(broker, first, 8).refused is not None
    assert ask(broker, second, 8).refused is not None
    assert [(each.percent, each.dispatch_id) for each in events] == [(80, second.id), (100, first.id)]
    assert events[0].model_dump(mode="json", by_alias=True) == {
        "schemaVersion": "1.0",
        "id": "test:acme:2026-11:80",
        "environment": "test",
        "scope": "tenant",
        "tenantId": "acme",
        "month": "2026-11",
        "percent": 80,
        "budgetUsd": 10,
        "committedUsd": 9,
        "dispatchId": second.id,
    }


def test_an_event_that_the_bus_does_not_take_refuses_no_grant_and_is_sent_later(store: Store, broker: Broker) -> None:
    sent: list[BudgetThreshold] = []

    def send(event: BudgetThreshold) -> None:
        sent.append(event)
        if len(sent) == 1:
            raise EventNotSentError("ThrottlingException")

    broker = limited(broker, MonthlyLimits(tenant=10))
    broker = replace(broker, grants=replace(broker.grants, send=send))
    row = claimed(store)
    assert ask(broker, row, 8).allowed == 9 * MICROS
    assert ask(broker, row, 9.5).allowed == 10 * MICROS
    assert ask(broker, row, 9.9).allowed == 10 * MICROS
    assert [each.percent for each in sent] == [80, 80]


def test_items_of_a_month_expire_thirteen_months_after_it(store: Store, broker: Broker) -> None:
    broker = limited(broker, MonthlyLimits(tenant=10))
    ask(broker, claimed(store), 1)
    db = broker.store.tenants._db
    item = db.get(db.dispatches, *keys.month("acme", "2026-11"))
    assert item is not None
    kept = datetime.fromtimestamp(int(item["expires_at"]), UTC) - datetime(2026, 12, 1, tzinfo=UTC)
    assert kept == timedelta(days=400)


@pytest.mark.parametrize(
    ("spec", "limits", "needed"),
    [
        ({}, MonthlyLimits(), False),
        ({"max_cost_usd": 1}, MonthlyLimits(), True),
        ({}, MonthlyLimits(tenant=1), True),
        ({}, MonthlyLimits(environment=1), True),
        ({"agent": Agent.SHELL, "model_id": None}, MonthlyLimits(environment=1), False),
    ],
)
def test_a_worker_needs_grants_where_a_budget_applies(
    store: Store, broker: Broker, spec: dict[str, object], limits: MonthlyLimits, needed: bool
) -> None:
    row = claimed(store, 1, **spec)
    assert limited(broker, limits).grants.needed(row, store.tenants) is needed


def test_a_lease_of_another_worker_is_not_granted_anything(store: Store, broker: Broker) -> None:
    row = claimed(store, max_cost_usd=5)
    stale = GrantRequest(dispatch_id=row.id, lease=Lease(worker_id="w9", token=1), micros=MICROS)
    assert broker.handle(stale) == GrantResponse(live=False)
