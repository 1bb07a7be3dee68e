"""Watching dispatches live: one poller for each watched dispatch, however many watch it.

The poller re-reads the row; log chunks never change once written, so all watchers of a dispatch share those they read.
A watcher is nothing but a cursor in the stream: a slow one reads later, a vanished one leaves nothing behind.
"""

import asyncio
import re
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import Self

import structlog
from botocore.exceptions import BotoCoreError, ClientError
from cachetools import LRUCache

from control_plane.errors import ApiError, too_many
from control_plane.services.log_reader import Position
from outpost.domain.artifacts import LogLine
from outpost.domain.dispatch import Dispatch, Status

logger = structlog.get_logger()

POLL_SECONDS = 0.6
"""A change of status reaches a watcher within a second, also when the read takes some of it."""
SHARED_CHUNKS = 32
"""Chunks that the watchers of one dispatch share; who lags farther behind reads for itself."""

STREAMS_PER_KEY = 256
STREAMS = 2_048
"""Watchers that a replica serves at once: of one API key, and in all."""

ReadRow = Callable[[str], Awaitable[Dispatch | None]]
ReadChunk = Callable[[Dispatch, int], list[LogLine] | None]
Lines = list[LogLine] | None


@dataclass(frozen=True)
class Cursor:
    """How far a watcher has read: the last status, and all of the log before the position. The id of an event."""

    position: Position
    status: Status | None = None

    _FORM = re.compile(r"(\d{1,3})\.(\d{1,9})\.(\d{1,9})\.([a-z]*)")

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the cursor that an event's id names. Raises `ValueError`."""
        match = cls._FORM.fullmatch(text)
        if match is None or match[4] not in ("", *Status):
            raise ValueError("is not the id of an event: give the last `id:` as it was received, or leave it out")
        position = Position(int(match[1]), max(int(match[2]), 1), int(match[3]))
        return cls(position, Status(match[4]) if match[4] else None)

    def __str__(self) -> str:
        """Return the event id: attempt, chunk, line, state."""
        at = self.position
        return f"{at.attempt}.{at.chunk}.{at.line}.{self.status or ''}"


@dataclass(frozen=True)
class Event:
    """A change of state or a log line, and the cursor behind it."""

    cursor: Cursor
    what: Dispatch | LogLine


class DispatchStream:
    """One dispatch, kept up to date while somebody watches it."""

    def __init__(self, row: Dispatch, read_row: ReadRow, read_chunk: ReadChunk) -> None:
        self.watchers = 0
        self._row = row
        self._read_row = read_row
        self._read_chunk = read_chunk
        self._chunks: LRUCache[tuple[int, int], list[LogLine]] = LRUCache(SHARED_CHUNKS)
        self._reads: dict[tuple[int, int], asyncio.Task[Lines]] = {}
        self._looked = asyncio.Event()

    async def poll(self) -> None:
        """Read the row every 0.6 s until the dispatch has ended."""
        while not self._row.status.terminal:
            await asyncio.sleep(POLL_SECONDS)
            try:
                row = await self._read_row(self._row.id)
            except (BotoCoreError, ClientError) as error:
                logger.warning("a watched dispatch was not read; trying again", error=type(error).__name__)
                row = None
            self._update(row or self._row)

    def catch_up(self, row: Dispatch) -> None:
        """Take over a row that a watcher has read itself: no older state may follow it."""
        if row.version > self._row.version:
            self._update(row)

    def _update(self, row: Dispatch) -> None:
        if row.version > self._row.version:
            self._row = row
        # What was missing may be there by now; and once the row is final, all of its log is.
        self._reads = {}
        looked, self._looked = self._looked, asyncio.Event()
        looked.set()

    async def events(self, cursor: Cursor) -> AsyncGenerator[Event | None]:
        """Yield what happened after the cursor, until the end; None each time that there was nothing new."""
        while True:
            row, looked = self._row, self._looked
            if row.status is not cursor.status and not row.status.terminal:
                cursor = Cursor(cursor.position, row.status)
                yield Event(cursor, row)
            async for event in self._log(row, cursor):
                cursor = event.cursor
                yield event
            if row.status.terminal:
                yield Event(Cursor(cursor.position, row.status), row)
                return
            yield None
            await looked.wait()

    async def _log(self, row: Dispatch, cursor: Cursor) -> AsyncIterator[Event]:
        at = cursor.position
        while at.attempt <= row.attempt:
            lines = await self._chunk(at) if at.attempt else None
            if lines is None:
                if at.attempt == row.attempt:
                    return
                at = Position(at.attempt + 1)
                continue
            behind = Position(at.attempt, at.chunk + 1)
            for number, line in enumerate(lines[at.line :], at.line + 1):
                after = Position(at.attempt, at.chunk, number) if number < len(lines) else behind
                yield Event(Cursor(after, cursor.status), line)
            at = behind

    async def _chunk(self, at: Position) -> Lines:
        """Read a chunk once for all watchers; a missing one is requested once each time that the row is read."""
        key = at.attempt, at.chunk
        known = self._chunks.get(key)
        if known is not None:
            return known
        if key not in self._reads:
            self._reads[key] = asyncio.create_task(self._fetch(key, self._reads))
        # A watcher that leaves must not end the read that others wait for.
        return await asyncio.shield(self._reads[key])

    async def _fetch(self, key: tuple[int, int], reads: dict[tuple[int, int], asyncio.Task[Lines]]) -> Lines:
        attempt, number = key
        row = self._row.model_copy(update={"attempt": attempt})
        lines = await asyncio.to_thread(self._read_chunk, row, number)
        if lines is not None:
            self._chunks[key] = lines
            reads.pop(key)  # only what is missing has to be remembered besides
        return lines


def _too_many_streams(message: str) -> ApiError:
    return too_many(f"{message}: end some, or read GET /dispatch/{{id}} from time to time.", 10)


class StreamRegistry:
    """The streams of this replica: one for each dispatch that is watched. Used on the event loop only."""

    def __init__(self, read_row: ReadRow, read_chunk: ReadChunk) -> None:
        self._new_stream = partial(DispatchStream, read_row=read_row, read_chunk=read_chunk)
        self._streams: dict[str, tuple[DispatchStream, asyncio.Task[None]]] = {}
        self._watchers: Counter[str] = Counter()
        self.closing = False
        """Set when the service ends: watchers then leave, and resume on another replica."""

    @contextmanager
    def admit(self, key: str) -> Iterator[None]:
        """Count a watcher of an API key. Raises `ApiError`: 429 when the key, or the replica, has too many."""
        if self._watchers[key] >= STREAMS_PER_KEY:
            raise _too_many_streams(f"The API key watches {STREAMS_PER_KEY} dispatches on this replica already")
        if self._watchers.total() >= STREAMS:
            raise _too_many_streams(f"This replica serves {STREAMS} watchers already")
        self._watchers[key] += 1
        try:
            yield
        finally:
            self._watchers[key] -= 1
            if not self._watchers[key]:
                del self._watchers[key]

    @asynccontextmanager
    async def open(self, row: Dispatch) -> AsyncIterator[DispatchStream]:
        """Yield the stream of a dispatch; its poller ends with its last watcher."""
        if row.id not in self._streams:
            stream = self._new_stream(row)
            self._streams[row.id] = stream, asyncio.create_task(stream.poll())
        stream, poller = self._streams[row.id]
        stream.catch_up(row)
        stream.watchers += 1
        try:
            yield stream
        finally:
            stream.watchers -= 1
            if not stream.watchers:
                del self._streams[row.id]
                poller.cancel()
                with suppress(asyncio.CancelledError):
                    await poller
