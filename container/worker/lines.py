"""Bytes of a terminal program to clean lines of text: bounded, printable, valid."""

import re
from collections.abc import Iterator

MAX_LINE_BYTES = 16 * 1024
MAX_EVENT_BYTES = 32 * 1024 * 1024
"""Of a line that is read as one JSON event: CLIs print whole files, in base64, in one."""

_LOOK_BACK = 4 * 1024
# ANSI sequences (colours, titles) whole, then what is left of control characters, bidirectional overrides and BOMs.
# An unfinished sequence loses its escape alone: an event may follow it, whose `{` would be the end of one.
_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-z|}~]|\][^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)|[ -/]*[0-Z\\^_])")
_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff]")
# A key never contains one of these, so a cut behind one never halves a key.
_CUT = re.compile(rb"[^A-Za-z0-9+/=._\x80-\xff-]")
_CUT_OF_TEXT = re.compile(r"[^\w+/=.-]", re.ASCII)
"""The same in text."""


def cut_position(data: bytes, limit: int) -> int:
    """Return where to cut `data` at `limit` or a little before: not inside a key, and never inside a character."""
    start = max(0, limit - _LOOK_BACK)
    if match := _CUT.search(data[start:limit][::-1]):
        return limit - match.start()
    while limit > 1 and data[limit] & 0xC0 == 0x80:
        limit -= 1
    return limit


def beginning(text: str, length: int) -> str:
    """Return a text, or its beginning of up to `length` characters, cut where no key is halved.

    What is redacted later would not know the half of one.
    """
    head = text[:length]
    cut = _CUT_OF_TEXT.search(head[::-1]) if len(text) > length else None
    return head[: length - cut.start()] if cut else head


def ending(text: str, length: int) -> str:
    """Return a text, or its end of up to `length` characters, cut where no key is halved."""
    tail = text[-length:]
    cut = _CUT_OF_TEXT.search(tail) if len(text) > length else None
    return tail[cut.start() :] if cut else tail


class LineSplitter:
    """Splits a stream of bytes into lines of at most 16 KB; longer ones are cut."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> Iterator[str]:
        """Yield the lines that `data` completes."""
        *complete, self._rest = (self._rest + data).split(b"\n")
        for line in complete:
            yield from _clean(line)
        while len(self._rest) > MAX_LINE_BYTES:
            position = cut_position(self._rest, MAX_LINE_BYTES)
            piece, self._rest = self._rest[:position], self._rest[position:]
            yield from _clean(piece)

    def finish(self) -> Iterator[str]:
        """Yield what is left at the end of the stream."""
        if self._rest:
            yield from _clean(self._rest)
        self._rest = b""


class EventSplitter:
    """Splits a stream of bytes into whole lines, of up to `MAX_EVENT_BYTES`; a longer one is replaced by a note.

    No JSON contains what `printable` removes: a BOM, or a terminal's sequences, before an event is no part of it.
    """

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._size = 0

    def feed(self, data: bytes) -> Iterator[str]:
        """Yield the lines that `data` completes."""
        *complete, rest = data.split(b"\n")
        for piece in complete:
            self._add(piece)
            yield from self.finish()
        self._add(rest)

    @property
    def unfinished(self) -> str:
        """The line that has no end so far; "" where it is too long, or there is none."""
        return printable(b"".join(self._pieces))

    @unfinished.setter
    def unfinished(self, rest: str) -> None:
        self._pieces, self._size = [rest.encode()], len(rest.encode())

    def finish(self) -> Iterator[str]:
        """Yield what is left at the end of the stream."""
        if self._size > MAX_EVENT_BYTES:
            yield f"[a line of {self._size:,} bytes left out]"
        elif self._pieces:
            for part in b"".join(self._pieces).rstrip(b"\r").split(b"\r"):
                yield printable(part)
        self._pieces, self._size = [], 0

    def _add(self, piece: bytes) -> None:
        self._size += len(piece)
        if self._size > MAX_EVENT_BYTES:
            self._pieces = []
        elif piece:
            self._pieces.append(piece)


def lines_of(text: str) -> list[str]:
    """Return the lines of a text that an agent's CLI sent in a form of its own, as clean as those that it prints."""
    splitter = LineSplitter()
    return [*splitter.feed(text.encode("utf-8", "replace") + b"\n")]


def _clean(line: bytes) -> Iterator[str]:
    while len(line) > MAX_LINE_BYTES:
        position = cut_position(line, MAX_LINE_BYTES)
        yield from _clean(line[:position])
        line = line[position:]
    # A progress bar rewrites its line by carriage returns: each state is a line.
    for part in line.rstrip(b"\r").split(b"\r"):
        yield printable(part)


def printable(data: bytes) -> str:
    """Return the text of some bytes without anything that a terminal or a log reader would act on."""
    return _CONTROLS.sub("", _ESCAPES.sub("", data.decode("utf-8", errors="replace")))
