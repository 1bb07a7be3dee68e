"""Budgets in dollars: no call is made that could cost more than is granted, whatever the agent does."""

import http.client
import json
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outpost.domain.agents import Agent
from outpost.domain.artifacts import Artifact
from outpost.domain.budgets import MICROS, SLICE, Budget, in_usd, month_of, slice_of, to_micros, to_usd
from outpost.domain.dispatch import Spec, Status
from outpost.domain.ids import new_id, now
from outpost.domain.protocol import GrantResponse
from outpost.domain.providers import PROVIDERS
from outpost.domain.reasons import ReasonCode
from outpost.domain.usage import Tokens
from outpost.names import Env
from outpost.store.budgets import Budgets, MonthlyLimits
from outpost.store.database import Database
from tests.eventually import eventually
from tests.worker.brokers import broker_variables, create_broker
from tests.worker.conftest import PROVIDER_KEY, Platform
from tests.worker.model_server import CACHED, INPUT, OUTPUT, model_server
from tests.worker.scripted_provider import DIALOGUES, USED, Dialogue, ScriptedProvider, scripted_provider
from tests.worker.test_budget import call, status_of_call
from worker.model_proxy.meter import BudgetExceededError, GrantError, Meter, Purse, Reservation, cost, most_cost
from worker.model_proxy.server import ModelProxy
from worker.model_proxy.upstream import ProviderKey

MODEL = "claude-opus-5-5"
CUTS = range(len(DIALOGUES["anthropic"].events) + 1)


@dataclass
class Account:
    """The broker's side: a budget that attempts are granted slices of."""

    limit: int
    allowed: int = 0
    requests: list[int] = field(default_factory=list)
    warnings: tuple[str, ...] = ()

    def grant(self, total: int) -> GrantResponse:
        self.requests.append(total)
        budget = Budget("tenant", "the tenant's budget", self.limit, self.allowed)
        missing = total - self.allowed
        if budget.room < missing:
            return GrantResponse(live=True, allowed=self.allowed, left=budget.room, refused=budget.name)
        self.allowed += max(slice_of(missing, [budget]), 0) if missing > 0 else 0
        return GrantResponse(live=True, allowed=self.allowed, warnings=self.warnings)


def purse(
    account: Account, max_cost_usd: float | None = None, earlier: int = 0, warned: list[str] | None = None
) -> Purse:
    spec = Spec(agent=Agent.CLAUDE, max_cost_usd=max_cost_usd)
    return Purse(account.grant, (warned if warned is not None else []).append, spec, earlier)


def dialogue(max_tokens: int = 2_000) -> Dialogue:
    """Return Anthropic's dialogue with a model that has a price."""
    plain = DIALOGUES["anthropic"]
    return replace(plain, body={**plain.body, "model": MODEL, "max_tokens": max_tokens})


@contextmanager
def serving(
    provider: ScriptedProvider, account: Account, models: frozenset[str] = frozenset({MODEL})
) -> Iterator[ModelProxy]:
    meter = Meter(None, purse(account))
    entry = PROVIDERS["anthropic"]
    key = ProviderKey(entry, "key")
    with ModelProxy(entry, provider.url, key, lambda: key, meter, models) as proxy:
        yield proxy


def charged(meter: Meter) -> int:
    """Return what is charged, once no call is open."""
    eventually(lambda: meter.committed == meter.tokens.total)
    return meter.committed_micros


def micros(tokens: Tokens) -> int:
    usd = cost(MODEL, tokens)
    assert usd is not None
    return round(usd * MICROS)


def test_the_most_that_a_call_costs_has_all_of_its_input_written_to_the_cache() -> None:
    most = Tokens(input=10_000, output=1_000)
    written = cost(MODEL, replace(most, cache_write=10_000))
    assert most_cost(MODEL, most) == written
    assert written is not None
    assert written > (cost(MODEL, most) or 0)
    assert most_cost("no-such-model", most) is None


