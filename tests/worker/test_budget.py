"""The token budget: no way of calling a model passes it."""

import http.client
import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outpost.domain.agents import Agent, Alias
from outpost.domain.providers import PROVIDERS
from outpost.domain.usage import Tokens
from tests.eventually import eventually
from tests.worker.scripted_provider import DIALOGUES, USED, Dialogue, ScriptedProvider, scripted_provider
from worker.adapters import ADAPTERS
from worker.adapters.base import Run
from worker.model_proxy.meter import BudgetExceededError, Meter, Reservation
from worker.model_proxy.request import HIDDEN_TOKENS
from worker.model_proxy.server import ModelProxy
from worker.model_proxy.upstream import ProviderKey

BUDGET = 1_000_000
MODELS = frozenset({"the-model"})
CUTS = [(name, count) for name, dialogue in DIALOGUES.items() for count in range(len(dialogue.events) + 1)]


@contextmanager
def serving(provider: ScriptedProvider, budget: int = BUDGET) -> Iterator[ModelProxy]:
    entry = PROVIDERS[provider.dialogue.provider]
    key = ProviderKey(entry, "key")
    with ModelProxy(entry, provider.url, key, lambda: key, Meter(budget), MODELS) as proxy:
        yield proxy


@contextmanager
def call(proxy: ModelProxy, dialogue: Dialogue) -> Iterator[http.client.HTTPResponse]:
    """Make a dialogue's call, and hang up at the end of the block."""
    with closing(http.client.HTTPConnection(proxy.host, timeout=60)) as connection:
        connection.request("POST", dialogue.path, json.dumps(dialogue.body), {"x-api-key": proxy.token})
        with closing(connection.getresponse()) as response:
            yield response


def status_of_call(proxy: ModelProxy, dialogue: Dialogue) -> int:
    with call(proxy, dialogue) as response:
        response.read()
        return response.status


def wait_until_settled(meter: Meter) -> None:
    """Wait for the end of a call that reserved more than 2,000 tokens, and used less."""
    rest = meter.reserve("the-model", Tokens(input=BUDGET - 2_000), wait=10)
    assert rest is not None
    with rest:
        pass


def most_input(dialogue: Dialogue) -> int:
    return len(json.dumps(dialogue.body)) + HIDDEN_TOKENS


def received(dialogue: Dialogue, count: int) -> Tokens:
    """Return what is charged when `count` events arrived and no more follow."""
    events = dialogue.events[:count]
    reported = [event.reported for event in events if event.reported]
    text = len("".join(event.text for event in events).encode())
    if any(event.final for event in events):
        return USED
    last = reported[-1] if reported else Tokens(input=most_input(dialogue))
    return Tokens(last.input, last.cached, 0, max(last.output, text))


@pytest.mark.parametrize(("name", "count"), CUTS)
def test_a_stream_that_the_agent_leaves_is_charged_in_full(name: str, count: int) -> None:
    dialogue = DIALOGUES[name]
    left = threading.Event()
    with scripted_provider(dialogue) as provider, serving(provider) as proxy:
        provider.before = lambda number: number < count or left.wait(10)
        sent = b"".join(event.encode() for event in dialogue.events[:count])
        with call(proxy, dialogue) as response:
            assert not count or response.read(len(sent)) == sent  # read(0) would wait for the first event
            assert proxy.meter.tokens == received(dialogue, count)  # charged while it is on the way
        left.set()
        wait_until_settled(proxy.meter)
        assert proxy.meter.tokens == USED


@pytest.mark.parametrize(("name", "count"), CUTS)
def test_a_stream_that_the_provider_breaks_is_charged_by_what_was_received(name: str, count: int) -> None:
    dialogue = DIALOGUES[name]
    with scripted_provider(dialogue, cut_after=count) as provider, serving(provider) as proxy:
        complete = count == len(dialogue.events)
        with nullcontext() if complete else pytest.raises(http.client.IncompleteRead):
            status_of_call(proxy, dialogue)
        wait_until_settled(proxy.meter)
    assert proxy.meter.tokens == received(dialogue, count)


