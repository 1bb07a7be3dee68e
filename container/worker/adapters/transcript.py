"""Readers of a CLI's standard output: messages for the log, and the evidence of how the run went.

Whatever a line holds, a reader never raises: shapes that it does not know are left out or shown as they are.
"""

import json
import re
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from outpost.domain.reasons import ReasonCode
from worker.lines import beginning, ending

SHOWN_HEAD = 32 * 1024
"""Characters of a tool's output that the log shows from its beginning; the whole may be megabytes."""
SHOWN_TAIL = 8 * 1024
"""The same, from its end."""
_ARGUMENT_LENGTH = 300
_NAME_LENGTH = 100
_BLOB = re.compile(r"(?<![\w+/=-])[\w+/=-]{2000,}", re.ASCII)
"""An image or another file in base64: no text has words of this length."""
_MOST_DIGITS = 4_000
"""Of a whole number: Python's `int` raises for longer texts, by its limit of 4,300 digits ("Built-in Types")."""
_DECODER = json.JSONDecoder(strict=False, parse_int=lambda text: int(text) if len(text) <= _MOST_DIGITS else None)
"""Takes tabs inside texts as well, as every JSON event has lost its other control characters (worker/lines.py)."""
_OBJECT = re.compile(r"\{\s*[\"}]")
_MOST_ERRORS = 1_000
"""Of one line: after as many objects that are none, the rest of it is text. An error takes the time of the line."""
_EVENT_FIELDS = frozenset({"type", "role", "jsonrpc"})
"""Of these, every event of a CLI has one: an object without them is none."""


@dataclass(frozen=True)
class Message:
    """Something for the log, of one or more lines."""

    text: str
    progress: bool = False
    """Whether it says what the agent is doing: it becomes the dispatch's progress."""


@dataclass(frozen=True)
class Verdict:
    """What a CLI's final event says about the run."""

    success: bool
    message: str = ""
    """Of a failure: the CLI's own words."""
    code: ReasonCode | None = None
    """Of a failure: its cause, where the event has a field for it."""


class Transcript:
    """Reads a CLI's output line by line. This one takes every line for text, and knows no final event."""

    has_final_event = False
    """Whether the CLI prints at its end whether it succeeded; without it the exit code says so alone."""

    def __init__(self) -> None:
        self.verdict: Verdict | None = None
        """What the last final event said; None before one."""
        self.finished = False
        """Whether nothing but the end of the process is expected: the last event was a final one."""
        self.final_message: str | None = None
        self.refused_tools: list[str] = []
        """Names of the tools that were refused for want of permission."""
        self.running_tools: dict[str, tuple[str, float]] = {}
        """Id -> line and start, by the monotonic clock, of the tool calls without a result so far."""
        self.tool_names: dict[str, str] = {}
        """Id -> name of the tool calls."""

    def read(self, line: str) -> Iterator[Message]:
        """Yield the messages of a line."""
        yield Message(line)

    def read_error(self, line: str) -> None:
        """Record what a line of standard error says; the log shows it as it is."""

    def conclude(self, verdict: Verdict) -> None:
        """Record a final event; it replaces the one before."""
        self.verdict, self.finished = verdict, True

    def fail(self, words: str, code: ReasonCode | None = None) -> Message:
        """Record a final event that reports an error, and return its line."""
        self.conclude(Verdict(False, words, code))
        return error_line(words)

    def reopen(self) -> None:
        """Record that another turn began: the success of the turn before is not its own; an error stays."""
        self.finished = False
        if self.verdict is not None and self.verdict.success:
            self.verdict = None

    def refuse(self, tool: str) -> None:
        """Record that a tool was refused for want of permission."""
        if (tool or "a tool") not in self.refused_tools:
            self.refused_tools.append(tool or "a tool")

    def tool_started(self, call_id: str, name: str, arguments: object) -> Message:
        """Record that a tool call runs from now on, and return its line."""
        line = tool_line(name, arguments)
        self.tool_names[call_id] = name[:_NAME_LENGTH]
        self.running_tools[call_id] = line.text, time.monotonic()
        return line

    def tool_ended(self, call_id: str) -> str:
        """Record that a tool call has its result; return its name, "" of one that never started."""
        self.running_tools.pop(call_id, None)
        return self.tool_names.get(call_id, "")


class JsonTranscript(Transcript, ABC):
    """Output of JSON objects, with whatever else is on their lines: that is shown as it is."""

    has_final_event = True

    @abstractmethod
    def event(self, event: Mapping[str, object]) -> Iterator[Message]:
        """Record what an event says, its verdict first, and yield its messages."""

    def read(self, line: str) -> Iterator[Message]:
        """Yield the messages of a line."""
        shown = 0
        for start, end, event in _events(line):
            yield from _text(line[shown:start])
            yield from (message for message in self.event(event) if message.text)
            shown = end
        yield from _text(line[shown:])


def end_of_events(line: str) -> int:
    """Return where the last whole event of a line ends; 0 where there is none."""
    return max((end for _, end, _ in _events(line)), default=0)


def _events(line: str) -> Iterator[tuple[int, int, Mapping[str, object]]]:
    """Yield the events of a line with their start and end.

    A text before an event may hold braces, or be an event that was cut. What the decoder has read of that one is
    part of it, down to the error: no object inside it is an event. The error is found behind the next event's `{"`
    where the cut was inside a text.
    """
    shown = at = errors = 0
    while errors < _MOST_ERRORS and (match := _OBJECT.search(line, at)):
        start = match.start()
        try:
            event, at = _DECODER.raw_decode(line, start)
        except json.JSONDecodeError as error:
            at, errors = max(start + 1, error.pos - 2), errors + 1
            continue
        except RecursionError:
            return
        if _EVENT_FIELDS & event.keys() or not line[shown:start].strip():
            yield start, at, event
            shown = at


def _text(text: str) -> Iterator[Message]:
    if text := text.strip():
        yield Message(_shortened(text))


def tool_line(name: str, arguments: object) -> Message:
    """Return a tool call in one line, its arguments shortened."""
    words = arguments if isinstance(arguments, str) else _compact(arguments)
    return Message(
        f"[{beginning(name, _NAME_LENGTH)}] "
        f"{words if len(words) <= _ARGUMENT_LENGTH else beginning(words, _ARGUMENT_LENGTH - 1) + '…'}",
        progress=True,
    )


def error_line(words: str) -> Message:
    """Return an error that the CLI reports."""
    return Message(f"error: {_shortened(words)}")


def _compact(value: object) -> str:
    try:
        return json.dumps(value, ensure_ascii=False)
    except RecursionError:
        return "[deeply nested]"


def tool_output(text: str) -> Iterator[Message]:
    """Yield a tool's output for the log: encoded files are summarised, and the middle of a long text is left out."""
    if text.strip():
        yield Message(_shortened(_BLOB.sub(lambda blob: attachment("encoded data", len(blob[0])), text)))


def attachment(kind: str, size: int) -> str:
    """Return what the log shows in place of a file; `size` in characters of its encoded form."""
    return f"[{kind} of {size:,} characters left out]"


def _shortened(text: str) -> str:
    """Return a text without its middle where it is too long."""
    if len(text) <= SHOWN_HEAD + SHOWN_TAIL:
        return text
    head, tail = beginning(text, SHOWN_HEAD), ending(text, SHOWN_TAIL)
    left_out = len(text) - len(head) - len(tail)
    return f"{head}\n[{left_out:,} of {len(text):,} characters left out]\n{tail}"
