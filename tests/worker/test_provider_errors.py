"""The providers' errors, in the form of each, become the code of a reason; the record of calls keeps the last one."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outpost.domain.reasons import ReasonCode
from tests.worker.failing_provider import failing_provider
from tests.worker.test_proxy import ask, serving
from worker.model_proxy.calls import ModelCalls
from worker.model_proxy.response import ModelCall
from worker.provider_errors import cause_of, error_of_response

Response = tuple[int, object]

ANTHROPIC: list[tuple[Response, ReasonCode]] = [
    ((404, {"error": {"type": "not_found_error", "message": "model: claude-x"}}), ReasonCode.MODEL_NOT_FOUND),
    ((529, {"error": {"type": "overloaded_error", "message": "Overloaded"}}), ReasonCode.MODEL_OVERLOADED),
    ((500, {"error": {"type": "api_error", "message": "Internal server error"}}), ReasonCode.MODEL_UNAVAILABLE),
    (
        (400, {"error": {"type": "invalid_request_error", "message": "prompt is too long: 250000 tokens > 200000"}}),
        ReasonCode.CONTEXT_EXCEEDED,
    ),
    ((413, {"error": {"type": "request_too_large", "message": "Request too large"}}), ReasonCode.CONTEXT_EXCEEDED),
    (
        (429, {"error": {"type": "rate_limit_error", "message": "would exceed your organization's rate limit"}}),
        ReasonCode.MODEL_RATE_LIMITED,
    ),
    (
        (429, {"error": {"type": "rate_limit_error", "details": {"error_code": "enforced_spend_limit_reached"}}}),
        ReasonCode.QUOTA_EXHAUSTED,
    ),
    (
        (400, {"error": {"type": "invalid_request_error", "message": "Your credit balance is too low to access"}}),
        ReasonCode.BALANCE_EXHAUSTED,
    ),
    ((402, {"error": {"type": "billing_error", "message": "Payment is due"}}), ReasonCode.BALANCE_EXHAUSTED),
    ((401, {"error": {"type": "authentication_error", "message": "no"}}), ReasonCode.MODEL_KEY_UNUSABLE),
    ((403, {"error": {"type": "permission_error", "message": "no"}}), ReasonCode.MODEL_KEY_UNUSABLE),
    (
        (400, {"error": {"type": "invalid_request_error", "message": "tools.0: unknown field"}}),
        ReasonCode.MODEL_REQUEST_REFUSED,
    ),
]
OPENAI: list[tuple[Response, ReasonCode]] = [
    (
        (404, {"error": {"message": "The model `gpt-9.1` does not exist", "code": "model_not_found"}}),
        ReasonCode.MODEL_NOT_FOUND,
    ),
    (
        (429, {"error": {"message": "You exceeded your current quota", "code": "insufficient_quota"}}),
        ReasonCode.QUOTA_EXHAUSTED,
    ),
    (
        (429, {"error": {"message": "Rate limit reached for gpt-6", "code": "rate_limit_exceeded"}}),
        ReasonCode.MODEL_RATE_LIMITED,
    ),
    (
        (429, {"error": {"message": "Rate limit reached for gpt-6 on requests per day (RPD): Limit 200, Used 200"}}),
        ReasonCode.QUOTA_EXHAUSTED,
    ),
    (
        (400, {"error": {"message": "Your input exceeds the context window", "code": "context_length_exceeded"}}),
        ReasonCode.CONTEXT_EXCEEDED,
    ),
    (
        (401, {"error": {"message": "Incorrect API key provided: sk-a***b", "code": "invalid_api_key"}}),
        ReasonCode.MODEL_KEY_UNUSABLE,
    ),
    ((429, {"error": {"code": "billing_hard_limit_reached"}}), ReasonCode.BALANCE_EXHAUSTED),
]
BEDROCK: list[tuple[Response, ReasonCode]] = [
    ((400, {"message": "The provided model identifier is invalid."}), ReasonCode.MODEL_NOT_FOUND),
    ((403, {"message": "You don't have access to the model with the specified model ID."}), ReasonCode.MODEL_NOT_FOUND),
    (
        (400, {"message": "Invocation of model ID anthropic.x with on-demand throughput isn\u2019t supported."}),
        ReasonCode.MODEL_NOT_FOUND,
    ),
    (
        (403, {"message": "User: arn:aws:sts::1:x is not authorized to perform: bedrock:InvokeModel on resource: y"}),
        ReasonCode.MODEL_KEY_UNUSABLE,
    ),
    ((403, {"message": "The security token included in the request is expired"}), ReasonCode.MODEL_KEY_UNUSABLE),
    ((400, {"message": "Input is too long for requested model."}), ReasonCode.CONTEXT_EXCEEDED),
    ((429, {"message": "Too many tokens per day, please wait before trying again."}), ReasonCode.QUOTA_EXHAUSTED),
    ((429, {"message": "Too many tokens, please wait before trying again."}), ReasonCode.MODEL_RATE_LIMITED),
    ((408, {"message": "The model took too long"}), ReasonCode.MODEL_UNAVAILABLE),
    (
        (424, {"message": "The request failed due to an error while processing."}),
        ReasonCode.MODEL_UNAVAILABLE,
    ),
]
GOOGLE: list[tuple[Response, ReasonCode]] = [
    (
        (404, [{"error": {"code": 404, "message": "models/x-1.5 is not found", "status": "NOT_FOUND"}}]),
        ReasonCode.MODEL_NOT_FOUND,
    ),
    (
        (429, {"error": {"message": "You exceeded your current quota", "status": "RESOURCE_EXHAUSTED"}}),
        ReasonCode.QUOTA_EXHAUSTED,
    ),
    (
        (
            429,
            {
                "error": {
                    "message": "You exceeded your current quota",
                    "status": "RESOURCE_EXHAUSTED",
                    "details": [{"violations": [{"quotaId": "GenerateRequestsPerMinutePerProjectPerModel"}]}],
                }
            },
        ),
        ReasonCode.MODEL_RATE_LIMITED,
    ),
    (
        (503, {"error": {"message": "The model is overloaded", "status": "UNAVAILABLE"}}),
        ReasonCode.MODEL_OVERLOADED,
    ),
    (
        (400, {"error": {"message": "API key not valid. Please pass a valid API key.", "status": "INVALID_ARGUMENT"}}),
        ReasonCode.MODEL_KEY_UNUSABLE,
    ),
    (
        (400, {"error": {"message": "The input token count (1048577) exceeds the maximum number of tokens allowed"}}),
        ReasonCode.CONTEXT_EXCEEDED,
    ),
]
OTHERS: list[tuple[Response, ReasonCode]] = [
    ((402, {"error": {"message": "Insufficient Balance", "type": "unknown_error"}}), ReasonCode.BALANCE_EXHAUSTED),
    ((400, {"error": {"message": "Model Not Exist"}}), ReasonCode.MODEL_NOT_FOUND),
    ((400, {"error": {"message": "This model's maximum context length is 65536"}}), ReasonCode.CONTEXT_EXCEEDED),
    ((400, {"code": "x", "error": "Incorrect API key provided: xa***"}), ReasonCode.MODEL_KEY_UNUSABLE),
    (
        (403, {"error": "Your team has either used all available credits or reached its monthly spending limit."}),
        ReasonCode.BALANCE_EXHAUSTED,
    ),
    ((400, {"error": "This model's maximum prompt length is 131072 but the"}), ReasonCode.CONTEXT_EXCEEDED),
    ((502, "<html>bad gateway</html>"), ReasonCode.MODEL_UNAVAILABLE),
    ((418, ""), ReasonCode.MODEL_REQUEST_REFUSED),
]

REFUSED, KEY, UNAVAILABLE = (
    ReasonCode.MODEL_REQUEST_REFUSED,
    ReasonCode.MODEL_KEY_UNUSABLE,
    ReasonCode.MODEL_UNAVAILABLE,
)
CONTENT: list[tuple[Response, ReasonCode]] = [
    ((400, {"error": {"message": "Output blocked by content filtering policy"}}), REFUSED),
    ((403, {"code": "no permission", "error": "Content violates usage guidelines. Failed check: X"}), REFUSED),
    (
        (400, {"error": {"code": "invalid_prompt", "message": "flagged as potentially violating our usage policy"}}),
        REFUSED,
    ),
]
ACCOUNTS: list[tuple[Response, ReasonCode]] = [
    ((400, {"error": {"type": "invalid_request_error", "message": "This organization has been disabled."}}), KEY),
    ((401, {"error": {"message": "The account of this API key has been deactivated.", "type": "x"}}), KEY),
    ((400, {"error": {"message": "API key expired. Please renew the API key."}}), KEY),
    ((400, {"error": {"message": "API Key not found. Please pass a valid API key."}}), KEY),
    (
        (403, {"message": "INVALID_PAYMENT_INSTRUMENT: A valid payment instrument must be provided."}),
        ReasonCode.BALANCE_EXHAUSTED,
    ),
    ((403, {"error": "Your team doesn't have any credits yet."}), ReasonCode.BALANCE_EXHAUSTED),
    ((429, {"error": {"message": "Your prepayment credits are depleted."}}), ReasonCode.BALANCE_EXHAUSTED),
    ((429, {"error": {"message": "Your project exceeded its monthly spending cap."}}), ReasonCode.QUOTA_EXHAUSTED),
    (
        (400, {"error": {"message": "input length and `max_tokens` exceed context limit: 3 + 2 > 4"}}),
        ReasonCode.CONTEXT_EXCEEDED,
    ),
    (
        (404, {"error": {"message": "verify to use this", "type": "invalid_request_error"}}),
        ReasonCode.MODEL_NOT_FOUND,
    ),
]
REGIONS: list[tuple[Response, ReasonCode]] = [
    ((403, {"error": {"code": "unsupported_country_region_territory", "message": "not supported"}}), UNAVAILABLE),
    ((400, {"error": {"message": "User location is not supported for the API use."}}), UNAVAILABLE),
]
"""Other messages of the same pages, and of the providers' issue trackers."""