@pytest.mark.parametrize("count", CUTS[:-1])
def test_a_stream_that_the_agent_leaves_is_charged_in_full(count: int) -> None:
    left = threading.Event()
    with scripted_provider(dialogue()) as provider, serving(provider, Account(10 * MICROS)) as proxy:
        provider.before = lambda number: number < count or left.wait(10)
        with call(proxy, dialogue()):
            assert proxy.meter.committed_micros > micros(USED)  # the whole reservation, until it has ended
        left.set()
        assert charged(proxy.meter) == micros(USED)


@pytest.mark.parametrize("count", CUTS)
def test_a_stream_that_the_provider_breaks_is_charged_no_more_than_was_reserved(count: int) -> None:
    with scripted_provider(dialogue(), cut_after=count) as provider:
        account = Account(10 * MICROS)
        with serving(provider, account) as proxy:
            complete = count == len(CUTS) - 1
            with nullcontext() if complete else pytest.raises(http.client.IncompleteRead):
                status_of_call(proxy, dialogue())
            spent = charged(proxy.meter)
    assert spent == micros(proxy.meter.tokens)
    assert 0 < spent <= account.requests[0]


def test_parallel_calls_do_not_pass_what_is_granted_and_the_broker_is_called_seldom() -> None:
    with scripted_provider(dialogue(max_tokens=400)) as provider:
        account = Account(2 * micros(USED) + MICROS)
        with serving(provider, account) as proxy:
            committed: list[int] = []
            provider.before = lambda _: committed.append(proxy.meter.committed_micros)
            with ThreadPoolExecutor(8) as pool:
                statuses = list(pool.map(lambda _: status_of_call(proxy, dialogue(400)), range(25)))
            spent = charged(proxy.meter)
    assert set(statuses) == {200}
    assert max(committed) <= account.allowed <= account.limit
    assert spent == 25 * micros(USED) <= account.limit
    assert len(account.requests) <= 2


def test_a_call_that_no_budget_has_room_for_is_refused_with_what_is_left() -> None:
    account = Account(micros(USED) + 5_000)
    with scripted_provider(dialogue()) as provider, serving(provider, account) as proxy:
        with call(proxy, dialogue()) as response:
            error = json.loads(response.read())["error"]["message"]
        assert (response.status, provider.requests) == (400, [])
    assert "the tenant's budget has no room for the next call: 0.0" in error
    assert "USD are neither spent nor reserved by other dispatches, and it could cost 0.0" in error
    assert proxy.meter.refusal is not None
    assert proxy.meter.committed_micros == 0


def test_a_call_waits_for_money_that_another_one_holds_and_may_not_use() -> None:
    may_end = threading.Event()
    with scripted_provider(dialogue()) as provider:
        account = Account(round(0.06 * MICROS))  # one reservation and a call's real cost, not two reservations
        with serving(provider, account) as proxy:
            provider.before = lambda _: may_end.wait(10)
            with call(proxy, dialogue()) as first, ThreadPoolExecutor(1) as pool:
                assert 2 * proxy.meter.committed_micros > account.limit
                second = pool.submit(status_of_call, proxy, dialogue())
                eventually(lambda: len(account.requests) == 2)
                assert len(provider.requests) == 1
                may_end.set()
                first.read()
                assert second.result(10) == 200
    assert proxy.meter.refusal is None


def test_a_model_without_a_price_is_not_called() -> None:
    plain = DIALOGUES["anthropic"]
    account = Account(10 * MICROS)
    with (
        scripted_provider(plain) as provider,
        serving(provider, account, frozenset({"the-model"})) as proxy,
        call(proxy, plain) as response,
    ):
        error = json.loads(response.read())["error"]["message"]
    assert (response.status, provider.requests, account.requests) == (400, [], [])
    assert "the model the-model has no known price" in error


def test_a_refusal_stands_for_seconds_but_for_requests_that_need_less() -> None:
    account = Account(MICROS)
    asking = purse(account)
    assert [asking.raise_to(2 * MICROS) for _ in range(3)] == [False] * 3
    assert asking.raise_to(MICROS)
    assert account.requests == [2 * MICROS, MICROS]


