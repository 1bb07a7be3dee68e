"""How a model's response ended: whole, with a request for tools, or cut, filtered or declined. Pure.

The values are those of the providers' pages: "Stop reasons" (Anthropic API), "The Response object" and "The chat
completion object" (OpenAI), "Create Chat Completion" (DeepSeek), `Candidate.FinishReason` (Gemini API). A value that
is not listed here ends a response like any other: providers add some.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice

from outpost.domain.reasons import ReasonCode
from worker.json_values import object_at, objects_at, text_at
from worker.lines import beginning
from worker.provider_errors import MAX_MESSAGE, ProviderError

ENDINGS = re.compile(
    rb'"stop_reason"\s*:\s*"|"finish_reason"\s*:\s*"|"finishReason"|"functionCall"|"refusal'
    rb"|\"response\.(completed|incomplete|refusal\.done|output_item\.done)\""
)
"""What an event of a stream contains that says how the response ends."""
_REFUSED = (
    *("refusal", "content_filter", "SAFETY", "RECITATION", "LANGUAGE", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII"),
    *("IMAGE_SAFETY", "IMAGE_PROHIBITED_CONTENT", "IMAGE_RECITATION"),
)
_CUT = ("max_tokens", "length", "max_output_tokens", "MAX_TOKENS", "pause_turn")
_BROKEN = (
    *("MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL", "TOO_MANY_TOOL_CALLS", "MISSING_THOUGHT_SIGNATURE"),
    *("MALFORMED_RESPONSE", "OTHER", "NO_IMAGE"),
)
_UNFINISHED: Mapping[str, tuple[ReasonCode, str]] = {
    **dict.fromkeys(_REFUSED, (ReasonCode.MODEL_REQUEST_REFUSED, "was declined or filtered")),
    **dict.fromkeys(_CUT, (ReasonCode.NO_RESULT, "was cut")),
    **dict.fromkeys(_BROKEN, (ReasonCode.NO_RESULT, "is no result")),
    "model_context_window_exceeded": (ReasonCode.CONTEXT_EXCEEDED, "was cut, the context window is full"),
    "insufficient_system_resource": (ReasonCode.MODEL_OVERLOADED, "was cut"),
}
_TOOL_CALLS = frozenset({"tool_use", "tool_calls", "function_call"})
_TOOL_ITEMS = frozenset(
    {"function_call", "custom_tool_call", "local_shell_call", "shell_call", "apply_patch_call", "computer_call"}
)
"""Items of OpenAI's Responses that the agent executes."""
_UNFINISHED_STATUSES = frozenset({"failed", "in_progress", "cancelled", "queued", "incomplete"})
"""Values of `status` beside `completed` ("The Response object")."""
_OUTPUT = frozenset({"content", "choices", "output", "candidates"})


_STREAM = re.compile(rb"(\xef\xbb\xbf)?\s*(data|event|id|retry)?:")
_PERHAPS_STREAM = re.compile(
    rb"\xef|\xef\xbb|(\xef\xbb\xbf)?\s*(d|da|dat|data|e|ev|eve|even|event|i|id|r|re|ret|retr|retry)?"
)
STREAM_BEGINNING = 64
"""Bytes, at most, from which a stream is recognised."""


def is_event_stream(content_type: str, beginning: bytes) -> bool | None:
    """Return whether a body is a stream of server-sent events: by its type, or by its beginning.

    None when `beginning`, all of the body so far or its first `STREAM_BEGINNING` bytes, is too short to say.
    Gateways give streams other types, and the CLIs read them all the same (HTML Standard, "Parsing an event stream").
    """
    if content_type.lower().startswith("text/event-stream") or _STREAM.match(beginning):
        return True
    return None if len(beginning) < STREAM_BEGINNING and _PERHAPS_STREAM.fullmatch(beginning) else False


@dataclass(frozen=True)
class Ending:
    """How a response ended; combined with `|` from the events of a stream."""

    asks_tools: bool = False
    """Whether the model waits for the result of a tool."""
    unfinished: ProviderError | None = None
    """Why it is no result: it was cut, filtered or declined."""

    def __or__(self, later: "Ending") -> "Ending":
        """Return what both say; the later reason counts."""
        return Ending(self.asks_tools or later.asks_tools, later.unfinished or self.unfinished)


def is_response(content: Mapping[str, object]) -> bool:
    """Return whether a JSON object is a whole response of a model, in any provider's form."""
    return not _OUTPUT.isdisjoint(content)


def ending_of(event: Mapping[str, object]) -> Ending:
    """Return what an event of a stream, or a whole response, says about the response's end."""
    ending = Ending(asks_tools=any(_asks_tool(part) for part in _parts(event)))
    if refusal := next(filter(None, (text_at(part, "refusal") for part in _parts(event))), ""):
        words = f"was declined: {' '.join(refusal.split())}"
        ending |= Ending(unfinished=_error(ReasonCode.MODEL_REQUEST_REFUSED, words))
    if status := _unfinished_status(event):
        ending |= Ending(unfinished=_error(ReasonCode.NO_RESULT, f"is no result ({status})"))
    for reason in _reasons(event):
        if found := _UNFINISHED.get(reason):
            ending |= Ending(unfinished=_error(found[0], f"{found[1]} ({reason})"))
        ending |= Ending(asks_tools=reason in _TOOL_CALLS)
    return ending


def _unfinished_status(event: Mapping[str, object]) -> str:
    """Return the status of an OpenAI response that is not completed, whatever details it has; "" of any other."""
    if event.get("type") == "response.incomplete":
        return "incomplete"
    whole = object_at(event, "response") if event.get("type") == "response.completed" else event
    status = text_at(whole, "status")
    return status if "output" in whole and status in _UNFINISHED_STATUSES else ""


def _error(code: ReasonCode, words: str) -> ProviderError:
    return ProviderError(code, beginning(f"the model's last response {words}", MAX_MESSAGE))


def _reasons(event: Mapping[str, object]) -> Iterator[str]:
    yield text_at(event, "stop_reason")
    yield text_at(event, "delta", "stop_reason")
    yield text_at(event, "incomplete_details", "reason")
    yield text_at(event, "response", "incomplete_details", "reason")
    for choice in _first(event, "choices"):
        yield text_at(choice, "finish_reason")
    for candidate in _first(event, "candidates"):
        yield text_at(candidate, "finishReason")


def _parts(event: Mapping[str, object]) -> Iterator[Mapping[str, object]]:
    """Yield the objects in which a provider puts calls of tools, and refusals."""
    yield event
    yield object_at(event, "item")
    for item in (*objects_at(event, "output"), *objects_at(event, "response", "output")):
        yield item
        yield from objects_at(item, "content")
    for choice in _first(event, "choices"):
        yield object_at(choice, "delta")
        yield object_at(choice, "message")
    for candidate in _first(event, "candidates"):
        yield from objects_at(candidate, "content", "parts")


def _first(event: Mapping[str, object], name: str) -> Iterator[Mapping[str, object]]:
    return islice(objects_at(event, name), 1)


def _asks_tool(part: Mapping[str, object]) -> bool:
    return "functionCall" in part or part.get("type") in _TOOL_ITEMS or bool(part.get("tool_calls"))