@pytest.mark.parametrize(
    ("response", "code"), [*ANTHROPIC, *OPENAI, *BEDROCK, *GOOGLE, *OTHERS, *CONTENT, *ACCOUNTS, *REGIONS]
)
def test_each_error_of_a_provider_has_its_own_code(response: Response, code: ReasonCode) -> None:
    status, body = response
    error = error_of_response(status, (body if isinstance(body, str) else json.dumps(body)).encode())
    assert error.code is code
    assert error.message.startswith(f"HTTP {status}")
    assert "\n" not in error.message


@pytest.mark.parametrize("status", [401, 403, 404, 407, 502])
def test_a_gateways_page_is_about_neither_the_key_nor_the_model(status: int) -> None:
    page = f"<!DOCTYPE html>\n<html lang=en><head><title>Access\ndenied</title></head><body>{'x' * 9000}</body></html>"
    error = error_of_response(status, page.encode())
    assert error.code is ReasonCode.MODEL_UNAVAILABLE
    assert error.message == f"HTTP {status}, a web page instead of the API: Access denied"
    assert error_of_response(429, page.encode()).code is ReasonCode.MODEL_RATE_LIMITED


@given(st.integers(400, 599), st.binary(max_size=300))
def test_no_body_of_an_error_raises(status: int, body: bytes) -> None:
    assert error_of_response(status, body).message