def test_a_broker_that_does_not_respond_refuses_the_call_and_ends_no_budget() -> None:
    def broken(_: int) -> GrantResponse:
        raise GrantError("the broker did not respond")

    meter = Meter(None, Purse(broken, print, Spec(agent=Agent.CLAUDE), 0))
    with pytest.raises(GrantError):
        meter.reserve(MODEL, Tokens(input=10))
    assert meter.refusal is None
    assert meter.committed_micros == 0


def test_the_log_is_warned_once_when_most_of_the_dispatchs_budget_is_spent_by_all_attempts() -> None:
    warned: list[str] = []
    account = Account(MICROS, warnings=("90 % of a month",))
    meter = Meter(None, purse(account, max_cost_usd=1, earlier=790_000, warned=warned))
    for _ in range(3):
        reservation = meter.reserve(MODEL, Tokens(input=1_000))
        assert reservation is not None
        with reservation:
            reservation.used = partial(Tokens, input=1_500)
    assert warned == ["90 % of a month", "80 % or more of maxCostUsd, 1.00 USD, is spent"]


@given(
    st.integers(1, 100_000),
    st.lists(st.tuples(st.integers(0, 4_000), st.integers(0, 900), st.floats(0, 1), st.booleans()), max_size=30),
)
def test_what_is_charged_and_reserved_never_passes_what_is_granted(
    limit: int, calls: list[tuple[int, int, float, bool]]
) -> None:
    account = Account(limit)
    meter = Meter(None, purse(account))
    open_calls: list[Reservation] = []
    for tokens_in, tokens_out, share, ends_first in calls:
        if ends_first and open_calls:
            reservation = open_calls.pop(0)
            with reservation:
                most = reservation.most
                reservation.used = partial(Tokens, int(most.input * share), output=int(most.output * share))
        try:
            granted = meter.reserve(MODEL, Tokens(input=tokens_in, output=tokens_out))
        except BudgetExceededError:
            assert meter.refusal is not None
            continue
        open_calls += [granted] if granted else []
        assert meter.committed_micros <= account.allowed <= limit
    for reservation in open_calls:
        meter.settle(reservation)
    assert meter.committed_micros <= account.allowed
    assert account.allowed <= limit


@given(st.integers(1, 10**9), st.lists(st.integers(0, 10**8), max_size=20))
def test_a_budget_grants_slices_and_never_more_than_it_has(limit: int, needs: list[int]) -> None:
    account = Account(limit)
    for need in needs:
        response = account.grant(account.allowed + need)
        assert account.allowed <= limit
        if response.refused:
            assert need > response.left
        else:
            assert response.allowed - account.allowed <= need + SLICE


AGENT = """
import json, os, pathlib, sys, urllib.error, urllib.request

body = {"model": os.environ["ANTHROPIC_DEFAULT_OPUS_MODEL"], "max_tokens": 100, "stream": True, "messages": []}
headers = {"x-api-key": os.environ["ANTHROPIC_API_KEY"], "Content-Type": "application/json"}
url = os.environ["ANTHROPIC_BASE_URL"] + "/v1/messages"
pathlib.Path("WORK.md").write_text("half done")
try:
    for number in range(10_000):
        urllib.request.urlopen(urllib.request.Request(url, json.dumps(body).encode(), headers)).read()
        if number == CALLS:
            print("waiting", flush=True)
            sys.stdin.read()
            import time; time.sleep(60)
except urllib.error.HTTPError as error:
    result = json.load(error)["error"]["message"]
final = {"type": "result", "subtype": "success", "is_error": True, "num_turns": 1, "result": result, "usage": {}}
print(json.dumps(final))
raise SystemExit(1)
"""


