"""How functions run: a few warm processes for each, the whole log of each invocation, network and file system.

MiniStack starts one process per concurrent call: twenty workers that call the broker at once would start twenty Python
processes on a laptop's two cores. Here a function has at most `WORKERS_PER_FUNCTION`; further callers wait for one, and
get Lambda's retryable TooManyRequestsException after `WAIT_SECONDS`. The bound is per function, so that a function that
calls another one can never hold what the other waits for. (The processes run the server's Python, the checkout's own.)

An invocation's log has everything that the function wrote, and nothing that another invocation wrote. MiniStack's
worker waits 50 ms for a first line of standard error, and from then on until 5 ms pass without one: what a loaded
machine delivers later stands in the log of the next invocation, or in none when the process is replaced.

CloudFormation's functions keep their network and their file system: MiniStack drops both.
"""

import os
import select
import threading
import time
from collections.abc import Callable
from subprocess import Popen
from typing import Any

from ministack.core import lambda_runtime
from ministack.services import lambda_svc

from outpost_local.extensions.cloudformation.handlers import Properties, after_write
from outpost_local.extensions.patch import around

WORKERS_PER_FUNCTION = 4
WAIT_SECONDS = 20.0
_freed = threading.Condition()


def _acquire(
    acquire: Callable[..., Any], name: str, config: Any, code: bytes, qualifier: str = "$LATEST", **_options: Any
) -> Any:
    deadline = time.monotonic() + WAIT_SECONDS
    with _freed:
        while True:
            worker, how = acquire(name, config, code, qualifier, max_concurrency=WORKERS_PER_FUNCTION)
            remaining = deadline - time.monotonic()
            if worker is not None or remaining <= 0:
                return worker, how
            _freed.wait(remaining)


def _release(release: Callable[[Any], None], worker: Any) -> None:
    release(worker)
    with _freed:
        _freed.notify_all()  # they wait for workers of different functions


_GAP = "Lambda processes are not bounded"


_READ_BYTES = 65536


class ErrorPipe:
    """The standard error of a process; what it wrote before its response can be taken with the response."""

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


def _place(name: str, props: Properties) -> None:
    config = lambda_svc._functions[name]["config"]
    if "VpcConfig" in props:
        config["VpcConfig"] = lambda_svc._vpc_config_with_id(props["VpcConfig"])
    if "FileSystemConfigs" in props:
        config["FileSystemConfigs"] = props["FileSystemConfigs"]


PATCHES = (
    around("services.lambda_svc.acquire_worker", _acquire, _GAP),
    around("services.lambda_svc.release_worker", _release, _GAP),
    around("core.lambda_runtime._worker_class_for", _choose, "lines are waited for"),
    *after_write("AWS::Lambda::Function", _place, "functions lose their network"),
)