@given(st.text(max_size=300))
def test_no_text_of_a_cli_raises(text: str) -> None:
    cause_of(text)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("API Error: 529 Overloaded. This is a server-side issue", ReasonCode.MODEL_OVERLOADED),
        ("unexpected status 404 Not Found: {}", ReasonCode.MODEL_NOT_FOUND),
        ("litellm.RateLimitError: RateLimitError: DeepseekException - ", ReasonCode.MODEL_RATE_LIMITED),
        ("stream disconnected before completion: error", ReasonCode.MODEL_UNAVAILABLE),
        ("Invalid API key · Please run /login", ReasonCode.MODEL_KEY_UNUSABLE),
        ("Reached maximum number of turns (1)", ReasonCode.TURN_LIMIT),
        ("API Error: Connection error.", ReasonCode.MODEL_UNAVAILABLE),
        ("We're currently experiencing high demand", ReasonCode.MODEL_OVERLOADED),
        ('[API Error: {"error":{"code":403,"message":"no","status":"PERMISSION_DENIED"}}]', KEY),
        ("stream disconnected before completion: Incomplete response, reason: content_filter", REFUSED),
        ("stream disconnected before completion: Incomplete response, reason: max_output_tokens", ReasonCode.NO_RESULT),
        ('API Error: 400 {"error":{"type":"invalid_request_error","message":"tools.0: bad"}}', REFUSED),
        ("You've hit your session limit · resets 3pm", ReasonCode.QUOTA_EXHAUSTED),
        ("litellm.Timeout: APITimeoutError", ReasonCode.MODEL_UNAVAILABLE),
        ("litellm.PermissionDeniedError: x", KEY),
        ("API Error: Claude's response exceeded the 32000 output token maximum.", ReasonCode.NO_RESULT),
        ("Model stream ended due to safety settings (SAFETY) with empty response text.", REFUSED),
        ("Model stream ended due to token limit exhaustion (MAX_TOKENS)", ReasonCode.NO_RESULT),
        ("the tests of the login page fail", None),
        ("I could not add the account page: the feature is disabled", None),
        ("404 tests failed", None),
    ],
)
def test_a_clis_words_are_understood_where_they_name_a_cause(text: str, code: ReasonCode | None) -> None:
    assert cause_of(text) is code


