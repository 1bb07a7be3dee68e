"""Reading an attempt's log from its numbered chunks, which never change once written.

Each chunk is read by a call of its own, so that a long way into a log holds no thread, and ends when its client leaves.
"""

import asyncio
import time
from dataclasses import dataclass, replace

from cachetools import LRUCache

from outpost.domain.artifacts import LogLine
from outpost.domain.dispatch import Dispatch
from outpost.store.artifacts import Artifacts

CHUNKS_A_PAGE = 100
"""Chunks that one request reads at most; a page may be short and yet have more."""
READ_SECONDS = 2.0
"""How long one request reads chunks; the next continues where it stopped."""
CACHED_COUNTS = 100_000
CACHED_BYTES = 16 * 1024 * 1024
"""Of chunks: short pages then read each only once."""
LINE_BYTES = 500
"""What a line takes beside its message."""


@dataclass(frozen=True)
class Position:
    """A place in a dispatch's log: the next line to read."""

    attempt: int
    chunk: int = 1
    line: int = 0


@dataclass(frozen=True)
class LogPage:
    """Some lines, and where the log continues."""

    lines: list[LogLine]
    next: Position
    has_more: bool
    """Whether another page can be read now; a live dispatch may print more later, at `next`."""
    next_offset: int = 0
    """How many lines of the attempt are before `next`, for a page that was read by its offset."""


class LogReader:
    """Reads pages of logs. Used on the event loop only."""

    def __init__(self, artifacts: Artifacts) -> None:
        self._artifacts = artifacts
        self._counts: LRUCache[tuple[str, int, int], int] = LRUCache(CACHED_COUNTS)
        self._chunks: LRUCache[tuple[str, int, int], list[LogLine]] = LRUCache(CACHED_BYTES, _size)

    async def page(self, row: Dispatch, start: Position | None, limit: int) -> LogPage:
        """Return up to `limit` lines from `start` on; by default from the beginning of the current attempt.

        A position in an earlier attempt reads that attempt to its end and continues with the next one.
        """
        at = start or Position(row.attempt)
        lines: list[LogLine] = []
        deadline = time.monotonic() + READ_SECONDS
        for _ in range(CHUNKS_A_PAGE):
            chunk = await self._chunk(row, at.attempt, at.chunk)
            if chunk is None:
                if at.attempt >= row.attempt:
                    return LogPage(lines, at, has_more=False)
                at = Position(at.attempt + 1)
                continue
            taken = chunk[at.line : at.line + limit - len(lines)]
            lines += taken
            end = at.line + len(taken)
            at = Position(at.attempt, at.chunk + 1) if end >= len(chunk) else Position(at.attempt, at.chunk, end)
            if len(lines) == limit or time.monotonic() > deadline:
                break
        return LogPage(lines, at, has_more=True)

    async def page_at(self, row: Dispatch, offset: int, limit: int) -> LogPage:
        """Return up to `limit` lines after the first `offset` of the current attempt.

        An offset too far to reach in one request gives no lines, the same offset and `has_more`: asking again gets
        further, because the lengths of chunks that were passed are remembered.
        """
        at, passed, read = Position(row.attempt), 0, 0
        deadline = time.monotonic() + READ_SECONDS
        while passed < offset:
            length = self._counts.get((row.id, at.attempt, at.chunk))
            if length is None:
                chunk = await self._chunk(row, at.attempt, at.chunk)
                if chunk is None:
                    return LogPage([], at, has_more=False, next_offset=passed)
                length, read = len(chunk), read + 1
            if passed + length > offset:
                at = Position(at.attempt, at.chunk, offset - passed)
                break
            at, passed = Position(at.attempt, at.chunk + 1), passed + length
            if read == CHUNKS_A_PAGE or time.monotonic() > deadline:
                return LogPage([], at, has_more=True, next_offset=offset)
        page = await self.page(row, at, limit)
        return replace(page, next_offset=offset + len(page.lines))

    async def _chunk(self, row: Dispatch, attempt: int, number: int) -> list[LogLine] | None:
        if attempt == 0:
            return None
        place = row.id, attempt, number
        known = self._chunks.get(place)
        if known is not None:
            return known
        of_attempt = row.model_copy(update={"attempt": attempt})
        chunk = await asyncio.to_thread(self._artifacts.chunk, of_attempt, number)
        if chunk is not None:
            self._counts[place] = len(chunk)
            if _size(chunk) <= CACHED_BYTES:
                self._chunks[place] = chunk
        return chunk


def _size(chunk: list[LogLine]) -> int:
    return sum(LINE_BYTES + len(line.message) for line in chunk)
