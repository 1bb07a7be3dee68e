"""The journal of one run, in S3: the state of each step, and the holder of the lock.

Every write names the version it was made from (ETags), so that of two operators one is refused. Who runs a step holds
a lease and renews it; after a crash the lease runs out, or its holder is seen to be dead, and the step can be resumed.
"""

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Literal

from pydantic import Field

from outpost.domain.ids import now
from outpost_migration.monitor.documents import DocumentChangedError, Documents, Frozen
from outpost_ops.errors import OperationError


class LockedError(OperationError):
    """Another operator's step is running."""


LEASE = timedelta(seconds=90)
State = Literal["running", "pass", "fail", "inconclusive", "error", "rolled-back"]


class Holder(Frozen):
    """The operator whose step runs now."""

    operator: str
    host: str
    pid: int
    until: datetime

    @property
    def gone(self) -> bool:
        """Whether the lease ran out, or the holder was a process of this machine that is no more."""
        return self.until <= now() or (self.host == socket.gethostname() and not _alive(self.pid))


class Entry(Frozen):
    """Where one step stands."""

    state: State
    operator: str
    started_at: datetime
    ended_at: datetime | None = None
    attempts: int = 1
    report: str | None = None
    error: str | None = None

    def ended(self, state: State, at: datetime, *, report: str | None = None, error: str | None = None) -> "Entry":
        """Return the entry of the ended attempt."""
        return self.model_copy(update={"state": state, "ended_at": at, "report": report, "error": error})


class Content(Frozen):
    """The journal."""

    run: str
    environment: str
    entries: dict[str, Entry] = Field(default_factory=dict)
    holder: Holder | None = None


class Journal:
    """The journal of one run."""

    def __init__(self, documents: Documents, run: str, environment: str, operator: str) -> None:
        self._documents = documents
        self._operator = operator
        self._mutex = threading.Lock()
        self._is_held = False
        self._etag: str | None = None
        self.content = Content(run=run, environment=environment)
        """The journal as it was last read or written."""
        self.key = f"migration/{run}/journal.json"

    def read(self) -> Content:
        """Return the journal as it is now; while we hold the lock, as we wrote it last.

        What another operator who took the lock over wrote is not ours to go on from: our next write must raise.
        """
        with self._mutex:
            if not self._is_held and (found := self._documents.read(Content, self.key)):
                self.content, self._etag = found.value, found.etag
            return self.content

    @contextmanager
    def held(self, *, take_over: bool = False) -> Iterator[None]:
        """Hold the lock while the block runs. Raises LockedError while another operator's step runs.

        An error frees the lock. A crash cannot: the lease is left until it ends, or its holder is seen to be dead.
        """
        holder = self.read().holder
        if holder and not holder.gone and not take_over:
            raise LockedError(
                f"{holder.operator} runs a step on {holder.host} (process {holder.pid}); the lock is theirs until "
                f"{holder.until:%H:%M:%S} UTC. Wait, or take it over with --take-over if you know that they stopped"
            )
        self._change(holder=self._lease())
        self._is_held = True
        done = threading.Event()
        renewal = threading.Thread(target=self._renew, args=(done,), daemon=True)
        renewal.start()
        crashed = False
        try:
            yield
        except BaseException as error:
            crashed = not isinstance(error, Exception)
            raise
        finally:
            done.set()
            renewal.join()
            self._is_held = False
            if not crashed:
                self._change(holder=None)

    def set(self, step: str, entry: Entry) -> None:
        """Write where a step stands. Raises LockedError when the lock was lost."""
        self._change(entries={**self.content.entries, step: entry})

    def _change(self, **fields: object) -> None:
        """Change `holder`, which the renewal does too, or `entries`, which only the step's thread does."""
        with self._mutex:
            content = self.content.model_copy(update=fields)
            try:
                self._etag = self._documents.write(self.key, content, self._etag)
            except DocumentChangedError as error:
                raise LockedError(
                    f"another operator changed s3://{self._documents.bucket}/{self.key} in the meantime; nothing was "
                    "written. See who: outpost migrate status"
                ) from error
            self.content = content

    def _lease(self) -> Holder:
        return Holder(operator=self._operator, host=socket.gethostname(), pid=os.getpid(), until=now() + LEASE)

    def _renew(self, done: threading.Event) -> None:
        while not done.wait(LEASE.total_seconds() / 3):
            try:
                self._change(holder=self._lease())
            except LockedError:
                return  # the step's next write raises it again


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True
