"""The agents' real CLIs, with a provider that fails: the dispatch fails with the provider's cause, whatever the CLI."""

import json
from itertools import product

import pytest

from outpost.domain.agents import CATALOGUE, Agent
from outpost.domain.dispatch import Status
from outpost.domain.reasons import Reason, ReasonCode
from outpost.names import Env
from tests.real_clis import path_with_cli, selected
from tests.worker.conftest import PROVIDER_KEY, Platform
from tests.worker.failing_provider import failing_provider
from tests.worker.model_server import model_server
from tests.worker.test_real_clis import MODELS, TASK

pytestmark = pytest.mark.timeout(600)

SECONDS = 45
"""The time limit: some CLIs try again for minutes."""
STREAM = "text/event-stream"
JSON = "application/json"
Error = tuple[int, str, str]
"""Status, type and message."""

ERRORS: dict[str, tuple[Error, ReasonCode]] = {
    "key refused": ((401, "authentication_error", "invalid x-api-key"), ReasonCode.MODEL_KEY_UNUSABLE),
    "no such model": ((404, "not_found_error", "model: not found"), ReasonCode.MODEL_NOT_FOUND),
    "rate limit": ((429, "rate_limit_error", "Rate limit reached"), ReasonCode.MODEL_RATE_LIMITED),
    "quota": ((429, "insufficient_quota", "You exceeded your current quota"), ReasonCode.QUOTA_EXHAUSTED),
    "balance": ((402, "unknown_error", "Insufficient Balance"), ReasonCode.BALANCE_EXHAUSTED),
    "overloaded": ((529, "overloaded_error", "Overloaded"), ReasonCode.MODEL_OVERLOADED),
    "context": ((400, "context_length_exceeded", "Your input exceeds the context window"), ReasonCode.CONTEXT_EXCEEDED),
}
STARTS: dict[str | None, bytes] = {
    "anthropic": b'event: message_start\ndata: {"type":"message_start","message":{"id":"m","type":"message",'
    b'"role":"assistant","model":"claude","content":[],"stop_reason":null,'
    b'"usage":{"input_tokens":5,"output_tokens":1}}}\n\n',
    "openai": b'event: response.created\ndata: {"type":"response.created","response":{"id":"r"}}\n\n',
    "google": b'data: {"candidates":[{"content":{"role":"model","parts":[{"text":"I will"}]},"index":0}]}\n\n',
    "deepseek": b'data: {"id":"1","object":"chat.completion.chunk","choices":[{"index":0,"delta":{}}]}\n\n',
    "xai": b'event: response.created\ndata: {"type":"response.created","response":{"id":"r"}}\n\n',
}
"""What each provider sends at the beginning of its response."""


def run(platform: Platform, agent: Agent, status: int, content_type: str, *pieces: bytes) -> tuple[Status, Reason]:
    path = path_with_cli(agent)
    with failing_provider(status, content_type, *pieces) as url:
        variables = {"PATH": path, Env.MODEL_URL: url}
        row = platform.run(TASK, variables, agent=agent, model_id=MODELS[agent], timeout_seconds=SECONDS)
    print(agent, row.status, row.reason, row.usage)
    print("\n".join(f"   {line[:200]}" for line in platform.messages(row)[-12:]))
    assert row.reason is not None
    assert row.status in (Status.FAILED, Status.TIMEOUT)
    return row.status, row.reason


@pytest.mark.parametrize(("agent", "name"), selected(product(MODELS, ERRORS)))
def test_an_error_of_the_provider_is_the_reason(platform: Platform, agent: Agent, name: str) -> None:
    (status, kind, message), code = ERRORS[name]
    body = {"type": "error", "error": {"type": kind, "code": kind, "message": message}}
    _, reason = run(platform, agent, status, JSON, json.dumps(body).encode())
    assert reason.code is code, reason
    assert message in reason.message


@pytest.mark.parametrize(("agent", "name"), selected(product(MODELS, ["cut", "empty", "no response"])))
def test_a_response_that_does_not_come_through_is_the_reason(platform: Platform, agent: Agent, name: str) -> None:
    pieces = [STARTS[CATALOGUE[agent].provider]] if name == "cut" else []
    _, reason = run(platform, agent, 0 if name == "no response" else 200, STREAM, *pieces)
    assert reason.code is ReasonCode.MODEL_UNAVAILABLE, reason


@pytest.mark.full
def test_gemini_that_stops_at_a_full_window_has_not_succeeded(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.worker.model_server.INPUT", 1_048_570)  # of 1,048,576
    with model_server(PROVIDER_KEY) as model:
        variables = {"PATH": path_with_cli(Agent.GEMINI), Env.MODEL_URL: model.url}
        row = platform.run(TASK, variables, agent=Agent.GEMINI, model_id=MODELS[Agent.GEMINI], timeout_seconds=SECONDS)
    assert row.reason is not None
    assert (row.status, row.reason.code) == (Status.FAILED, ReasonCode.CONTEXT_EXCEEDED), platform.messages(row)
    assert "its model asked for a tool and never got the result: Gemini CLI stops so" in row.reason.message
