"""Runs the agent under its limits and takes its output; nothing of it is left when this returns."""

import contextlib
import os
import select
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import IO

import structlog

from worker.adapters.base import Invocation, StartError
from worker.agent_output import AgentOutput
from worker.isolation import Isolation, end_all, reap_orphans
from worker.stop import Cause, StopSignal

DISK_RESERVE_BYTES = 256 * 1024 * 1024
"""An agent that leaves less than this is stopped: the harness still has to collect and upload what there is."""
DISK_RESERVE_FILES = 65_536
"""The same for inodes: git makes one for each of the 50,000 new files that a patch may have."""
HELD_BYTES = 64 * 1024 * 1024
_LOOK_SECONDS = 1.0
GRACE_SECONDS = 10.0
"""Between the request to end and the end by force."""
EXIT_SECONDS = 10.0
"""What the process may take to exit after its final event."""
PAUSE_SECONDS = 1.0
"""Of standard output, after which its last line counts as it is."""
_POLL_SECONDS = 0.05
_MEMORY_EVENTS = (Path("/sys/fs/cgroup/memory.events"), Path("/sys/fs/cgroup/memory/memory.oom_control"))

_log = structlog.get_logger()


class HeldRoom:
    """Room on the disk that an agent cannot take, however fast it writes: a file, deleted to collect its results."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def take(self) -> None:
        """Hold `HELD_BYTES`, if the disk has them."""
        try:
            with self._file.open("wb") as file:
                os.posix_fallocate(file.fileno(), 0, HELD_BYTES)
        except OSError as error:
            _log.warning("no room on the disk is held for the results", error=str(error))

    def release(self) -> None:
        """Give the room back."""
        self._file.unlink(missing_ok=True)


class Limit(Enum):
    """Which limit an agent went over."""

    TIME = "time"
    SILENCE = "silence"
    DISK = "disk"


class Watchdog:
    """Compares one run with its limits, in seconds and bytes; no silence limit: None."""

    def __init__(
        self, time_limit: float, silence_limit: float | None, directory: Path, disk_reserve: int = DISK_RESERVE_BYTES
    ) -> None:
        self._ends = time.monotonic() + time_limit
        self._silence_limit = silence_limit
        self._directory = directory
        self._disk_reserve = disk_reserve
        self._looked = time.monotonic()

    def exceeded(self, silent_since: float) -> Limit | None:
        """Return the limit that is exceeded now, or None. The agent has printed nothing since `silent_since`."""
        at = time.monotonic()
        if at >= self._ends:
            return Limit.TIME
        if self._silence_limit is not None and at - silent_since >= self._silence_limit:
            return Limit.SILENCE
        if at - self._looked >= _LOOK_SECONDS:
            self._looked = at
            if self.disk_is_full():
                return Limit.DISK
        return None

    def disk_is_full(self) -> bool:
        """Return whether the disk has less left than the reserve, in bytes or inodes (some file systems count none)."""
        disk = os.statvfs(self._directory)
        few = disk.f_files > 0 and disk.f_favail < DISK_RESERVE_FILES
        return few or disk.f_bavail * disk.f_frsize < self._disk_reserve


@dataclass(frozen=True)
class AgentCommand:
    """What to execute. The environment is complete: nothing is inherited."""

    invocation: Invocation
    environment: Mapping[str, str]
    directory: Path
    time_limit: float
    """Seconds."""
    silence_limit: float | None = None
    """Seconds without a line of output after which it is stopped."""
    disk_reserve: int = DISK_RESERVE_BYTES


@dataclass(frozen=True)
class AgentEnd:
    """How the agent ended."""

    exit_code: int | None
    """As a shell reports it: 128 + n when signal n ended it. None: it was ended because it did not exit after its
    final event."""
    duration_seconds: float
    limit: Limit | None = None
    """The limit that it went over."""
    stopped: Cause | None = None
    out_of_memory: bool = False
    disk_full: bool = False
    """Whether the disk was full at its end."""
    waiting_for: str = ""
    """Where it went over a limit: what it was doing then, in a sentence without its full stop."""
    tool_running: bool = False
    """Where it went over a limit: whether it was running a tool then."""

    @property
    def by_itself(self) -> bool:
        """Whether nothing stopped it."""
        return self.stopped is None and self.limit is None


def run_agent(command: AgentCommand, isolation: Isolation, stop: StopSignal, output: AgentOutput) -> AgentEnd:
    """Run the agent to its end, one of its limits, or the request to stop. Raises `StartError`, `IsolationError`."""
    kills_before = _out_of_memory_kills()
    started = time.monotonic()
    process = _start(command, isolation, merged=output.merged)
    watchdog = Watchdog(command.time_limit, command.silence_limit, command.directory, command.disk_reserve)
    readers = [
        _reader(process.stdout, output.stdout, output.stdout_pauses),
        *([] if output.merged else [_reader(process.stderr, output.stderr)]),
    ]
    ended_by = _watch(process, stop, watchdog, output)
    stopped = ended_by if isinstance(ended_by, Cause) else None
    limit = ended_by if isinstance(ended_by, Limit) else None
    waiting_for, tool_running = (output.waiting_for(), bool(output.transcript.running_tools)) if limit else ("", False)
    by_itself = process.poll() is not None
    if not by_itself:
        _ask_to_end(process, isolation, stop)
    end_all(isolation, keep=process.pid)
    code = process.wait()
    exit_code = code if code >= 0 else 128 - code
    duration = time.monotonic() - started
    for reader in readers:
        reader.join(GRACE_SECONDS)
    output.close()
    return AgentEnd(
        exit_code=exit_code if by_itself or stopped or limit else None,
        duration_seconds=round(duration, 3),
        limit=limit,
        stopped=stopped,
        out_of_memory=_out_of_memory_kills() > kills_before,
        disk_full=watchdog.disk_is_full(),
        waiting_for=waiting_for,
        tool_running=tool_running,
    )


def _start(command: AgentCommand, isolation: Isolation, *, merged: bool) -> subprocess.Popen[bytes]:
    invocation, path = command.invocation, command.environment.get("PATH")
    program = invocation.program or invocation.argv[0]
    if shutil.which(program, path=path) is None:
        raise StartError(
            f"The agent's program {program!r} is not on the worker's PATH ({path}): in a container, build the "
            "image again; on a machine of your own, install it, then `make down` and `make up` with it on your PATH"
        )
    try:
        with invocation.stdin.open("rb") if invocation.stdin else contextlib.nullcontext(subprocess.DEVNULL) as stdin:
            return subprocess.Popen(
                isolation.agent_command(invocation.argv),
                env=dict(command.environment),
                cwd=command.directory,
                stdin=stdin,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT if merged else subprocess.PIPE,
                start_new_session=True,
            )
    except OSError as error:
        raise StartError(f"The agent could not be started: {error.strerror}") from error


def _watch(
    process: subprocess.Popen[bytes], stop: StopSignal, watchdog: Watchdog, output: AgentOutput
) -> Cause | Limit | None:
    """Wait, and return what must end the agent: None where it has ended, or its process outlives the final event."""
    while process.poll() is None:
        reap_orphans(keep=process.pid)
        if stop.cause is not None:
            return stop.cause
        if (finished_at := output.finished_at) is not None:
            if time.monotonic() - finished_at >= EXIT_SECONDS:
                return None
        elif limit := watchdog.exceeded(output.silent_since):
            return limit
        stop.wait(_POLL_SECONDS)
    return None


def _ask_to_end(process: subprocess.Popen[bytes], isolation: Isolation, stop: StopSignal) -> None:
    """Send SIGTERM and give the agent its grace, unless the lease is lost: then every second may do harm."""
    isolation.signal(signal.SIGTERM)
    deadline = time.monotonic() + GRACE_SECONDS
    while process.poll() is None and time.monotonic() < deadline and stop.cause is not Cause.LOST:
        reap_orphans(keep=process.pid)
        time.sleep(_POLL_SECONDS)


def _reader(
    stream: IO[bytes] | None, take: Callable[[bytes], object], pause: Callable[[], object] = lambda: None
) -> threading.Thread:
    """Start to hand on what the agent prints, until its last process closed the stream.

    `pause` is called once when nothing has come for `PAUSE_SECONDS`, and at the stream's end, which the process may
    outlive.
    """
    assert stream is not None  # noqa: S101 - it was started with a pipe

    def read() -> None:
        with stream:
            poll = select.poll()
            poll.register(stream, select.POLLIN)
            while data := os.read(stream.fileno(), 65536):
                take(data)
                if not poll.poll(PAUSE_SECONDS * 1_000):
                    pause()
            pause()

    thread = threading.Thread(target=read, name="agent-output", daemon=True)
    thread.start()
    return thread


def _out_of_memory_kills() -> int:
    """Return how many processes of this container the kernel has killed for want of memory."""
    for file in _MEMORY_EVENTS:
        if file.exists():
            counts = dict(line.split() for line in file.read_text().splitlines() if line.strip())
            return int(counts.get("oom_kill", 0))
    return 0