def test_an_interrupted_call_with_a_tool_of_the_providers_is_charged_its_own_bytes_and_not_what_it_reserved() -> None:
    plain = DIALOGUES["anthropic"]
    tools = [{"type": "web_search_20260209", "name": "web_search"}]
    dialogue = replace(plain, body={**plain.body, "tools": tools})
    with scripted_provider(dialogue, cut_after=0) as provider, serving(provider, budget=2_000_000) as proxy:
        with pytest.raises(http.client.IncompleteRead):
            status_of_call(proxy, dialogue)
        eventually(lambda: proxy.meter.committed == proxy.meter.tokens.total)
    assert proxy.meter.tokens == Tokens(input=most_input(dialogue))


def test_a_call_that_gets_no_response_is_charged_its_input_and_one_that_was_not_sent_nothing() -> None:
    dialogue = DIALOGUES["anthropic"]
    with scripted_provider(dialogue) as provider, serving(provider) as proxy:
        provider.requests = Closing()
        assert status_of_call(proxy, dialogue) == 502
        assert proxy.meter.tokens == Tokens(input=most_input(dialogue))
        provider.url = "http://127.0.0.1:1"
        with serving(provider) as unreachable:
            assert status_of_call(unreachable, dialogue) == 502
        assert unreachable.meter.tokens == Tokens()


class Closing(list[bytes]):
    """Requests of a provider that closes the connection instead of responding."""

    def append(self, _: bytes) -> None:
        raise ConnectionAbortedError


def test_parallel_calls_do_not_pass_the_budget() -> None:
    dialogue = small(DIALOGUES["anthropic"], tokens=200)
    with scripted_provider(dialogue) as provider, serving(provider, budget=3_000) as proxy:
        committed: list[int] = []
        provider.before = lambda _: committed.append(proxy.meter.committed)
        with ThreadPoolExecutor(25) as pool:
            statuses = list(pool.map(lambda _: status_of_call(proxy, dialogue), range(25)))
    assert max(committed) <= 3_000
    assert proxy.meter.tokens.total == 200 * statuses.count(200) == 200 * len(provider.requests) <= 3_000
    # All were let in while there was room for what a call could use.
    assert proxy.meter.tokens.total > 3_000 - 200 - (most_input(dialogue) + 100)
    assert set(statuses) == {200, 400}


