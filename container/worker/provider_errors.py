"""What a model provider's error means: from a status and a body, or from a CLI's text, to the code of a reason.

The formats are those of the providers' pages "Errors" (Anthropic API), "Error codes" (OpenAI, DeepSeek),
"Troubleshooting guide" (Gemini API), "Debugging errors" (xAI) and "InvokeModel" (Amazon Bedrock Runtime); statuses
alone do not separate, for example, OpenAI's `insufficient_quota` from its `rate_limit_exceeded`, both of which are 429.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

from outpost.domain.reasons import ReasonCode
from worker.json_values import parsed
from worker.lines import beginning

MAX_MESSAGE = 500
"""Characters of the provider's own words that are kept."""

_TEXTS: tuple[tuple[ReasonCode, str], ...] = (
    (
        ReasonCode.CONTEXT_EXCEEDED,
        r"(prompt|input) is too long|prompt_too_long|context.?(length|limit)|context window|maximum prompt length"
        r"|request_too_large|input token count .{0,40}exceeds|exceeds the maximum number of tokens|hit a token limit",
    ),
    (ReasonCode.TURN_LIMIT, r"max(imum)? (session |number of )?turns|tool execution rounds reached|turn limit"),
    (
        ReasonCode.BALANCE_EXHAUSTED,
        r"insufficient.?(balance|credits)|credit balance|billing_error|billing_not_active|billing_hard_limit"
        r"|used all available credits|out of credits|credits? (are|is|has been|have been) (depleted|exhausted)"
        r"|not have any credits|n't have any credits|payment.instrument",
    ),
    (
        ReasonCode.MODEL_REQUEST_REFUSED,
        r"content.?filter|content.?policy|content_policy_violation|usage (policy|policies|guidelines)|invalid_prompt"
        r"|SAFETY_CHECK_TYPE|PROHIBITED_CONTENT|Content Exists Risk|flagged (as|for) potential"
        r"|UnprocessableEntityError|due to (safety|recitation) settings",
    ),
    (
        ReasonCode.MODEL_UNAVAILABLE,
        r"unsupported_country_region_territory|(country|region|location)[^.]{0,40} (is )?not supported"
        r"|not available in your (country|region|location)",
    ),
    (ReasonCode.NO_RESULT, r"reason: max_output_tokens|output token maximum|token limit exhaustion"),
    (ReasonCode.MODEL_RATE_LIMITED, r"per.?minute"),
    (
        ReasonCode.QUOTA_EXHAUSTED,
        r"insufficient_quota|(requests|tokens) per.?day|quota[^.]{0,60}(exceed|exhaust)|(exceed|exhaust)[^.]{0,60}quota"
        r"|usage limit|hit your \w+ limit|spend\w*.(limit|cap\b)",
    ),
    (
        ReasonCode.MODEL_NOT_FOUND,
        r"model_not_found|not_found_error|NotFoundError|models?[/:\s].{0,120}(not found|not exist)"
        r"|model identifier is invalid|on-demand throughput isn.{1,6}t supported|have access to the model with"
        r"|model not (found|exist)",
    ),
    (
        ReasonCode.MODEL_KEY_UNUSABLE,
        r"(invalid|incorrect) (x-)?api.?key|api.?key not (valid|found)|api_key_invalid|authentication_error"
        r"|authentication fail|AuthenticationError|api.?key (has )?expired"
        r"|(organization|account)[^.]{0,60} has been (disabled|deactivated|suspended)|PermissionDeniedError"
        r"|please run /login|not able to authenticate|permission_error|set an auth method|rejects the key",
    ),
    (ReasonCode.MODEL_RATE_LIMITED, r"rate.?limit|too many requests|resource_exhausted"),
    (ReasonCode.MODEL_OVERLOADED, r"overloaded|at capacity|server is busy|high demand"),
    (
        ReasonCode.MODEL_UNAVAILABLE,
        r"InternalServerError|APIConnectionError|BadGatewayError|ServiceUnavailableError|stream disconnected"
        r"|empty response|provider cannot be reached|connection error|request timed out|unable to connect to"
        r"|error sending request|fetch failed|connection was closed|litellm\.Timeout",
    ),
)
_PATTERNS = tuple((code, re.compile(pattern, re.IGNORECASE | re.DOTALL)) for code, pattern in _TEXTS)
_INVALID = re.compile(r"invalid_request_error|INVALID_ARGUMENT")
"""Types of errors that say no more than the message does."""
_STATUSES = {
    401: ReasonCode.MODEL_KEY_UNUSABLE,
    402: ReasonCode.BALANCE_EXHAUSTED,
    403: ReasonCode.MODEL_KEY_UNUSABLE,
    404: ReasonCode.MODEL_NOT_FOUND,
    408: ReasonCode.MODEL_UNAVAILABLE,
    413: ReasonCode.CONTEXT_EXCEEDED,
    424: ReasonCode.MODEL_UNAVAILABLE,
    429: ReasonCode.MODEL_RATE_LIMITED,
    503: ReasonCode.MODEL_OVERLOADED,
    529: ReasonCode.MODEL_OVERLOADED,
}
_STATUS_IN_TEXT = re.compile(r"(?:(?:API Error:?|HTTP|status(?: code)?:?) \(?|\"code\": ?)([45]\d\d)\b", re.IGNORECASE)
_REFUSALS = range(400, 500)
_SERVER_ERRORS = range(500, 600)
_HTML = re.compile(
    r"\s*<(?:!doctype html|html)\b(?:.{0,4000}?<title>(?P<title>[^<]{0,2000}))?", re.IGNORECASE | re.DOTALL
)
"""A page of a gateway between here and the provider, which is about neither the key nor the model."""
_OF_ANY_SERVER = (413, 429, 503)
"""Statuses that mean the same from a gateway."""
_SHOWN_WORDS = 120
"""Characters of what came in place of a response."""


