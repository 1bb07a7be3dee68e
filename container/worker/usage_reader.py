"""Reads what a model call used from the provider's response, while it passes by."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from outpost.domain.usage import Tokens, tokens_of

MAX_EVENT_BYTES = 8 * 1024 * 1024
"""Of a response, or an event in a stream, that is parsed; a larger one counts one token a byte."""
_NO_OUTPUT = frozenset({"type", "role", "id", "index", "signature"})
"""Fields beside the model's output in a piece of it."""
_LAST_EVENTS = frozenset({"response.completed", "response.incomplete", "response.failed"})
"""Of OpenAI's Responses: each holds the whole response, with its usage."""


class UsageReader:
    """Finds the provider's usage in one JSON object, or in server-sent events of them.

    Until the provider has reported the whole call's usage, its output counts one token a byte received: a token
    stands for at least one byte of text.
    """

    def __init__(self, content_type: str) -> None:
        """`content_type` of the response."""
        self._streams = content_type.startswith("text/event-stream")
        self._rest = b""
        self._lost = False
        self._usage: dict[str, Any] = {}
        self._final = False
        self._received = 0

    def feed(self, data: bytes) -> None:
        """Read a piece of the response."""
        self._rest += data
        if self._streams:
            *lines, self._rest = self._rest.split(b"\n")
            for line in lines:
                self._line(line)
        if len(self._rest) > MAX_EVENT_BYTES:
            self._received += len(self._rest)
            self._rest, self._lost = b"", True

    def finish(self) -> None:
        """Read what is left at the end of the response."""
        self._line(self._rest if self._streams else b"data:" + self._rest)
        self._rest = b""

    def used(self, most: Tokens) -> Tokens:
        """Return what the call used: as reported, else the input and the output received, within `most`."""
        reported = tokens_of(self._usage)
        if self._final:
            return reported
        received = min(self._received + len(self._rest), most.output)
        return replace(reported, input=reported.input or most.input, output=max(reported.output, received))

    @property
    def reported(self) -> Tokens:
        """What the provider reported so far; zero without a report."""
        return tokens_of(self._usage)

    def _line(self, line: bytes) -> None:
        if self._lost:
            self._lost = False  # the end of what was too large
            self._received += len(line)
        elif line.startswith(b"data:"):
            self._event(line[5:].strip())

    def _event(self, text: bytes) -> None:
        if not text or text == b"[DONE]":
            return
        try:
            event = json.loads(text)
            size = sum(map(_size, _outputs(event))) if isinstance(event, dict) else len(text)
        except (ValueError, RecursionError):
            self._received += len(text)
            return
        self._received += size
        if isinstance(event, dict):
            self._merge(event)

    def _merge(self, event: Mapping[str, Any]) -> None:
        """Take usage over: later ones of a stream are totals as well, and may leave out what they do not change."""
        for holder in (event, event.get("message"), event.get("response")):
            if not isinstance(holder, dict):
                continue
            found = holder.get("usage") or holder.get("usageMetadata")
            if isinstance(found, dict):
                self._usage.update({name: value for name, value in found.items() if value is not None})
                self._final = self._final or _is_final(event, holder)


def _is_final(event: Mapping[str, Any], holder: Mapping[str, Any]) -> bool:
    """Return whether the usage in `holder`, a part of the event, is that of the whole call."""
    if holder is not event:
        return event.get("type") in _LAST_EVENTS
    # Google, and some that speak Chat Completions, report what the call used so far in every event.
    parts = [*_list(event.get("candidates")), *_list(event.get("choices"))]
    ended = any(isinstance(part, dict) and (part.get("finishReason") or part.get("finish_reason")) for part in parts)
    return ended or not (parts or "usageMetadata" in event)


def _outputs(event: Mapping[str, Any]) -> Iterator[object]:
    """Yield the parts of an event, or of a whole response, that hold the model's output."""
    yield event.get("delta")  # Anthropic's Messages, OpenAI's Responses
    yield event.get("content")
    yield event.get("content_block")
    yield event.get("output")
    for choice in _list(event.get("choices")):
        if isinstance(choice, dict):
            yield choice.get("delta")
            yield choice.get("message")
    yield event.get("candidates")


def _size(part: object) -> int:
    """Return the bytes of text in a part of the output."""
    if isinstance(part, str):
        return len(part.encode(errors="surrogatepass"))
    if isinstance(part, dict):
        return sum(_size(value) for name, value in part.items() if name not in _NO_OUTPUT)
    return sum(map(_size, _list(part)))


def _list(value: object) -> list[object]:
    return value if isinstance(value, list) else []
