"""Which model calls are passed on, and the most that each could use, however its request is written."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outpost.domain.providers import PROVIDERS
from outpost.domain.usage import Tokens
from worker.model_proxy.request import HIDDEN_TOKENS, ModelRequest, RefusedError, read_request

MODELS = frozenset({"the-model", "its-helper"})
PATHS = {
    "anthropic": "/v1/messages",
    "openai": "/v1/responses",
    "google": "/v1beta/models/the-model:generateContent",
    "deepseek": "/v1/chat/completions",
    "xai": "/v1/responses",
}
IMAGE = {"role": "user", "content": [{"type": "image", "source": {"type": "url", "url": "https://example.org/a.png"}}]}


def read(provider: str, body: dict[str, Any] | str | bytes, path: str | None = None) -> ModelRequest:
    content = json.dumps(body) if isinstance(body, dict) else body
    data = content.encode() if isinstance(content, str) else content
    return read_request(PROVIDERS[provider], path or PATHS[provider], data, MODELS)


def named(provider: str, **fields: object) -> dict[str, Any]:
    return fields if provider == "google" else {"model": "the-model", **fields}


@pytest.mark.parametrize("provider", PATHS)
def test_another_model_is_refused_wherever_it_is_named(provider: str) -> None:
    bodies: list[Any] = [
        named(provider) | {"model": name} for name in ("other", "The-Model", "the-model ", ["the-model"], 1, None, "")
    ]
    bodies += [named(provider, tools=[{"type": "advisor_20260301", "model": "other"}])]
    bodies += [named(provider, fallbacks=[{"model": "the-model"}, {"model": "other"}])]
    for body in bodies:
        with pytest.raises(RefusedError, match="is not one of this agent's: its-helper, the-model") as refused:
            read(provider, body)
        assert refused.value.status == 404


def test_a_model_in_the_path_is_refused_unless_it_is_one_of_the_agents() -> None:
    assert read("google", {"model": "models/the-model"}).model == "the-model"
    with pytest.raises(RefusedError, match="'gemini-ultra' is not one of this agent's"):
        read("google", {"model": "the-model"}, "/v1beta/models/gemini-ultra:streamGenerateContent")


def test_without_a_list_of_models_every_model_is_refused() -> None:
    with pytest.raises(RefusedError, match="'the-model' is not one of this agent's: none"):
        read_request(PROVIDERS["anthropic"], "/v1/messages", b'{"model": "the-model"}', frozenset())


@pytest.mark.parametrize(
    ("provider", "body"),
    [
        ("anthropic", '{"Model": "the-model"}'),
        ("anthropic", '{"model": "the-model", "maxTokens": 1}'),
        ("anthropic", '{"model": "the-model", "MAX_TOKENS": 1, "max_tokens": 2}'),
        ("google", '{"generationConfig": {"maxOutputTokens": 1}, "generation_config": {"max_output_tokens": 9999}}'),
        ("google", '{"generationConfig": {"maxOutputTokens": 1, "max_output_tokens": 9999}}'),
        ("anthropic", '{"model": "the-model", "max_tokens": "1"}'),
        ("anthropic", '{"model": "the-model", "max_tokens": -1}'),
        ("anthropic", '{"model": "the-model", "max_tokens": true}'),
        ("anthropic", '{"model": "the-model", "max_tokens": 1.5}'),
        ("anthropic", '{"model": "the-model", "temperature": 1e999}'),
        ("anthropic", '{"model": "the-model", "temperature": NaN}'),
        ("anthropic", '{"model": "the-model", "tools": {"type": "web_search"}}'),
        ("deepseek", '{"model": "the-model", "stream": true, "stream_options": []}'),
        ("xai", '{"model": "the-model", "n": 0}'),
        ("openai", '{"model": "the-model", "background": true}'),
        ("openai", '{"model": "the-model", "prompt": {"id": "pmpt_1"}}'),
        ("xai", '{"model": "the-model", "deferred": true}'),
        ("xai", '{"model": "the-model", "models": ["other"]}'),
        ("openai", '{"model": "the-model", "service_tier": "fast"}'),
        ("openai", '{"model": "the-model", "service_tier": "Priority"}'),
        ("google", '{"serviceTier": "priority"}'),
        ("anthropic", '{"model": "the-model", "speed": "fast"}'),
        ("anthropic", '{"model": "the-model", "fallbacks": [{"model": "the-model", "speed": "fast"}]}'),
        ("anthropic", '{"model": "the-model", "inference_geo": "us"}'),
        ("anthropic", "[1]"),
        ("anthropic", ""),
        ("anthropic", "[" * 100_000),
        ("anthropic", '{"a":' * 100_000),
        ("anthropic", '{"model": "the-model", "max_tokens": ' + "9" * 5_000 + "}"),
        ("anthropic", '{"model": "the-model"}'.encode("utf-16")),
        ("anthropic", b"\x1f\x8b\x08\x00"),
    ],
)
def test_a_request_that_can_be_read_in_two_ways_or_escapes_the_count_is_refused(
    provider: str, body: str | bytes
) -> None:
    with pytest.raises(RefusedError) as refused:
        read(provider, body)
    assert refused.value.status == 400


@pytest.mark.parametrize(
    ("provider", "body"),
    [
        ("openai", '{"model": "the-model", "service_tier": "flex"}'),
        ("openai", '{"model": "the-model", "service_tier": null}'),
        ("anthropic", '{"model": "the-model", "service_tier": "standard_only", "speed": "standard"}'),
    ],
)
def test_a_tier_at_the_list_price_or_below_may_be_chosen(provider: str, body: str) -> None:
    assert json.loads(read(provider, body).body) == json.loads(body)


def test_of_a_field_that_is_there_twice_the_provider_gets_the_one_that_was_read() -> None:
    request = read("anthropic", '{"model": "other", "max_tokens": 9, "model": "the-model", "max_tokens": 5}')
    assert json.loads(request.body) == {"model": "the-model", "max_tokens": 5}
    assert request.body.count(b"max_tokens") == 1
    assert request.most.output == 5


@pytest.mark.parametrize(
    ("provider", "fields", "output"),
    [
        ("anthropic", {"max_tokens": 100}, 100),
        ("anthropic", {"max_tokens": 100, "max_output_tokens": 1}, 100),
        ("anthropic", {}, 128_000),
        ("openai", {"max_output_tokens": 100}, 100),
        ("openai", {"max_output_tokens": None}, 128_000),
        ("openai", {"max_tokens": 1, "max_completion_tokens": 1}, 128_000),
        ("google", {"generationConfig": {"maxOutputTokens": 100}}, 100),
        ("google", {"generation_config": {"max_output_tokens": 100, "candidate_count": 8}}, 800),
        ("google", {"maxOutputTokens": 1}, 65_536),
        ("deepseek", {"max_tokens": 100, "n": 3}, 300),
        ("deepseek", {"max_completion_tokens": 1}, 393_216),
        ("xai", {"max_tokens": 100, "max_output_tokens": 200}, 200),
    ],
)
def test_the_most_output_is_the_limit_that_the_provider_reads(
    provider: str, fields: dict[str, object], output: int
) -> None:
    assert read(provider, named(provider, **fields)).most.output == output


@pytest.mark.parametrize(
    ("provider", "fields"),
    [
        ("anthropic", {"messages": [IMAGE]}),
        ("anthropic", {"messages": [{"role": "user", "content": [{"type": "document", "source": {}}]}]}),
        ("anthropic", {"tools": [{"type": "web_search_20260209", "name": "web_search"}]}),
        ("anthropic", {"tools": [{"type": "tool_search_tool_regex_20251119", "name": "tool_search_tool_regex"}]}),
        ("anthropic", {"context_management": {"edits": [{"type": "compact_20260112"}]}}),
        ("anthropic", {"mcp_servers": [{"url": "https://example.org"}]}),
        ("openai", {"previous_response_id": "resp_1"}),
        ("openai", {"conversation": "conv_1"}),
        ("openai", {"tools": [{"type": "web_search"}]}),
        ("openai", {"tools": [{"type": "namespace", "name": "n", "tools": [{"type": "web_search"}]}]}),
        ("openai", {"input": [{"type": "additional_tools", "tools": [{"type": "web_search"}]}]}),
        ("openai", {"tools": [{"type": "shell", "environment": {"type": "container_auto"}}]}),
        ("openai", {"input": [{"role": "user", "content": [{"type": "input_image", "image_url": "data:"}]}]}),
        ("openai", {"input": [{"type": "item_reference", "id": "msg_1"}]}),
        ("google", {"contents": [{"parts": [{"fileData": {"fileUri": "https://example.org/film"}}]}]}),
        ("google", {"contents": [{"parts": [{"inline_data": {"data": ""}}]}]}),
        ("google", {"cachedContent": "cachedContents/1"}),
        ("google", {"tools": [{"googleSearch": {}}]}),
        ("xai", {"search_parameters": {"mode": "on"}}),
        ("xai", {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]}),
    ],
)
def test_input_that_is_not_text_of_the_request_counts_all_that_a_model_can_read(
    provider: str, fields: dict[str, object]
) -> None:
    assert read(provider, named(provider, **fields)).most.input == PROVIDERS[provider].largest_call("the-model").input


def test_a_known_model_counts_for_what_it_takes_and_an_unknown_one_for_the_largest_of_its_provider() -> None:
    anthropic, xai = PROVIDERS["anthropic"], PROVIDERS["xai"]
    assert anthropic.largest_call("claude-haiku-4-5-20251001") == Tokens(input=200_000, output=64_000)
    assert xai.largest_call("grok-4.7") == Tokens(input=500_000, output=500_000)
    assert xai.largest_call("a-gateway's") == Tokens(input=2_000_000, output=2_000_000)
    known = frozenset({"claude-haiku-4-5", "claude-opus-5-5"})
    body = {"model": "claude-haiku-4-5", "messages": [IMAGE]}
    fallback = body | {"fallbacks": [{"model": "claude-opus-5-5"}]}
    first, second = (
        read_request(anthropic, "/v1/messages", json.dumps(each).encode(), known) for each in (body, fallback)
    )
    assert first.most == Tokens(input=200_000, output=64_000)
    assert second.most == Tokens(input=2_000_000, output=256_000)


def test_an_image_is_seen_however_its_type_is_escaped() -> None:
    body = json.dumps({"model": "the-model", "messages": [IMAGE]}).replace('"image"', '"\\u0069mage"')
    assert read("anthropic", body).most.input == 1_000_000


@pytest.mark.parametrize(
    ("provider", "fields"),
    [
        ("anthropic", {"tools": [{"name": "Bash"}, {"type": "custom", "name": "Edit"}, {"type": "bash_20250124"}]}),
        ("anthropic", {"messages": [{"role": "user", "content": 'the text "type":"image" and "image_url":'}]}),
        ("openai", {"tools": [{"type": "function", "name": "exec_command"}, {"type": "namespace", "name": "agents"}]}),
        ("google", {"tools": [{"functionDeclarations": [{"name": "run_shell_command"}]}]}),
        ("xai", {"tools": [{"type": "function"}], "search_parameters": {"mode": "off"}}),
    ],
)
def test_text_and_the_agents_own_tools_count_a_token_a_byte(provider: str, fields: dict[str, object]) -> None:
    body = json.dumps(named(provider, **fields))
    assert read(provider, body).most.input == len(body) + HIDDEN_TOKENS


def test_no_input_counts_more_than_a_model_can_read() -> None:
    body = json.dumps({"model": "the-model", "messages": [{"role": "user", "content": "a" * 5_000_000}]})
    assert read("anthropic", body).most.input == 1_000_000


def test_a_call_with_fallbacks_counts_each_attempt() -> None:
    body = {"model": "the-model", "max_tokens": 100}
    once, thrice = read("anthropic", body).most, read("anthropic", body | {"fallbacks": [{"model": "its-helper"}] * 2})
    assert thrice.most.output == 3 * once.output
    assert thrice.most.input > 3 * once.input


def test_a_streamed_chat_asks_for_its_usage() -> None:
    body = {"model": "the-model", "stream": True, "stream_options": {"include_usage": False, "other": 1}}
    assert json.loads(read("deepseek", body).body)["stream_options"] == {"include_usage": True, "other": 1}


@given(st.text(), st.integers(1, 10_000))
def test_the_provider_gets_what_the_agent_wrote(text: str, limit: int) -> None:
    body = {"model": "its-helper", "max_tokens": limit, "messages": [{"role": "user", "content": text}], "top_p": 0.5}
    request = read("anthropic", json.dumps(body))
    assert json.loads(request.body) == body
    assert request.most.input >= len(text.encode())
    assert request.most == Tokens(request.most.input, output=limit)
