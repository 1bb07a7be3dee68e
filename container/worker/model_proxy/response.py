"""Reads a model's response as it passes by: its usage, how it ended, and its error. Each event is parsed once."""

import http.client
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from http import HTTPStatus
from typing import Any

from outpost.domain.reasons import ReasonCode
from outpost.domain.usage import Tokens, tokens_of
from worker.json_values import object_at, parsed
from worker.model_endings import ENDINGS, Ending, ending_of, is_event_stream, is_response
from worker.model_proxy.upstream import ConnectError
from worker.provider_errors import MAX_MESSAGE, ProviderError, error_of_body, error_of_event, error_of_response

MAX_EVENT_BYTES = 8 * 1024 * 1024
"""Of a body that is no stream, or an event in a stream, that is parsed; a larger one counts one token a byte."""
_COMPLETE = re.compile(
    rb"\"(message_stop|response\.(completed|incomplete))\"|\"(finishReason|finish_reason)\"\s*:\s*\""
)
"""What the last event of a whole stream contains: Anthropic, OpenAI Responses, Chat Completions, Gemini."""
_NO_OUTPUT = frozenset({"type", "role", "id", "index", "signature"})
"""Fields beside the model's output in a piece of it."""
_LAST_EVENTS = frozenset({"response.completed", "response.incomplete", "response.failed"})
"""Of OpenAI's Responses: each holds the whole response, with its usage."""


class ModelCall:
    """One call; used by several threads.

    Until the provider has reported the whole call's usage, its output counts one token a byte received: a token
    stands for at least one byte of text.
    """

    def __init__(self) -> None:
        self._status: int | None = None
        self._content_type = ""
        self._streams: bool | None = None
        """Whether it is a stream of events; None before enough bytes to decide."""
        self._failed: ProviderError | None = None
        self._complete = False
        self._rest = bytearray()
        self._beginning = b""
        self._size = 0
        self._too_large = False
        """Whether the beginning of `_rest` was too large, and is dropped."""
        self._usage: dict[str, Any] = {}
        self._has_total = False
        self._received = 0
        self._lock = threading.Lock()
        self.ending = Ending()
        """How the response ended."""

    @contextmanager
    def provider(self) -> Iterator[None]:
        """Take errors of the connections in the block for the provider's."""
        try:
            yield
        except (OSError, http.client.HTTPException, ConnectError) as error:
            text = f"the connection to the provider failed ({type(error).__name__})"
            self._failed = ProviderError(ReasonCode.MODEL_UNAVAILABLE, text)
            raise

    def begin(self, status: int, content_type: str) -> None:
        """Record the head of the response."""
        self._status, self._content_type = status, content_type

    @property
    def succeeded(self) -> bool:
        """Whether the provider's response is a success."""
        return self._status is not None and self._status < HTTPStatus.MULTIPLE_CHOICES and self._size > 0

    def feed(self, data: bytes) -> None:
        """Read a piece of the body."""
        with self._lock:
            self._size += len(data)
            self._beginning += data[: max(0, MAX_MESSAGE - len(self._beginning))]
            self._rest += data
            if self._streams is None:
                self._streams = is_event_stream(self._content_type, self._beginning)
            if self._streams:
                *lines, self._rest = self._rest.split(b"\n")
                for line in lines:
                    self._line(bytes(line))
            if len(self._rest) > MAX_EVENT_BYTES:
                self._received += len(self._rest)
                self._rest, self._too_large = bytearray(), True

    def finish(self) -> ProviderError | None:
        """Read what is left, and return what went wrong on the provider's side; None after success."""
        failed = self._failed
        with self._lock:
            rest, self._rest = bytes(self._rest), bytearray()
            if self._streams or self._too_large:
                self._line(rest)
            else:
                self._body(rest)
        if failed is not None or self._status is None:
            return failed
        if self._status >= HTTPStatus.MULTIPLE_CHOICES:
            return error_of_response(self._status, rest[: 8 * MAX_MESSAGE])
        if self._failed is not None or self._complete or (self._too_large and not self._streams):
            return self._failed
        return error_of_body(self._content_type, self._beginning if self._streams else rest)

    def used(self, most: Tokens) -> Tokens:
        """Return what the call used: as reported, else the input and the output received, within `most`."""
        with self._lock:
            reported = tokens_of(self._usage)
            if self._has_total:
                return reported
            received = min(self._received + len(self._rest), most.output)
            return replace(reported, input=reported.input or most.input, output=max(reported.output, received))

    def reported(self) -> Tokens:
        """Return what the provider reported so far; zero without a report."""
        with self._lock:
            return tokens_of(self._usage)

    def _line(self, line: bytes) -> None:
        """Read a line of a stream of events."""
        self._complete = self._complete or _COMPLETE.search(line) is not None
        if self._too_large:
            self._received += len(line)
            self._too_large = not self._streams
        elif line.startswith(b"data:") and (text := line[5:].strip()) not in (b"", b"[DONE]"):
            event = parsed(text)
            self._count(event, len(text))
            if isinstance(event, Mapping) and (b"error" in text or b"blockReason" in text or ENDINGS.search(text)):
                self._failed = error_of_event(event) or self._failed
                self.ending |= ending_of(event)

    def _body(self, body: bytes) -> None:
        """Read a body that is no stream: an object, or what Google streams without server-sent events, a list."""
        content = parsed(body)
        self._count(content, len(body.strip()))
        for event in content if isinstance(content, list) else [content]:
            if isinstance(event, Mapping):
                self._failed = error_of_event(event) or self._failed
                self._complete = self._complete or is_response(event)
                self.ending |= ending_of(event)

    def _count(self, event: object, size: int) -> None:
        """Count an event's output and usage; one that is no object counts its `size` in bytes.

        Later usage of a stream is a total as well, and may leave out what it does not change.
        """
        if not isinstance(event, Mapping):
            self._received += size
            return
        try:
            self._received += sum(map(_size, _outputs(event)))
        except RecursionError:
            self._received += size
        for holder in filter(None, (event, object_at(event, "message"), object_at(event, "response"))):
            found = holder.get("usage") or holder.get("usageMetadata")
            if isinstance(found, dict):
                self._usage.update({name: value for name, value in found.items() if value is not None})
                self._has_total = self._has_total or _is_final(event, holder)


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
