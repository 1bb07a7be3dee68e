"""What a run used: providers' counts in all their forms, prices, and the compute that is paid for."""

import json
import os
import sys
from functools import partial
from pathlib import Path

import pytest

from outpost.domain.agents import CATALOGUE, Agent
from outpost.domain.dispatch import Status
from outpost.domain.ids import new_id
from outpost.domain.models import Price, find_model
from outpost.domain.reasons import ReasonCode
from outpost.domain.usage import Tokens, compute_seconds, tokens_of
from outpost.names import Env
from tests.worker.brokers import broker_variables, create_broker
from tests.worker.conftest import PROVIDER_KEY, Platform
from tests.worker.model_server import INPUT, OUTPUT, model_server
from worker.model_proxy.meter import Meter, cost
from worker.model_proxy.response import MAX_EVENT_BYTES, ModelCall

MOST = Tokens(input=1_000, output=500)


@pytest.mark.parametrize(
    ("usage", "tokens"),
    [
        (
            {
                "input_tokens": 10,
                "cache_read_input_tokens": 200,
                "cache_creation_input_tokens": 30,
                "output_tokens": 5,
            },
            Tokens(input=240, cached=200, cache_write=30, output=5),
        ),
        (
            {"input_tokens": 240, "input_tokens_details": {"cached_tokens": 200}, "output_tokens": 5},
            Tokens(240, 200, 0, 5),
        ),
        ({"prompt_tokens": 240, "completion_tokens": 5, "total_tokens": 245}, Tokens(240, 0, 0, 5)),
        # xAI counts reasoning beside the completion.
        ({"prompt_tokens": 240, "completion_tokens": 5, "total_tokens": 345}, Tokens(240, 0, 0, 105)),
        (
            {
                "promptTokenCount": 240,
                "cachedContentTokenCount": 40,
                "candidatesTokenCount": 5,
                "thoughtsTokenCount": 60,
            },
            Tokens(240, 40, 0, 65),
        ),
        (
            {
                "input_tokens": 23_000,
                "output_tokens": 1_000,
                "iterations": [
                    {"type": "compaction", "input_tokens": 180_000, "output_tokens": 3_500},
                    {"type": "message", "input_tokens": 23_000, "output_tokens": 1_000},
                ],
            },
            Tokens(input=203_000, output=4_500),
        ),
        ({"input_tokens": 5, "output_tokens": 6, "iterations": []}, Tokens(input=5, output=6)),
        ({"input_tokens": 5, "output_tokens": 6, "iterations": [None, {"input_tokens": 1}]}, Tokens(5, output=6)),
        ({}, Tokens()),
        ({"input_tokens": "many", "output_tokens": -3}, Tokens()),
    ],
)
def test_every_providers_count_is_read(usage: dict[str, object], tokens: Tokens) -> None:
    assert tokens_of(usage) == tokens


def _call(content_type: str) -> ModelCall:
    call = ModelCall()
    call.begin(200, content_type)
    return call


def test_a_stream_is_counted_however_it_is_cut() -> None:
    events = [
        {"type": "message_start", "message": {"usage": {"input_tokens": 7, "output_tokens": 1}}},
        {"type": "content_block_delta", "delta": {"text": 'the word "usage" in a text'}},
        {"type": "message_delta", "usage": {"output_tokens": 40, "input_tokens": None}},
    ]
    stream = b"".join(b"event: x\r\ndata: %b\r\n\r\n" % json.dumps(event).encode() for event in events)
    for size in (1, 7, 1000):
        call = _call("text/event-stream; charset=utf-8")
        for start in range(0, len(stream), size):
            call.feed(stream[start : start + size])
        call.finish()
        assert call.used(MOST) == Tokens(input=7, output=40)


@pytest.mark.parametrize("content_type", ["", "text/plain", "application/octet-stream", "Text/Event-Stream"])
def test_a_stream_of_another_type_is_read_as_a_stream(content_type: str) -> None:
    call = _call(content_type)
    call.feed(b'event: a\ndata: {"type": "message_start", "message": {"usage": {"input_tokens": 7}}}\n\n')
    call.feed(b'event: b\ndata: {"type": "message_delta", "usage": {"output_tokens": 40}}\n\n')
    call.finish()
    assert call.used(MOST) == Tokens(input=7, output=40)


