"""The record of a run's model calls: which succeeded, which are open, and which error no success has followed yet."""

import http.client
import itertools
import re
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from http import HTTPStatus

from outpost.domain.reasons import ReasonCode
from worker.json_values import object_at, parsed
from worker.model_endings import ENDINGS, Ending, ending_of, is_event_stream, is_response
from worker.model_proxy.upstream import ConnectError
from worker.provider_errors import MAX_MESSAGE, ProviderError, error_of_body, error_of_event, error_of_response

_MAX_BYTES = 8 * 1024 * 1024
"""Of an event of a stream, or of a body that is no stream, that is read."""
_COMPLETE = re.compile(
    rb"\"(message_stop|response\.(completed|incomplete))\"|\"(finishReason|finish_reason)\"\s*:\s*\""
)
"""What the last event of a whole stream contains: Anthropic, OpenAI Responses, Chat Completions, Gemini."""


@dataclass(frozen=True)
class CallFailure:
    """The last error of calls that failed in a row."""

    error: ProviderError
    calls: int
    """How many failed in a row."""
    beside_work: bool = False
    """Whether they offered no tools, unlike the calls of the agent's work."""


class ModelCalls:
    """Records calls; used by many threads.

    An agent's work is in the calls that offer tools to the model. Beside them CLIs make calls without tools, for
    titles, summaries and classifications: what becomes of those says nothing about the work, once there is any.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._numbers = itertools.count()
        self._open: dict[int, float] = {}
        self._newest = {True: -1, False: -1}
        """Whether the calls offered tools -> the number of the newest one that has ended."""
        self._failures: dict[bool, CallFailure] = {}
        """Whether the calls offered tools -> their last error that no success has followed."""
        self.succeeded = 0
        self.offered_tools: frozenset[str] = frozenset()
        """Names of all tools that were offered to the model."""
        self.last_ending = Ending()
        """How the last call of the agent's work ended; one that failed has no finished response."""

    @contextmanager
    def open(self, tools: frozenset[str] = frozenset()) -> Iterator["ModelCall"]:
        """Record one call while the block lasts; it offers `tools` to the model."""
        call = ModelCall()
        number = next(self._numbers)
        with self._lock:
            self._open[number] = time.monotonic()
        try:
            yield call
        finally:
            with self._lock:
                del self._open[number]
                error = call.finish()
                self.succeeded += error is None and call.succeeded
                if (error or call.succeeded) and self._is_newest(number, tools):
                    self._fail(error, tools) if error else self._succeed(call.ending, tools)

    def refuse(self, error: ProviderError, tools: frozenset[str] = frozenset()) -> None:
        """Record a call that was not passed on."""
        with self._lock:
            self._newest[bool(tools)] = next(self._numbers)
            self._fail(error, tools)

    def _is_newest(self, number: int, tools: frozenset[str]) -> bool:
        """Return whether no later call has ended: an agent that gave a call up has repeated it, and that one counts."""
        before, self._newest[bool(tools)] = self._newest[bool(tools)], max(number, self._newest[bool(tools)])
        return number > before

    def _fail(self, error: ProviderError, tools: frozenset[str]) -> None:
        before = self._failures.get(bool(tools))
        self._failures[bool(tools)] = CallFailure(error, before.calls + 1 if before else 1)
        if tools:
            self.offered_tools |= tools
            self.last_ending = Ending(unfinished=replace(error, message=f"its last model call failed: {error.message}"))

    def _succeed(self, ending: Ending, tools: frozenset[str]) -> None:
        self._failures.pop(False, None)
        if tools:
            self._failures.pop(True, None)
        if tools or not self.offered_tools:
            self.last_ending = ending
        self.offered_tools |= tools

    @property
    def last_failure(self) -> CallFailure | None:
        """The last error, unless a call has succeeded since then; of calls with tools first."""
        beside = self._failures.get(False)
        return self._failures.get(True) or (beside and replace(beside, beside_work=bool(self.offered_tools)))

    @property
    def waiting_since(self) -> float | None:
        """When the oldest open call began, by the monotonic clock; None when none is open."""
        with self._lock:
            return min(self._open.values(), default=None)


class ModelCall:
    """One call: reads its response as it passes by."""

    def __init__(self) -> None:
        self._status: int | None = None
        self._content_type = ""
        self._streams: bool | None = None
        """Whether it is a stream of events; None before enough bytes to say."""
        self._failed: ProviderError | None = None
        self._complete = False
        self._rest = bytearray()
        self._beginning = b""
        self._size = 0
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

    def feed(self, data: bytes) -> None:
        """Read a piece of the body."""
        self._size += len(data)
        self._beginning += data[: max(0, MAX_MESSAGE - len(self._beginning))]
        if self._streams is None:
            self._streams = is_event_stream(self._content_type, self._beginning)
        if not self._streams:
            self._rest += data[: max(0, _MAX_BYTES - len(self._rest))]
            return
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            self._event(bytes(line))
        if len(self._rest) > _MAX_BYTES:
            self._rest = bytearray()

    def _event(self, line: bytes) -> None:
        self._complete = self._complete or _COMPLETE.search(line) is not None
        is_error = b"error" in line or b"blockReason" in line
        if line.startswith(b"data:") and (is_error or ENDINGS.search(line)) and (event := object_at(parsed(line[5:]))):
            self._failed = error_of_event(event) or self._failed
            self.ending |= ending_of(event)

    @property
    def succeeded(self) -> bool:
        """Whether the provider's response is a success."""
        return self._status is not None and self._status < HTTPStatus.MULTIPLE_CHOICES and self._size > 0

    def finish(self) -> ProviderError | None:
        """Return what went wrong on the provider's side; None after success."""
        if self._failed is not None or self._status is None:
            return self._failed
        if self._status >= HTTPStatus.MULTIPLE_CHOICES:
            return error_of_response(self._status, bytes(self._rest[: 8 * MAX_MESSAGE]))
        if self._streams:
            self._event(bytes(self._rest))
        else:
            self._whole(bytes(self._rest))
        if self._failed is not None or self._complete:
            return self._failed
        return error_of_body(self._content_type, self._beginning if self._streams else bytes(self._rest))

    def _whole(self, body: bytes) -> None:
        """Read a body that is no stream: an object, or what Google streams without server-sent events, a list."""
        content = parsed(body)
        for event in content if isinstance(content, list) else [content]:
            if isinstance(event, Mapping):
                self._failed = error_of_event(event) or self._failed
                self._complete = self._complete or is_response(event)
                self.ending |= ending_of(event)
        self._complete = self._complete or self._size > _MAX_BYTES  # too large to be read
