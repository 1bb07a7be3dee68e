"""Ends what a test run started when the run itself has ended, also when it was killed.

The embedded AWS and its git server are started detached, and what loses its parent lives on. So each runner marks what
it starts by an environment variable, which children inherit, and has a guard: a process that waits for the runner's end
and then ends whatever has the mark, with everything below it. Linux only; elsewhere nothing is guarded.
"""

import os
import select
import signal
import sys
import time
from pathlib import Path
from uuid import uuid4

import psutil

from outpost_local.settings import OWNER_MARKER

_TERMINATE_SECONDS = 6.0
"""Longer than the embedded AWS takes to end its tasks and containers."""
_KILL_SECONDS = 10.0
_GUARDED = sys.platform == "linux"


def start() -> None:
    """Mark what this process starts from now on, and start its guard; the first call counts."""
    mark = os.environ.get(OWNER_MARKER, "")
    if not _GUARDED or mark.startswith(f"{os.getpid()}-"):
        return
    mark = f"{os.getpid()}-{uuid4().hex}"
    unmarked = {name: value for name, value in os.environ.items() if name != OWNER_MARKER}
    environ = unmarked | {"PYTHONPATH": str(Path(__file__).parents[1])}
    argv = [sys.executable, "-m", "tests.guard", str(os.getpid()), mark]
    silent = [(os.POSIX_SPAWN_OPEN, descriptor, os.devnull, os.O_RDWR, 0) for descriptor in range(3)]
    os.posix_spawn(sys.executable, argv, environ, file_actions=silent, setsid=True)
    os.environ[OWNER_MARKER] = mark


def _wait_for_end(pid: int) -> None:
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    if os.getppid() == pid:  # else it has ended, and the id may be another process's
        select.select([descriptor], [], [])


def end_marked(mark: str) -> None:
    """End every process with the mark and everything below it: by SIGTERM first, then by SIGKILL."""
    for number, seconds in ((signal.SIGTERM, _TERMINATE_SECONDS), (signal.SIGKILL, _KILL_SECONDS)):
        known: set[psutil.Process] = set()
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            new = _find(mark) - known
            for process in new:
                _send(process, number)
            known |= new
            if not any(map(_runs, known)):
                return
            time.sleep(0.1)


def _find(mark: str) -> set[psutil.Process]:
    marked = [process for process in psutil.process_iter() if _has(process, mark)]
    return {*marked, *(child for process in marked for child in _children(process))}


def _has(process: psutil.Process, mark: str) -> bool:
    try:
        return process.environ().get(OWNER_MARKER) == mark
    except psutil.Error:
        return False


def _children(process: psutil.Process) -> list[psutil.Process]:
    try:
        return process.children(recursive=True)
    except psutil.Error:
        return []


def _runs(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def _send(process: psutil.Process, number: int) -> None:
    try:
        process.send_signal(number)
    except psutil.Error:
        return


if __name__ == "__main__":
    _wait_for_end(int(sys.argv[1]))
    end_marked(sys.argv[2])
