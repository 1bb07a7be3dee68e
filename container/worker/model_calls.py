"""The record of a run's model calls: which succeeded, which are open, and which error no success has followed yet."""

import http.client
import itertools
import json
import re
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus

from outpost.domain.reasons import ReasonCode
from worker.provider_errors import ProviderError, error_of_event, error_of_response
from worker.upstream import ConnectError

_KEPT_BYTES = 64 * 1024
"""Of a body that is no stream, from its beginning."""
_MAX_EVENT_BYTES = 8 * 1024 * 1024
_COMPLETE = re.compile(
    rb"\"(message_stop|response\.(completed|incomplete)|finishReason)\"|^data: ?\[DONE\]|\"finish_reason\"\s*:\s*\""
)
"""What the last event of a whole stream contains: Anthropic, OpenAI Responses, Chat Completions, Gemini."""


@dataclass(frozen=True)
class CallFailure:
    """The last error of calls that failed in a row."""

    error: ProviderError
    calls: int
    """How many failed in a row."""


class ModelCalls:
    """Records calls; used by many threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._numbers = itertools.count()
        self._open: dict[int, float] = {}
        self._failure: CallFailure | None = None
        self.succeeded = 0

    @contextmanager
    def open(self) -> Iterator["ModelCall"]:
        """Record one call while the block lasts."""
        call = ModelCall()
        number = next(self._numbers)
        with self._lock:
            self._open[number] = time.monotonic()
        try:
            yield call
        finally:
            with self._lock:
                del self._open[number]
                self._settle(call)

    def _settle(self, call: "ModelCall") -> None:
        if error := call.finish():
            self._failure = CallFailure(error, self._failure.calls + 1 if self._failure else 1)
        elif call.answered:
            self.succeeded, self._failure = self.succeeded + 1, None

    @property
    def last_failure(self) -> CallFailure | None:
        """The last error, unless a call has succeeded since then."""
        return self._failure

    @property
    def waiting_since(self) -> float | None:
        """When the oldest open call began, by the monotonic clock; None when none is open."""
        with self._lock:
            return min(self._open.values(), default=None)


class ModelCall:
    """One call: reads its response as it passes by."""

    def __init__(self) -> None:
        self._status: int | None = None
        self._streams = False
        self._failed: ProviderError | None = None
        self._complete = False
        self._rest = b""
        self._size = 0

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
        self._status, self._streams = status, content_type.startswith("text/event-stream")

    def feed(self, data: bytes) -> None:
        """Read a piece of the body."""
        self._size += len(data)
        if not self._streams:
            self._rest += data[: max(0, _KEPT_BYTES - len(self._rest))]
            self._complete = data.rstrip().endswith((b"}", b"]")) or (self._complete and not data.strip())
            return
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            self._event(line)
        if len(self._rest) > _MAX_EVENT_BYTES:
            self._rest = b""

    def _event(self, line: bytes) -> None:
        self._complete = self._complete or _COMPLETE.search(line) is not None
        if line.startswith(b"data:") and (b"error" in line or b"blockReason" in line):
            event = _json_object(line[5:])
            self._failed = (error_of_event(event) if event else None) or self._failed

    @property
    def answered(self) -> bool:
        """Whether the provider answered with success."""
        return self._status is not None and self._status < HTTPStatus.MULTIPLE_CHOICES and self._size > 0

    def finish(self) -> ProviderError | None:
        """Return what went wrong on the provider's side; None after success."""
        if self._failed is not None or self._status is None:
            return self._failed
        if self._status >= HTTPStatus.MULTIPLE_CHOICES:
            return error_of_response(self._status, self._rest)
        if self._streams:
            self._event(self._rest)
        elif (event := _json_object(self._rest)) is not None:
            self._failed = error_of_event(event)
        if self._failed is not None or self._complete:
            return self._failed
        how = "the response was cut before its end" if self._size else "the response was empty"
        return ProviderError(ReasonCode.MODEL_UNAVAILABLE, how)


def _json_object(text: bytes) -> Mapping[str, object] | None:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None