@pytest.fixture
def program(tmp_path: Path) -> Callable[[int], str]:
    """Write a claude that makes model calls, and waits after so many."""

    def write(calls: int) -> str:
        file = tmp_path / "claude"
        file.write_text(f"#!{sys.executable} -I\n{AGENT.replace('CALLS', str(calls))}")
        file.chmod(0o755)
        return f"{tmp_path}:/usr/local/bin:/usr/bin:/bin"

    return write


def create_claude_broker(**variables: str) -> str:
    agents = json.loads(os.environ[Env.AGENTS])
    agents["claude"] |= {"models": {"flagship": MODEL}}
    here = {Env.AGENTS: json.dumps(agents), Env.ENVIRONMENT: "test", **variables}
    return create_broker(f"dollars-{new_id().lower()}", broker_variables() | here)


def test_a_dispatch_ends_at_its_budget_with_its_work_kept(platform: Platform, program: Callable[[int], str]) -> None:
    """A call costs half a cent."""
    with model_server(PROVIDER_KEY) as model:
        variables = {"PATH": program(-1), Env.MODEL_URL: model.url, Env.BROKER_FUNCTION: create_claude_broker()}
        spec = {"agent": Agent.CLAUDE, "model_id": MODEL, "max_cost_usd": 0.05}
        row = platform.run("Spend it.", variables, **spec)
    assert (row.status, row.reason and row.reason.code) == (Status.FAILED, ReasonCode.BUDGET_EXCEEDED)
    assert row.reason is not None
    assert "maxCostUsd of 0.05 USD has no room for the next call: " in row.reason.message
    assert row.usage is not None
    assert row.cost_usd == row.usage.model_cost_usd
    assert 0.8 * 0.05 < (row.cost_usd or 0) <= 0.05
    assert b"half done" in platform.read(row, Artifact.PATCH)
    assert "80 % or more of maxCostUsd, 0.05 USD, is spent" in platform.messages(row)


def test_a_dispatch_ends_at_its_tenants_month_with_its_work_kept(
    platform: Platform, program: Callable[[int], str]
) -> None:
    committed = Budgets(Database.from_environment(), platform.dispatches, MonthlyLimits()).month(
        "acme", month_of(now())
    )
    limit = to_usd(committed.committed) + 0.05
    broker = create_claude_broker(**{Env.TENANT_MODEL_BUDGET: str(limit)})
    with model_server(PROVIDER_KEY) as model:
        variables = {"PATH": program(-1), Env.MODEL_URL: model.url, Env.BROKER_FUNCTION: broker}
        row = platform.run("Spend it.", variables, agent=Agent.CLAUDE, model_id=MODEL)
    assert (row.status, row.reason and row.reason.code) == (Status.FAILED, ReasonCode.BUDGET_EXCEEDED)
    assert row.reason is not None
    assert f"the tenant's budget of {in_usd(to_micros(limit))} for 20" in row.reason.message
    assert "later where others have reserved what is left" in row.reason.remedy
    assert 0 < (row.cost_usd or 0) <= 0.05
    assert b"half done" in platform.read(row, Artifact.PATCH)
    assert any(message.startswith("80 % or more of the tenant's budget") for message in platform.messages(row))


def test_a_stopped_workers_next_attempt_gets_what_is_left(platform: Platform, program: Callable[[int], str]) -> None:
    with model_server(PROVIDER_KEY) as model:
        variables = {
            "PATH": program(1),
            Env.MODEL_URL: model.url,
            Env.BROKER_FUNCTION: create_claude_broker(),
            Env.AGENT: "claude",
        }
        row = platform.dispatch("Wait for it.", agent=Agent.CLAUDE, model_id=MODEL, max_cost_usd=5, retryable=True)
        worker = platform.start_worker(variables)
        platform.wait_for(row, "waiting")
        worker.send_signal(signal.SIGTERM)
        assert platform.finish(worker) == 143
    spending = platform.row(row).spending
    assert sum(spending.taken.values()) > SLICE
    assert 0 < spending.allowed == 2 * micros(Tokens(INPUT, CACHED, output=OUTPUT)) < SLICE / 10