@pytest.mark.parametrize(("error", "words"), [({"code": 429, "message": "no"}, "no"), ({"type": "a"}, "a")])
def test_an_error_is_shown_with_the_words_that_it_has(error: object, words: str) -> None:
    assert error_of_response(429, json.dumps({"error": error}).encode()).message == f"HTTP 429 {words}"


STREAM = "text/event-stream"
START = b'event: message_start\ndata: {"type":"message_start","message":{"usage":{"input_tokens":5}}}\n\n'
STOP = b'event: message_stop\ndata: {"type":"message_stop"}\n\n'
OVERLOADED = b'event: error\ndata: {"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}\n\n'


@pytest.mark.parametrize(
    ("status", "content_type", "pieces", "code", "message"),
    [
        (200, STREAM, (START,), ReasonCode.MODEL_UNAVAILABLE, "the response was cut before its end"),
        (200, STREAM, (), ReasonCode.MODEL_UNAVAILABLE, "the response was empty"),
        (200, "application/json", (), ReasonCode.MODEL_UNAVAILABLE, "the response was empty"),
        (0, "", (), ReasonCode.MODEL_UNAVAILABLE, "the connection to the provider failed"),
        (200, "application/json", (b'{"id": "1", "con',), ReasonCode.MODEL_UNAVAILABLE, "cut before its end"),
        (200, STREAM, (b"data: [DONE]\n\n",), ReasonCode.MODEL_UNAVAILABLE, "cut before its end"),
        (200, STREAM, (b'data: {"candidates":[{"finishReason":null}]}',), ReasonCode.MODEL_UNAVAILABLE, "cut before"),
        (302, "application/json", (b"{}",), ReasonCode.MODEL_UNAVAILABLE, "HTTP 302"),
        (
            200,
            STREAM,
            (b'data: {"type":"x","delta":{"text":"message_stop, response.completed and [DONE] end it"}}\n\n',),
            ReasonCode.MODEL_UNAVAILABLE,
            "cut before its end",
        ),
        (
            200,
            STREAM,
            (b'data: {"promptFeedback":{"blockReason":"PROHIBITED_CONTENT"},"usageMetadata":{}}\n\n',),
            ReasonCode.MODEL_REQUEST_REFUSED,
            "blocked the prompt: PROHIBITED_CONTENT",
        ),
        (200, STREAM, (START, OVERLOADED), ReasonCode.MODEL_OVERLOADED, "overloaded_error: Overloaded"),
        (200, STREAM, (START, OVERLOADED, STOP), ReasonCode.MODEL_OVERLOADED, "overloaded_error: Overloaded"),
        (
            200,
            STREAM,
            (b'data: {"type":"response.failed","response":{"error":{"code":"rate_limit_exceeded","message":"x"}}}\n',),
            ReasonCode.MODEL_RATE_LIMITED,
            "rate_limit_exceeded: x",
        ),
        (
            200,
            "text/html; charset=utf-8",
            (b"<!DOCTYPE html><html><head><title>Sign in\nto the Wi-Fi</title></head></html>",),
            ReasonCode.MODEL_UNAVAILABLE,
            "HTTP 200 with text/html instead of the API's response: Sign in to the Wi-Fi",
        ),
        (
            200,
            STREAM,
            (b"<html><body><h1>Blocked</h1> by \x1b[31mpolicy</body></html>",),
            ReasonCode.MODEL_UNAVAILABLE,
            "instead of the API's response: Blocked by  [31mpolicy".replace("  ", " "),
        ),
        (
            200,
            "application/json",
            (b'{"status": "please sign in"}',),
            ReasonCode.MODEL_UNAVAILABLE,
            'instead of the API\'s response: {"status": "please sign in"}',
        ),
        (200, "text/plain", (b"upstream is away",), ReasonCode.MODEL_UNAVAILABLE, "text/plain instead of the API's"),
        (404, "application/json", (b'{"error":{"code":"model_not_found"}}',), ReasonCode.MODEL_NOT_FOUND, "HTTP 404"),
    ],
)
def test_the_proxy_records_how_a_call_failed(
    status: int, content_type: str, pieces: tuple[bytes, ...], code: ReasonCode, message: str
) -> None:
    with failing_provider(status, content_type, *pieces) as url, serving(url) as proxy:
        ask(proxy)
        failure = proxy.calls.last_failure
    assert failure is not None
    assert (failure.error.code, failure.calls, proxy.calls.succeeded) == (code, 1, 0)
    assert message in failure.error.message


