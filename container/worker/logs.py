"""The log of a run: redacted lines, in numbered chunks that appear while it runs, and as one file at its end."""

import threading
import time
from collections import deque
from collections.abc import Sequence
from pathlib import Path

import structlog

from outpost.domain.artifacts import LogLine, LogSource, tail_of
from outpost.domain.ids import now
from worker.attempt_redactor import AttemptRedactor
from worker.stop import Stopped
from worker.store import AttemptStore, UploadError

CHUNK_SECONDS = 2.0
CHUNK_BYTES = 64 * 1024
BACKLOG_BYTES = 8 * 1024 * 1024
"""More than this unsent makes the agent wait for its output to be taken."""
OUTAGE_BACKLOG_BYTES = 64 * 1024 * 1024
"""The same while nothing can be stored: an outage of S3, or of the broker beyond the credentials' life."""

_LATEST_LINES = 500

_log = structlog.get_logger()


class RunLog:
    """Takes lines from any thread; sends them on a thread of its own. The agent's lines are kept in a file as well."""

    def __init__(self, store: AttemptStore, output: Path, redactor: AttemptRedactor) -> None:
        self._store = store
        self._redactor = redactor
        self._output = output.open("w", encoding="utf-8")
        self.progress: str | None = None
        """What the run is doing, for people."""
        self._latest: deque[str] = deque(maxlen=_LATEST_LINES)
        self._unsent: deque[bytes] = deque()
        self._unsent_bytes = 0
        self._sent_chunks = 0
        self._backlog_bytes = BACKLOG_BYTES
        self._closing = False
        self._abandoned = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._send_until_closed, name="log-chunks", daemon=True)
        self._thread.start()

    def event(self, message: str, level: str = "info") -> None:
        """Add an event of the harness, which is the run's progress as well."""
        (self.progress,) = self.write(LogSource.EXECUTOR, [message], level)

    def write(self, source: LogSource, messages: Sequence[str], level: str = "info") -> list[str]:
        """Add lines in order, and return them without their secrets; the agent's wait while too much is unsent."""
        clean = self._redactor.lines(source, messages)
        for line in clean:
            self._add(source, line, level)
        return clean

    def _add(self, source: LogSource, clean: str, level: str) -> None:
        line = LogLine(timestamp=now(), level=level, source=source, message=clean)
        encoded = line.model_dump_json().encode() + b"\n"
        if source is LogSource.AGENT:
            self._keep(clean)
        with self._changed:
            self._latest.append(clean)
            if source is LogSource.AGENT:
                self._changed.wait_for(lambda: self._unsent_bytes < self._backlog_bytes or self._abandoned)
            self._unsent.append(encoded)
            self._unsent_bytes += len(encoded)
            self._changed.notify_all()

    @property
    def tail(self) -> str:
        """The last lines, of whatever source."""
        with self._changed:
            latest = list(self._latest)
        return tail_of(latest)

    def close(self, timeout: float) -> None:
        """Send the rest. Raises `UploadError` when that takes longer than `timeout` seconds."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._thread.join(timeout)
        try:
            self._output.close()
        except OSError as error:
            _log.warning("the output's file is not complete; the log chunks are", error=str(error))
        if self._thread.is_alive() or self._unsent:
            self.abandon()
            raise UploadError(f"the log's last {self._unsent_bytes} bytes were not stored within {timeout:.0f} s")

    def _keep(self, line: str) -> None:
        """Write to the output's file, as long as the agent leaves it room: the chunks do not need it."""
        try:
            self._output.write(line + "\n")
        except OSError as error:
            _log.warning("a line is not in the output's file; it is in the log chunks", error=str(error))

    def abandon(self) -> None:
        """Send nothing more; lines are dropped from now on."""
        with self._changed:
            self._abandoned = True
            self._changed.notify_all()

    def _send_until_closed(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._unsent or self._closing or self._abandoned)
                self._changed.wait_for(self._is_due, timeout=CHUNK_SECONDS)
                if self._abandoned or not self._unsent:
                    return
                chunk = self._take_chunk()
            if not self._send(b"".join(chunk)):
                return
            with self._changed:
                self._unsent_bytes -= sum(map(len, chunk))
                self._changed.notify_all()

    def _is_due(self) -> bool:
        return self._unsent_bytes >= CHUNK_BYTES or self._closing or self._abandoned

    def _take_chunk(self) -> list[bytes]:
        chunk: list[bytes] = []
        size = 0
        while self._unsent and size < CHUNK_BYTES:
            chunk.append(self._unsent.popleft())
            size += len(chunk[-1])
        return chunk

    def _send(self, body: bytes) -> bool:
        """Store the next chunk, trying until it is stored or nothing may be sent any more."""
        while not self._abandoned:
            try:
                self._store.put_chunk(self._sent_chunks + 1, body)
            except Stopped:
                self.abandon()
            except UploadError as error:
                _log.warning("log chunk not stored; trying again", error=str(error))
                self._bound_backlog(OUTAGE_BACKLOG_BYTES)
                time.sleep(CHUNK_SECONDS)
            else:
                self._sent_chunks += 1
                self._bound_backlog(BACKLOG_BYTES)
                return True
        return False

    def _bound_backlog(self, size: int) -> None:
        with self._changed:
            self._backlog_bytes = size
            self._changed.notify_all()