@dataclass(frozen=True)
class ProviderError:
    """A model call that failed."""

    code: ReasonCode
    message: str
    """The status and the provider's own words, in one line."""
    by_proxy: bool = False
    """Whether the model proxy refused the call: it asked for what a run may not use."""


def cause_of(text: str, status: int | None = None) -> ReasonCode | None:
    """Return what a text of a provider, or of a CLI that quotes it, says went wrong; None where it says nothing known.

    `status`: the HTTP status that came with it; without one, the status that the text names is used.
    """
    text = text[: 8 * MAX_MESSAGE]
    found = _STATUS_IN_TEXT.search(text) if status is None else None
    status = int(found[1]) if found else status
    for code, pattern in _PATTERNS:
        if pattern.search(text):
            return code
    if status in _STATUSES:
        return _STATUSES[status]
    if status in _SERVER_ERRORS:
        return ReasonCode.MODEL_UNAVAILABLE
    return ReasonCode.MODEL_REQUEST_REFUSED if _INVALID.search(text) else None


def error_of_response(status: int, body: bytes) -> ProviderError:
    """Return what an error response means; its body may be of any form."""
    text = body.decode("utf-8", "replace")
    if page := _HTML.match(text):
        code = _STATUSES.get(status) if status in _OF_ANY_SERVER else None
        title = " ".join((page["title"] or "").split())
        return ProviderError(
            code or ReasonCode.MODEL_UNAVAILABLE,
            beginning(f"HTTP {status}, a web page instead of the API: {title}", MAX_MESSAGE),
        )
    words = _words(parsed(text)) or " ".join(text.split())
    code = cause_of(text, status) or (
        ReasonCode.MODEL_REQUEST_REFUSED if status in _REFUSALS else ReasonCode.MODEL_UNAVAILABLE
    )
    return ProviderError(code, beginning(f"HTTP {status} {words}".strip(), MAX_MESSAGE))


def error_of_body(content_type: str, body: bytes) -> ProviderError:
    """Return what a body with status 200 means that is no whole response of a model."""
    text = body.decode("utf-8", "replace")
    page = _HTML.match(text)
    if not text.strip():
        return ProviderError(ReasonCode.MODEL_UNAVAILABLE, "the response was empty")
    if text.lstrip().startswith(("{", "[", "data:", "event:", ":")) and parsed(text) is None:
        return ProviderError(ReasonCode.MODEL_UNAVAILABLE, "the response was cut before its end")
    words = (page and page["title"]) or re.sub(r"<[^>]{0,1000}>", " ", text[: 8 * MAX_MESSAGE])
    clean = "".join(char if char.isprintable() else " " for char in words)
    shown = beginning(" ".join(clean.split()), _SHOWN_WORDS)
    kind = content_type.partition(";")[0].strip()[:_SHOWN_WORDS] or "a body without a type"
    return ProviderError(ReasonCode.MODEL_UNAVAILABLE, f"HTTP 200 with {kind} instead of the API's response: {shown}")


def error_of_event(event: Mapping[str, object]) -> ProviderError | None:
    """Return the error that an event of a stream reports with status 200; None for every other event.

    Anthropic sends `{"type": "error", "error": {...}}`, OpenAI `{"type": "response.failed", "response": {"error":
    {...}}}` or `{"type": "error", "code": ..., "message": ...}`, the others `{"error": {...}}`. Google blocks a prompt
    with `{"promptFeedback": {"blockReason": ...}}` and no candidates ("GenerateContentResponse").
    """
    response = event.get("response")
    holder = response if event.get("type") == "response.failed" and isinstance(response, Mapping) else event
    if blocked := _blocked(event):
        return ProviderError(ReasonCode.MODEL_REQUEST_REFUSED, f"the provider blocked the prompt: {blocked}")
    if not holder.get("error") and event.get("type") != "error":
        return None
    words = _words(holder)
    code = cause_of(json.dumps(holder, default=str)) or ReasonCode.MODEL_UNAVAILABLE
    return ProviderError(code, beginning(f"error in the stream: {words}", MAX_MESSAGE))


def _blocked(event: Mapping[str, object]) -> str:
    feedback = event.get("promptFeedback")
    reason = feedback.get("blockReason") if isinstance(feedback, Mapping) and not event.get("candidates") else None
    return reason[:MAX_MESSAGE] if isinstance(reason, str) else ""


def _words(content: object) -> str:
    """Return the type and the message of an error body in any of the providers' forms."""
    if isinstance(content, list) and content:
        content = content[0]  # Gemini without server-sent events
    if not isinstance(content, Mapping):
        return ""
    error = content.get("error", content)
    if isinstance(error, str):
        return " ".join(error.split())
    if not isinstance(error, Mapping):
        return ""
    kind = next((error[name] for name in ("code", "status", "type") if isinstance(error.get(name), str)), "")
    message = error.get("message")
    words = " ".join(message.split()) if isinstance(message, str) else ""
    return ": ".join(filter(None, (kind, words)))