def small(dialogue: Dialogue, tokens: int) -> Dialogue:
    """Return Anthropic's dialogue with so many tokens, half of them output."""
    text = json.dumps([event.data for event in dialogue.events])
    text = text.replace('"output_tokens": 400', f'"output_tokens": {tokens // 2}')
    text = text.replace('"input_tokens": 850, "cache_read_input_tokens": 150', f'"input_tokens": {tokens // 2}')
    events = tuple(type(dialogue.events[0])(data) for data in json.loads(text))
    return Dialogue(dialogue.provider, dialogue.path, dialogue.body | {"max_tokens": tokens // 2}, tokens // 2, events)


@pytest.mark.parametrize("name", DIALOGUES)
def test_a_call_that_the_budget_has_no_room_for_is_refused_in_the_providers_form(name: str) -> None:
    dialogue = DIALOGUES[name]
    budget = most_input(dialogue) + dialogue.limit - 1
    with (
        scripted_provider(dialogue) as provider,
        serving(provider, budget) as proxy,
        call(proxy, dialogue) as response,
    ):
        error = json.loads(response.read())
    assert response.status == 400  # CLIs do not retry it
    assert provider.requests == []
    assert f"{budget:,} are left, and it could use {budget + 1:,}" in error["error"]["message"]
    assert proxy.meter.refusal is not None
    forms: dict[str, Callable[[], bool]] = {
        "anthropic": lambda: error["type"] == "error" and error["error"]["type"] == "invalid_request_error",
        "openai": lambda: error["error"]["type"] == "invalid_request_error",
        "google": lambda: error["error"]["code"] == 400 and error["error"]["status"] == "INVALID_ARGUMENT",
    }
    assert forms[PROVIDERS[name].api]()


def test_a_call_waits_for_tokens_that_another_one_holds_and_may_not_use() -> None:
    dialogue = DIALOGUES["anthropic"]
    may_end = threading.Event()
    budget = most_input(dialogue) + dialogue.limit + USED.total
    with scripted_provider(dialogue) as provider, serving(provider, budget) as proxy:
        provider.before = lambda _: may_end.wait(10)
        with call(proxy, dialogue) as first, ThreadPoolExecutor(1) as pool:
            second = pool.submit(status_of_call, proxy, dialogue)
            assert len(provider.requests) == 1
            may_end.set()
            first.read()
            assert second.result(10) == 200
    assert proxy.meter.refusal is None


def test_an_agent_that_hangs_up_while_it_waits_makes_no_call() -> None:
    dialogue = DIALOGUES["anthropic"]
    with scripted_provider(dialogue) as provider, serving(provider, budget=10_000) as proxy:
        held = proxy.meter.reserve("the-model", Tokens(input=9_000))
        assert held is not None
        before = set(threading.enumerate())
        with closing(http.client.HTTPConnection(proxy.host, timeout=60)) as connection:
            connection.request("POST", dialogue.path, json.dumps(dialogue.body), {"x-api-key": proxy.token})
            eventually(lambda: set(threading.enumerate()) > before)
        with held:
            pass
        eventually(lambda: set(threading.enumerate()) <= before)
        assert (provider.requests, proxy.meter.committed) == ([], 0)


@given(
    st.integers(1, 1_000),
    st.lists(st.tuples(st.integers(0, 400), st.integers(0, 400), st.floats(0, 1), st.booleans()), max_size=40),
)
def test_what_is_charged_and_reserved_never_passes_the_budget(
    budget: int, calls: list[tuple[int, int, float, bool]]
) -> None:
    meter = Meter(budget)
    open_calls: list[Reservation] = []
    charged = 0
    for tokens_in, tokens_out, share, ends_first in calls:
        if ends_first and open_calls:
            reservation = open_calls.pop(0)
            with reservation:
                most = reservation.most
                reservation.used = partial(Tokens, int(most.input * share), output=int(most.output * share))
            charged += reservation.used().total
        most = Tokens(input=tokens_in, output=tokens_out)
        held = sum(reservation.most.total for reservation in open_calls)
        try:
            granted = meter.reserve("a-model", most)
        except BudgetExceededError:
            assert charged + most.total > budget
            continue
        assert (granted is not None) == (charged + held + most.total <= budget)
        open_calls += [granted] if granted else []
        assert meter.committed == charged + sum(reservation.most.total for reservation in open_calls) <= budget
    assert meter.tokens.total == charged


def test_a_reservation_is_settled_once() -> None:
    meter = Meter(100)
    reservation = meter.reserve("a-model", Tokens(input=10))
    assert reservation is not None
    meter.settle(reservation)
    with pytest.raises(KeyError):
        meter.settle(reservation)


def test_a_cli_makes_its_own_calls_with_the_agents_models() -> None:
    models = {Alias.FLAGSHIP: "large", Alias.FAST: "small"}
    run = Run(Path("/task"), Path("/home"), "large", "http://127.0.0.1:9", models)
    claude = ADAPTERS[Agent.CLAUDE].invocation(run).environment
    assert {name: claude[f"ANTHROPIC_DEFAULT_{name}_MODEL"] for name in ("FABLE", "OPUS", "SONNET", "HAIKU")} == {
        "FABLE": "large",
        "OPUS": "large",
        "SONNET": "large",
        "HAIKU": "small",
    }
    assert "--weak-model=small" in ADAPTERS[Agent.AIDER].invocation(run).argv
    settings = json.loads(ADAPTERS[Agent.GEMINI].invocation(run).home_files[".gemini/settings.json"])
    assert settings["modelConfigs"]["customOverrides"] == [
        {"match": {"model": "base"}, "modelConfig": {"model": "large"}}
    ]
