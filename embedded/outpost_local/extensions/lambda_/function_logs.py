"""An invocation's log has everything that the function wrote, and nothing that another invocation wrote.

MiniStack's worker waits 50 ms for a first line of standard error, and from then on until 5 ms pass without one: what a
loaded machine delivers later stands in the log of the next invocation, or in none when the process is replaced.
"""

import os
import select
import threading
from collections.abc import Callable
from subprocess import Popen
from typing import Any

from ministack.core import lambda_runtime

from outpost_local.extensions.patch import around

_READ_BYTES = 65536


class ErrorPipe:
    """The standard error of a process; what it wrote before it answered can be taken as soon as it has answered."""

    def __init__(self, process: "Popen[str]") -> None:
        assert process.stderr is not None  # noqa: S101 - MiniStack starts it with a pipe
        self._stream = process.stderr  # closed with this object
        self._written = bytearray()
        self._ended = False
        self._lock = threading.Lock()
        os.set_blocking(self._stream.fileno(), False)

    def pump(self) -> None:
        """Read until the end, so that the process never waits for a reader."""
        while not self._ended:
            select.select([self._stream], [], [])
            with self._lock:
                self._read()

    def take(self) -> str:
        """Return everything written until now that was not taken yet."""
        with self._lock:
            self._read()
            taken = self._written.decode(errors="replace")
            self._written.clear()
        return taken

    def _read(self) -> None:
        while not self._ended:
            try:
                piece = os.read(self._stream.fileno(), _READ_BYTES)
            except BlockingIOError:
                return
            self._written += piece
            self._ended = not piece


class LoggedWorker(lambda_runtime.Worker):  # type: ignore[misc] # MiniStack is untyped
    """A worker whose responses have the whole log, also when its process did not start, failed or was ended."""

    _errors: ErrorPipe | None = None
    _process: "Popen[str] | None" = None

    @property
    def _proc(self) -> "Popen[str] | None":
        return self._process

    @_proc.setter
    def _proc(self, process: "Popen[str] | None") -> None:
        self._process = process
        if process is not None:  # the pipe of an ended process is read once more
            self._errors = ErrorPipe(process)

    def invoke(self, *arguments: Any, **options: Any) -> dict[str, Any]:
        """Return the response; a process that did not start is an error with its log, no exception."""
        try:
            response: dict[str, Any] = super().invoke(*arguments, **options)
        except RuntimeError as error:
            return {"status": "error", "error": str(error), "cold_start": True, "log": self._drain_stderr()}
        if "log" not in response:
            response["log"] = self._drain_stderr()
        return response

    def _read_stderr(self) -> None:
        if self._errors:
            self._errors.pump()

    def _drain_stderr(self) -> str:
        return self._errors.take() if self._errors else ""

    def _drain_stderr_bounded(self, *_waits: float) -> str:
        return self._drain_stderr()


def _choose(choose: Callable[[Any], type], config: dict[str, Any]) -> type:
    """Return our class for Python and Node.js; functions of other runtimes keep theirs."""
    chosen = choose(config)
    return LoggedWorker if chosen is lambda_runtime.Worker else chosen


PATCHES = (around("core.lambda_runtime._worker_class_for", _choose, "lines are waited for"),)