@pytest.mark.parametrize("start", [b"", b"\xef\xbb\xbfid: 1\n", b"\n", b"retry: 10\n", b"event: a\n", b": hello\n"])
@pytest.mark.parametrize("size", [1, 3, 5])
def test_a_stream_of_another_type_is_read_as_a_stream_however_it_is_cut(start: bytes, size: int) -> None:
    call = _call("text/plain")
    stream = start + b'data: {"usage": {"input_tokens": 7, "output_tokens": 40}}\n\ndata: [DONE]\n\n'
    for at in range(0, len(stream), size):
        call.feed(stream[at : at + size])
    call.finish()
    assert call.reported() == Tokens(input=7, output=40)


def test_an_event_too_large_to_hold_is_passed_over_and_the_next_is_counted() -> None:
    call = _call("text/event-stream")
    call.feed(b"data: " + b"x" * (MAX_EVENT_BYTES + 1))
    call.feed(b'x\ndata: {"usage": {"input_tokens": 3, "output_tokens": 4}}\n\n')
    assert call.used(MOST) == Tokens(input=3, output=4)


@pytest.mark.parametrize("beginning", [b"data: ", b'{"content": "'], ids=["a stream", "a body"])
def test_what_is_too_large_to_parse_counts_one_token_a_byte(beginning: bytes) -> None:
    call, pieces = _call("application/json"), [beginning, b"x" * MAX_EVENT_BYTES, b"and its end"]
    for piece in pieces:
        call.feed(piece)
    size, most = len(b"".join(pieces)), Tokens(output=10**9)
    assert call.used(most).output == size
    call.finish()
    assert call.used(most).output == size
    assert call.reported() == Tokens()