@pytest.mark.parametrize(
    ("content_type", "piece"),
    [
        (STREAM, START + STOP),
        (STREAM, b'data: {"type":"response.completed","response":{"error":null,"output":[]}}\n\n'),
        (STREAM, b'data: {"choices":[{"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'),
        (STREAM, b'data: {"candidates":[{"finishReason":"STOP"}]}'),
        (STREAM, START + b'data: {"type":"x","delta":{"text":"an error: \\"error\\": {}"}}\n\n' + STOP),
        ("application/json", b'{"choices": [], "error": null}\n'),
        ("text/plain", START + STOP),
        ("", b'data: {"choices":[{"delta":{},"finish_reason":"stop"}]}\n\n'),
    ],
)
def test_a_whole_response_is_a_success_and_ends_the_row_of_failures(content_type: str, piece: bytes) -> None:
    with failing_provider(529, "application/json", b"{}") as broken, serving(broken) as proxy:
        ask(proxy)
        ask(proxy)
        assert (proxy.calls.last_failure.calls if proxy.calls.last_failure else 0) == 2
        with failing_provider(200, content_type, piece) as url, serving(url) as working:
            working.calls = proxy.calls
            ask(working)
        assert (proxy.calls.succeeded, proxy.calls.last_failure) == (1, None)


@pytest.mark.parametrize("size", [1, 3, 5])
def test_a_stream_without_its_type_is_recognised_however_it_is_cut(size: int) -> None:
    calls, stream = ModelCalls(), START + STOP
    with calls.open() as call:
        call.begin(200, "")
        for at in range(0, len(stream), size):
            call.feed(stream[at : at + size])
    assert (calls.succeeded, calls.last_failure) == (1, None)


