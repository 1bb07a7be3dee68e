"""The one redactor of an attempt: log, summary, report and the worker's own log pass through it.

Results are searched for the same secrets (`worker.secret_scan`), and never changed.
"""

import threading
from collections.abc import Mapping, Sequence

from structlog.typing import EventDict

from outpost.domain.artifacts import LogSource
from outpost.redaction.known import KnownSecrets
from outpost.redaction.match import redact
from outpost.redaction.redactor import Redactor


class AttemptRedactor:
    """Takes out the attempt's secrets, and what has the format of one; used by many threads."""

    def __init__(self) -> None:
        self.known: dict[str, str] = {}
        """Name of a secret -> its value."""
        self._search = KnownSecrets({})
        self._streams = {source: Redactor() for source in LogSource}
        self._lock = threading.Lock()

    def register(self, secrets: Mapping[str, str]) -> None:
        """Take these values too, name -> value, out of all that is written from now on."""
        with self._lock:
            self.known = {**self.known, **secrets}  # in place of the one that other threads may be reading
            self._search = KnownSecrets(self.known)
            for stream in self._streams.values():
                stream.know(self.known)

    def lines(self, source: LogSource, lines: Sequence[str]) -> list[str]:
        """Return lines of the run's log that follow each other, without their secrets."""
        with self._lock:
            return self._streams[source].lines(lines)

    def text(self, text: str) -> str:
        """Return a text of its own without its secrets."""
        return Redactor(self.known).text(text)

    def process_event(self, _logger: object, _method: str, event: EventDict) -> EventDict:
        """Take the attempt's secrets out of an event of the worker's own log: a processor of structlog's."""
        search = self._search
        return {
            name: redact(value, [*search.find(value)]) if isinstance(value, str) else value
            for name, value in event.items()
        }