def test_a_long_stream_without_usage_is_counted_by_its_text_alone() -> None:
    call = _call("text/event-stream")
    event = b'data: {"type": "response.output_text.delta", "delta": "twelve bytes"}\n\n'
    count = 2 * MAX_EVENT_BYTES // len(event)
    for _ in range(count // 100):
        call.feed(event * 100)
    assert call.used(Tokens(output=10**9)).output == count // 100 * 100 * 12


@pytest.mark.parametrize("body", [b"", b"usage", b"[1]", b'{"usage": 3}', b'{"usage": null}', b"[" * 100_000])
def test_a_response_without_usage_counts_the_input_and_no_more_than_was_received(body: bytes) -> None:
    call = _call("application/json")
    call.feed(body)
    call.finish()
    assert call.reported() == Tokens()
    used = call.used(MOST)
    assert used.input == MOST.input
    assert used.output <= min(len(body), MOST.output)


def test_a_meter_adds_up_by_model() -> None:
    meter = Meter()
    for model, tokens in {
        "claude-opus-5-5": Tokens(input=1_000_000),
        "claude-sonnet-5-5-20260929": Tokens(output=1_000_000),
    }.items():
        reservation = meter.reserve(model, tokens)
        assert reservation is not None
        with reservation:
            reservation.used = partial(Tokens, tokens.input, output=tokens.output)
    assert (meter.calls, meter.tokens, meter.cost) == (2, Tokens(input=1_000_000, output=1_000_000), 14.0)


def test_cached_input_has_its_own_price() -> None:
    price = Price(input=5, output=25, cached=0.5, cache_write=6.25)
    assert price.of(Tokens(input=1_000_000, cached=400_000, cache_write=200_000)) == pytest.approx(2 + 0.2 + 1.25)


def test_a_long_call_has_its_own_price_and_many_short_ones_have_not() -> None:
    model = find_model("gpt-6.1-sol")
    assert model is not None
    assert model.long_price is not None
    short, long = Tokens(input=model.long_price.above), Tokens(input=model.long_price.above + 1)
    assert cost(model.id, short) == model.price.of(short)
    assert cost(model.id, long) == model.long_price.of(long) > 1.5 * model.price.of(long)
    meter = Meter()
    for _ in range(3):
        reservation = meter.reserve(model.id, short)
        assert reservation is not None
        with reservation:
            reservation.used = lambda: short
    assert meter.cost == pytest.approx(3 * model.price.of(short))


def test_a_model_without_a_price_leaves_the_cost_open_and_no_call_costs_nothing() -> None:
    meter = Meter()
    assert meter.cost == 0
    for model in ("claude-opus-5-5", "a-model-of-tomorrow"):
        reservation = meter.reserve(model, Tokens(input=1))
        assert reservation is not None
        with reservation:
            reservation.used = lambda: Tokens(input=1)
    assert meter.cost is None


def test_compute_is_counted_in_whole_vcpus_and_gigabytes() -> None:
    assert compute_seconds(vcpu=2, memory_mib=4096, seconds=30) == (60, 120)


def test_a_dispatch_has_what_it_consumed(platform: Platform) -> None:
    row = platform.run("true", {Env.CAPACITY: "spot"})
    assert row.status is Status.SUCCESS
    usage, size = row.usage, CATALOGUE[Agent.SHELL]
    assert usage is not None
    assert usage.capacity == "spot"
    assert usage.vcpu_seconds >= usage.duration_seconds * size.cpu / 1024 > 0
    assert usage.gb_seconds == pytest.approx(usage.vcpu_seconds * (size.memory / 1024) / (size.cpu / 1024), abs=0.01)
    assert (usage.input_tokens, usage.model_calls, usage.model_cost_usd) == (0, 0, 0)


SPENDER = """
import json, os, urllib.error, urllib.request

body = {"model": os.environ["ANTHROPIC_DEFAULT_HAIKU_MODEL"], "max_tokens": 100, "stream": True, "messages": []}
headers = {"x-api-key": os.environ["ANTHROPIC_API_KEY"], "Content-Type": "application/json"}
url = os.environ["ANTHROPIC_BASE_URL"] + "/v1/messages"
try:
    while True:
        urllib.request.urlopen(urllib.request.Request(url, json.dumps(body).encode(), headers)).read()
except urllib.error.HTTPError as error:
    result = json.load(error)["error"]["message"]
final = {"type": "result", "subtype": "success", "is_error": True, "num_turns": 1, "result": result, "usage": {}}
print(json.dumps(final))
raise SystemExit(1)
"""


def test_a_dispatch_ends_when_its_budget_is_spent_and_says_how_much_is_left(platform: Platform, tmp_path: Path) -> None:
    program = tmp_path / "claude"
    program.write_text(f"#!{sys.executable} -I\n{SPENDER}")
    program.chmod(0o755)
    agents = json.loads(os.environ[Env.AGENTS])
    agents["claude"] |= {"token_budget": 3_000, "models": {"flagship": "claude-opus-5-5", "fast": "claude-haiku-5-5"}}
    broker = create_broker(f"budget-{new_id().lower()}", broker_variables() | {Env.AGENTS: json.dumps(agents)})
    with model_server(PROVIDER_KEY) as model:
        variables = {
            "PATH": f"{tmp_path}:/usr/local/bin:/usr/bin:/bin",
            Env.MODEL_URL: model.url,
            Env.BROKER_FUNCTION: broker,
        }
        row = platform.run("Spend it.", variables, agent=Agent.CLAUDE, model_id="claude-opus-5-5")
    assert (row.status, row.reason and row.reason.code) == (Status.FAILED, ReasonCode.BUDGET_EXCEEDED)
    assert row.reason is not None
    assert "the budget of 3,000 model tokens has no room for the next call: 532 are left" in row.reason.message
    assert row.usage is not None
    assert (row.usage.model_calls, row.usage.input_tokens, row.usage.output_tokens) == (2, 2 * INPUT, 2 * OUTPUT)
    assert {seen.body["model"] for seen in model.completed} == {"claude-haiku-5-5"}