CUT, REFUSED_END = ReasonCode.NO_RESULT, ReasonCode.MODEL_REQUEST_REFUSED
ENDINGS: list[tuple[dict[str, object], ReasonCode | None, bool]] = [
    ({"type": "message_delta", "delta": {"stop_reason": "end_turn"}}, None, False),
    ({"type": "message_delta", "delta": {"stop_reason": "tool_use"}}, None, True),
    ({"type": "message_delta", "delta": {"stop_reason": "max_tokens"}}, CUT, False),
    ({"type": "message_delta", "delta": {"stop_reason": "refusal"}}, REFUSED_END, False),
    (
        {"type": "message_delta", "delta": {"stop_reason": "model_context_window_exceeded"}},
        ReasonCode.CONTEXT_EXCEEDED,
        False,
    ),
    ({"content": [], "stop_reason": "pause_turn"}, CUT, False),
    ({"choices": [{"finish_reason": "stop", "message": {"content": "x"}}]}, None, False),
    ({"choices": [{"finish_reason": "length", "message": {"content": "x"}}]}, CUT, False),
    ({"choices": [{"finish_reason": "content_filter", "delta": {}}]}, REFUSED_END, False),
    ({"choices": [{"finish_reason": "stop", "message": {"refusal": "I can't"}}]}, REFUSED_END, False),
    ({"choices": [{"finish_reason": "tool_calls", "delta": {}}]}, None, True),
    ({"choices": [{"finish_reason": "insufficient_system_resource"}]}, ReasonCode.MODEL_OVERLOADED, False),
    ({"candidates": [{"finishReason": "STOP", "content": {"parts": [{"text": "x"}]}}]}, None, False),
    ({"candidates": [{"finishReason": "STOP", "content": {"parts": [{"functionCall": {}}]}}]}, None, True),
    ({"candidates": [{"finishReason": "MAX_TOKENS"}]}, CUT, False),
    ({"candidates": [{"finishReason": "SAFETY"}]}, REFUSED_END, False),
    ({"candidates": [{"finishReason": "RECITATION"}]}, REFUSED_END, False),
    ({"candidates": [{"finishReason": "MALFORMED_FUNCTION_CALL"}]}, CUT, False),
    ({"type": "response.completed", "response": {"output": [{"type": "message", "content": []}]}}, None, False),
    ({"type": "response.completed", "response": {"output": [{"type": "function_call"}]}}, None, True),
    (
        {"type": "response.completed", "response": {"output": [{"content": [{"type": "refusal", "refusal": "no"}]}]}},
        REFUSED_END,
        False,
    ),
    (
        {"type": "response.incomplete", "response": {"incomplete_details": {"reason": "max_output_tokens"}}},
        CUT,
        False,
    ),
    (
        {"type": "response.incomplete", "response": {"incomplete_details": {"reason": "content_filter"}}},
        REFUSED_END,
        False,
    ),
    ({"choices": [{"finish_reason": "a new value"}]}, None, False),
    ({"type": "response.incomplete", "response": {"incomplete_details": None, "output": []}}, CUT, False),
    ({"type": "response.incomplete", "response": {"incomplete_details": {"reason": "a new value"}}}, CUT, False),
    ({"type": "response.completed", "response": {"status": "cancelled", "output": []}}, CUT, False),
    ({"type": "response.created", "response": {"status": "in_progress", "output": [], "error": None}}, None, False),
    ({"status": "in_progress", "output": [], "error": None}, CUT, False),
    ({"status": "completed", "output": [], "error": None}, None, False),
]
"""An event or a response; what it is short of; whether the model waits for a tool."""


@pytest.mark.parametrize("streams", [True, False])
@pytest.mark.parametrize(("event", "code", "asks"), ENDINGS)
def test_the_record_knows_how_the_last_response_ended(
    event: dict[str, object], code: ReasonCode | None, asks: bool, streams: bool
) -> None:
    calls = ModelCalls()
    whole = {"output": [], **event} if not streams else event
    with calls.open() as call:
        call.begin(200, STREAM if streams else "application/json")
        data = json.dumps(whole).encode()
        call.feed(b"data: " + data + b"\n\n" + STOP if streams else data)
    ending = calls.last_ending
    assert (ending.unfinished.code if ending.unfinished else None, ending.asks_tools) == (code, asks)
    assert (calls.succeeded, calls.last_failure) == (1, None)


