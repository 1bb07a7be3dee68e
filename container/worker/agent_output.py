"""What an agent prints, as it arrives: standard output to its transcript, both streams to the log."""

import re
import threading
import time
from collections.abc import Callable, Iterable

from worker.adapters.transcript import Message, Transcript, end_of_events
from worker.lines import EventSplitter, LineSplitter, beginning
from worker.model_proxy.calls import ModelCalls

MAX_OUTPUT_BYTES = 64 * 1024 * 1024
"""Of messages for the log; what follows is still read for the final event, and dropped."""
_NAME_LENGTH = 120
_NO_ERROR = re.compile(r"\s|$|[}\])]+$|Node\.js v\d")
"""What follows an error: the frames of its stack, its fields, the version of Node.js; and blank lines."""


class AgentOutput:
    """Takes the bytes of both streams, each from a thread of its own."""

    def __init__(
        self, transcript: Transcript, on_message: Callable[[Message], object], calls: ModelCalls | None = None
    ) -> None:
        """`calls`: the record of the agent's model calls, where there is one."""
        self.transcript = transcript
        self.finished_at: float | None = None
        """When the final event arrived, by the monotonic clock; None before it, and when the agent went on after it."""
        self.last_error_line = ""
        """The last line of standard error that may name an error."""
        self._on_message = on_message
        self._calls = calls
        self._events = EventSplitter() if transcript.has_final_event else LineSplitter()
        self._errors = LineSplitter()
        self._lock = threading.Lock()
        self._room = MAX_OUTPUT_BYTES
        self.silent_since = time.monotonic()
        """When the agent last printed something, by the monotonic clock."""

    @property
    def merged(self) -> bool:
        """Whether both streams are read as one, in the order of their lines: no event can be torn by the other."""
        return not self.transcript.has_final_event

    def stdout(self, data: bytes) -> None:
        """Take bytes of standard output."""
        with self._lock:
            self.silent_since = time.monotonic()
            if self._room > 0 or self.transcript.has_final_event:
                self._read(self._events.feed(data))

    def stderr(self, data: bytes) -> None:
        """Take bytes of standard error."""
        with self._lock:
            self.silent_since = time.monotonic()
            self._show_errors(self._errors.feed(data))

    def stdout_pauses(self) -> None:
        """Read the events of a line that does not end: a CLI may print no newline after its last one."""
        with self._lock:
            if isinstance(self._events, EventSplitter) and (end := end_of_events(line := self._events.unfinished)):
                self._events.unfinished = line[end:]
                self._read([line[:end]])

    def close(self) -> None:
        """Take what is left: both streams are at their end."""
        with self._lock:
            self._read(self._events.finish())
            self._show_errors(self._errors.finish())

    def waiting_for(self) -> str:
        """Return what the agent is doing, and for how long, as a sentence without its full stop."""
        at = time.monotonic()
        # Without the lock: a reader may hold it while the log waits to be sent.
        running = list(self.transcript.running_tools.values())
        doing = [f"running {beginning(name, _NAME_LENGTH)}, {at - since:.0f} s so far" for name, since in running]
        if self._calls is not None and (since := self._calls.waiting_since) is not None:
            doing.append(f"waiting for a response of its model, {at - since:.0f} s so far")
        elif self._calls is not None and self._calls.last_failure is not None and not doing:
            doing.append("waiting to call its model again")
        silent = f"its last output was {at - self.silent_since:.0f} s before"
        return f"It was {' and '.join(doing)}" if doing else f"Nothing that it named was running; {silent}"

    def _read(self, lines: Iterable[str]) -> None:
        for line in lines:
            for message in self.transcript.read(line):
                self._show(message)
            finished = self.transcript.finished
            self.finished_at = (self.finished_at or time.monotonic()) if finished else None

    def _show_errors(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.last_error_line = self.last_error_line if _NO_ERROR.match(line) else line
            self.transcript.read_error(line)
            self._show(Message(line))

    def _show(self, message: Message) -> None:
        if self._room <= 0:
            return
        self._room -= len(message.text) + 1
        self._on_message(message)
        if self._room <= 0:
            note = f"[output cut here: the agent printed more than {MAX_OUTPUT_BYTES // 2**20} MB]"
            self._on_message(Message(note))
