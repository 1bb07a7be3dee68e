"""The long-running processes of an instance: started detached, found again, ended; never anybody else's.

A record in the data folder names a process by id and start time, and its environment must carry the instance's marker:
process ids are reused, and a record may be older than the last reboot.
"""

import json
import os
import socket
import subprocess
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil

from outpost_local.errors import PortInUseError
from outpost_local.settings import INSTANCE_MARKER, OWNER_MARKER

_TERMINATE_SECONDS = 15.0
_KILL_SECONDS = 5.0
_KEPT_LINES = 40

OnLine = Callable[[str], None]
"""Gets each line of progress."""


@dataclass(frozen=True)
class Record:
    """What identifies a process of ours, and with what it was started."""

    pid: int
    started: float
    port: int
    detail: str = ""
    git_port: int = 0
    """Where the server expects the git server."""


def start(
    name: str,
    argv: Sequence[str],
    *,
    data_dir: Path,
    port: int,
    log: Path,
    env: Mapping[str, str],
    detail: str = "",
    git_port: int = 0,
) -> psutil.Process:
    """Start a process that outlives this one, with its output in `log`, and record it as `name`."""
    log.parent.mkdir(parents=True, exist_ok=True)
    create = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    pid = os.posix_spawnp(
        argv[0],
        list(argv),
        {**env, INSTANCE_MARKER: str(data_dir), OWNER_MARKER: os.environ.get(OWNER_MARKER, "")},
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, str(log), create, 0o644),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ],
        setsid=True,
    )
    process = psutil.Process(pid)
    record = Record(pid, process.create_time(), port, detail, git_port)
    _record_path(data_dir, name).write_text(json.dumps(asdict(record)))
    return process


def run_shown(argv: Sequence[str], on_line: OnLine, **options: Any) -> tuple[int, str]:
    """Run a command, with each line of its output to `on_line`; return its exit code and its last lines.

    `options` are those of subprocess.Popen.
    """
    last: deque[str] = deque(maxlen=_KEPT_LINES)
    pipe = subprocess.PIPE
    with subprocess.Popen(
        argv, stdin=subprocess.DEVNULL, stdout=pipe, stderr=subprocess.STDOUT, text=True, **options
    ) as process:
        assert process.stdout is not None  # noqa: S101 - it was started with a pipe
        for line in process.stdout:
            last.append(line.rstrip())
            on_line(line.rstrip())
    return process.returncode, "\n".join(last)


def find(name: str, data_dir: Path) -> Record | None:
    """Return the recorded process if it is still ours and running."""
    try:
        record = Record(**json.loads(_record_path(data_dir, name).read_text()))
        process = psutil.Process(record.pid)
    except (FileNotFoundError, ValueError, TypeError, psutil.NoSuchProcess):
        return None
    same = abs(process.create_time() - record.started) < 1
    return record if same and _is_marked(process, data_dir) and _alive(process) else None


def end(name: str, data_dir: Path) -> None:
    """End the recorded process, if it runs, with SIGTERM; with SIGKILL when that takes too long."""
    record = find(name, data_dir)
    if record:
        _end([psutil.Process(record.pid)])
    _record_path(data_dir, name).unlink(missing_ok=True)


def end_leftovers(data_dir: Path) -> None:
    """End every process that carries the instance's marker, whatever its parent is now."""
    mine = {os.getpid(), *(parent.pid for parent in psutil.Process().parents())}
    _end([p for p in psutil.process_iter() if p.pid not in mine and _is_marked(p, data_dir)])


def marked(data_dir: Path, variable: str, value: str) -> Iterable[psutil.Process]:
    """Yield the instance's processes whose environment has `variable` set to `value`."""
    for process in psutil.process_iter():
        environ = _environ(process)
        if environ.get(INSTANCE_MARKER) == str(data_dir) and environ.get(variable) == value:
            yield process


def wait_for_port(port: int, process: psutil.Process, seconds: float = 120.0) -> bool:
    """Wait until something accepts connections on 127.0.0.1; return False if the process ended or the time is over."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and _alive(process):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return True
        time.sleep(0.05)
    return False


def check_port_free(port: int, variable: str) -> None:
    """Raise PortInUseError naming the variable of `make up` that chooses another port."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise PortInUseError(port, variable) from error


def _record_path(data_dir: Path, name: str) -> Path:
    return data_dir / f"{name}.process.json"


def _alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _is_marked(process: psutil.Process, data_dir: Path) -> bool:
    return _environ(process).get(INSTANCE_MARKER) == str(data_dir)


def _environ(process: psutil.Process) -> Mapping[str, str]:
    """Return a process's variables; none of one that has ended or is somebody else's."""
    try:
        environ: dict[str, str] = process.environ()
    except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
        return {}
    return environ


def _end(processes: Sequence[psutil.Process]) -> None:
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.terminate()
    for process in _wait(processes, _TERMINATE_SECONDS):
        with suppress(psutil.NoSuchProcess):
            process.kill()
    _wait(processes, _KILL_SECONDS)
    for process in processes:
        with suppress(ChildProcessError):  # children of this one are collected
            os.waitpid(process.pid, os.WNOHANG)


def _wait(processes: Sequence[psutil.Process], seconds: float) -> list[psutil.Process]:
    """Wait until none is alive; return those that still are.

    Not psutil's own wait: a process whose starter is gone may stay a zombie until the machine's init reaps it.
    """
    deadline = time.monotonic() + seconds
    alive = [process for process in processes if _alive(process)]
    while alive and time.monotonic() < deadline:
        time.sleep(0.02)
        alive = [process for process in alive if _alive(process)]
    return alive