WHOLE = b'data: {"choices":[{"delta":{},"finish_reason":"stop"}]}\n\n'
SHORT = b'data: {"choices":[{"delta":{},"finish_reason":"length"}]}\n\n'


def record(*calls: tuple[int, bytes, bool]) -> ModelCalls:
    """Return the record of calls: status, stream, and whether it offered tools."""
    found = ModelCalls()
    for status, data, tools in calls:
        with found.open(frozenset(["bash"] if tools else [])) as call:
            call.begin(status, STREAM)
            call.feed(data)
    return found


def test_calls_without_tools_say_nothing_about_the_work_of_an_agent_with_tools() -> None:
    assert record((200, WHOLE, True), (200, SHORT, False)).last_ending.unfinished is None
    assert record((200, SHORT, True), (200, WHOLE, False)).last_ending.unfinished is not None
    assert record((200, SHORT, False)).last_ending.unfinished is not None
    assert record((200, SHORT, True), (200, WHOLE, True)).last_ending.unfinished is None
    assert record((529, b"", True), (200, WHOLE, False)).last_failure is not None
    assert record((529, b"", False), (200, WHOLE, True)).last_failure is None
    beside = record((200, WHOLE, True), (404, b"", False)).last_failure
    assert beside is not None
    assert beside.beside_work
    alone = record((404, b"", False)).last_failure
    assert alone is not None
    assert not alone.beside_work


def test_a_success_after_a_call_that_failed_last_has_no_finished_response() -> None:
    ending = record((200, WHOLE, True), (529, b"{}", True)).last_ending
    assert ending.unfinished is not None
    assert ending.unfinished.message.startswith("its last model call failed: HTTP 529")
    assert record((200, WHOLE, True), (529, b"{}", False)).last_ending.unfinished is None


def test_what_becomes_of_a_call_that_the_agent_gave_up_and_repeated_says_nothing() -> None:
    calls, tools = ModelCalls(), frozenset(["bash"])
    with calls.open(tools) as stalled:
        with calls.open(tools) as repeated:
            repeated.begin(200, "Text/Event-Stream; charset=utf-8")
            repeated.feed(WHOLE)
        stalled.begin(200, STREAM)
        stalled.feed(START)
    assert (calls.succeeded, calls.last_failure, calls.last_ending.unfinished) == (1, None, None)


def test_a_call_that_the_proxy_refuses_is_recorded() -> None:
    with failing_provider(200, "application/json", b"{}") as url, serving(url) as proxy:
        ask(proxy, body={"model": "another", "messages": []})
        failure = proxy.calls.last_failure
    assert failure is not None
    assert (failure.error.code, failure.error.by_proxy) == (ReasonCode.MODEL_NOT_FOUND, True)
    assert "'another' is not one of this agent's" in failure.error.message


def test_a_provider_out_of_reach_is_recorded() -> None:
    with serving("http://127.0.0.1:1") as proxy:
        ask(proxy)
        failure = proxy.calls.last_failure
    assert failure is not None
    assert failure.error.code is ReasonCode.MODEL_UNAVAILABLE


def test_a_question_that_no_model_works_on_is_no_model_call() -> None:
    with failing_provider(200, "application/json", b'{"input_tokens": 1}') as url, serving(url) as proxy:
        ask(proxy, "/v1/messages/count_tokens")
        assert (proxy.calls.succeeded, proxy.calls.last_failure) == (0, None)


def test_an_open_call_is_dated() -> None:
    calls = ModelCalls()
    with calls.open() as call:
        assert calls.waiting_since is not None
        call.begin(200, STREAM)
        call.feed(START + STOP)
    assert (calls.succeeded, calls.last_failure) == (1, None)
    assert ModelCalls().waiting_since is None


@given(st.lists(st.binary(max_size=100), max_size=10), st.sampled_from([STREAM, "application/json", ""]))
def test_no_response_makes_the_record_raise(pieces: list[bytes], content_type: str) -> None:
    call = ModelCall()
    call.begin(200, content_type)
    for piece in pieces:
        call.feed(piece)
    call.finish()
