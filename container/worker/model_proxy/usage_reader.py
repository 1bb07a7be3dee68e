"""Reads what a model call used from the provider's response, while it passes by."""

import json
import threading
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from outpost.domain.usage import Tokens, tokens_of
from worker.model_endings import STREAM_BEGINNING, is_event_stream

MAX_EVENT_BYTES = 8 * 1024 * 1024
"""Of a response, or an event in a stream, that is parsed; a larger one counts one token a byte."""
_USAGE = b"sage"
"""What is in every event with `usage` or `usageMetadata`, and in few others."""
_NO_OUTPUT = frozenset({"type", "role", "id", "index", "signature"})
"""Fields beside the model's output in a piece of it."""
_LAST_EVENTS = frozenset({"response.completed", "response.incomplete", "response.failed"})
"""Of OpenAI's Responses: each holds the whole response, with its usage."""


class UsageReader:
    """Finds the provider's usage in one JSON object, or in server-sent events of them; used by several threads.

    Until the provider has reported the whole call's usage, its output counts one token a byte received: a token
    stands for at least one byte of text. Events without usage are parsed only when that has to be known.
    """

    def __init__(self, content_type: str) -> None:
        """`content_type` of the response."""
        self._content_type = content_type
        self._streams: bool | None = None
        """Whether it is a stream of events; None before enough bytes to say."""
        self._rest = bytearray()
        self._lost = False
        self._usage: dict[str, Any] = {}
        self._final = False
        self._received = 0
        self._has_usage = False
        self._unread: list[bytes | bytearray] = []
        self._unread_bytes = 0
        self._lock = threading.Lock()

    def feed(self, data: bytes) -> None:
        """Read a piece of the response."""
        with self._lock:
            start = max(len(self._rest) - len(_USAGE), 0)
            self._rest += data
            if self._streams is None:
                self._streams = is_event_stream(self._content_type, bytes(self._rest[:STREAM_BEGINNING]))
            self._has_usage = self._has_usage or self._rest.find(_USAGE, start) >= 0
            if self._streams and (self._has_usage or len(self._rest) > MAX_EVENT_BYTES):
                self._read_lines()
            if len(self._rest) > MAX_EVENT_BYTES:
                self._received += len(self._rest)
                self._rest, self._lost = bytearray(), True

    def finish(self) -> None:
        """Read what is left at the end of the response."""
        with self._lock:
            if self._streams:
                self._read_lines()
            rest, self._rest = bytes(self._rest), bytearray()
            if self._streams or self._lost:
                self._line(rest)
            else:
                self._event(rest)

    def used(self, most: Tokens) -> Tokens:
        """Return what the call used: as reported, else the input and the output received, within `most`."""
        with self._lock:
            reported = tokens_of(self._usage)
            if self._final:
                return reported
            if self._streams:
                self._read_lines()
            self._read_texts()
            received = min(self._received + len(self._rest), most.output)
            return replace(reported, input=reported.input or most.input, output=max(reported.output, received))

    def reported(self) -> Tokens:
        """Return what the provider reported so far; zero without a report."""
        with self._lock:
            return tokens_of(self._usage)

    def _read_lines(self) -> None:
        *lines, self._rest = self._rest.split(b"\n")
        self._has_usage = _USAGE in self._rest
        for line in lines:
            self._line(line)

    def _line(self, line: bytes | bytearray) -> None:
        if self._lost:
            self._lost = False  # the end of what was too large
            self._received += len(line)
        elif line.startswith(b"data:") and _USAGE in line:
            self._event(line[5:])
        elif line.startswith(b"data:"):
            self._unread.append(line[5:])
            self._unread_bytes += len(line)
            if self._unread_bytes > MAX_EVENT_BYTES:
                self._read_texts()

    def _read_texts(self) -> None:
        texts, self._unread, self._unread_bytes = self._unread, [], 0
        for text in texts:
            self._event(text)

    def _event(self, text: bytes | bytearray) -> None:
        text = text.strip()
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
