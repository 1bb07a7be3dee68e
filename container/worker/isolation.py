"""Who the agent's processes are: a uid of their own behind the launcher, or, on a laptop, our own descendants.

Everything that touches what the agent wrote runs through here as well, so the harness's uid never opens a file of the
agent's: a symbolic link leads nowhere that the agent could not go itself.
"""

import contextlib
import ctypes
import os
import signal
import subprocess
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

AGENT_UID = 10002
AGENT_PROCESSES = 1024
"""Processes and threads that the agent may have: below every engine's own limit, so that the harness can still act."""

_PR_SET_CHILD_SUBREAPER = 36


class IsolationError(Exception):
    """The agent's processes could not be ended."""


class UserIsolation:
    """The agent has a uid of its own; only the launcher, by its file capabilities, can become it."""

    def __init__(self, path: Path) -> None:
        self._prefix = [
            str(path),
            f"--reuid={AGENT_UID}",
            f"--regid={AGENT_UID}",
            "--clear-groups",
            "--bounding-set=-all",
            "--inh-caps=-all",
            "--ambient-caps=-all",
            "--no-new-privs",
            "--",
        ]

    def command(self, argv: Sequence[str]) -> list[str]:
        """Return the argv that runs `argv` as the agent's uid, with no way back."""
        return [*self._prefix, *argv]

    def agent_command(self, argv: Sequence[str]) -> list[str]:
        """Return the argv of the agent itself; out of memory the kernel takes it first, a fork bomb meets a limit.

        However many of its processes compute, the harness is on time with its heartbeats.
        """
        limits = ["choom", "-n", "1000", "--", "prlimit", f"--nproc={AGENT_PROCESSES}", "--core=0", "--"]
        return [*self._prefix, "nice", "-n", "10", *limits, *argv]

    def processes(self) -> list[int]:
        """Return the ids of the live processes of the agent's uid."""
        return [process.pid for process in _live_processes() if process.uid == AGENT_UID]

    def signal(self, number: signal.Signals) -> None:
        """Let a process of the agent's uid signal all others of that uid; nobody else may. It may not arrive."""
        kill = f"kill -{number.name.removeprefix('SIG')} -1"
        with contextlib.suppress(BlockingIOError):  # no process to be had at the moment: the caller looks and repeats
            subprocess.run(self.command(["bash", "-c", kill]), env={}, check=False, stderr=subprocess.DEVNULL)


class NoIsolation:
    """The agent has our uid: its processes are our descendants; `adopt_orphans` keeps them so."""

    def command(self, argv: Sequence[str]) -> list[str]:
        """Return `argv` as it is."""
        return list(argv)

    agent_command = command

    def processes(self) -> list[int]:
        """Return the ids of the live processes below this one."""
        table = list(_live_processes())
        found: list[int] = []
        parents = {os.getpid()}
        while parents:
            parents = {process.pid for process in table if process.parent in parents}
            found += parents
        return found

    def signal(self, number: signal.Signals) -> None:
        """Signal them one by one; one that forks meanwhile is reached by the next call."""
        for pid in self.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)


Isolation = UserIsolation | NoIsolation
"""How to run something as the agent, and how to find and signal all its processes."""


def adopt_orphans() -> None:
    """Make processes whose parent ended children of this one, so that none is out of sight."""
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def reap_orphans(keep: int) -> None:
    """Collect ended children that we adopted; `keep` is the one whose exit code the caller waits for."""
    while True:
        try:
            ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            return
        if ended is None or ended.si_pid == keep:
            return
        os.waitpid(ended.si_pid, 0)


def end_all(isolation: Isolation, keep: int, timeout: float = 10.0) -> None:
    """Kill every process of the agent until none is left. Raises `IsolationError` when one outlives `timeout`."""
    deadline = time.monotonic() + timeout
    while left := isolation.processes():
        if time.monotonic() > deadline:
            raise IsolationError(f"{len(left)} processes of the agent cannot be killed")
        isolation.signal(signal.SIGKILL)
        reap_orphans(keep)
        time.sleep(0.01)


def stream_as_agent(
    isolation: Isolation, argv: Sequence[str], *, environment: Mapping[str, str], timeout: float
) -> Iterator[bytes]:
    """Run a trusted program on the agent's files and yield what it prints.

    It is ended after `timeout` seconds, by a program of its own uid: ours may not. Raises
    `subprocess.CalledProcessError`, with the program's errors.
    """
    with _running(isolation, argv, environment, timeout, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None  # noqa: S101 - it was started with a pipe
        while chunk := os.read(process.stdout.fileno(), 65536):
            yield chunk


def feed_as_agent(
    isolation: Isolation, argv: Sequence[str], data: Iterable[bytes], *, environment: Mapping[str, str], timeout: float
) -> None:
    """As `stream_as_agent`, for a program that reads `data` and prints nothing."""
    with _running(isolation, argv, environment, timeout, stdin=subprocess.PIPE) as process:
        assert process.stdin is not None  # noqa: S101 - it was started with a pipe
        with contextlib.suppress(BrokenPipeError):  # it ended early: its exit code is the reason
            process.stdin.writelines(data)
            process.stdin.close()


@contextlib.contextmanager
def _running(
    isolation: Isolation,
    argv: Sequence[str],
    environment: Mapping[str, str],
    timeout: float,
    *,
    stdin: int = subprocess.DEVNULL,
    stdout: int = subprocess.DEVNULL,
) -> Iterator[subprocess.Popen[bytes]]:
    limited = isolation.command(["timeout", "--signal=KILL", f"{timeout:.0f}", *argv])
    with (
        os.fdopen(os.memfd_create("errors"), "w+b") as errors,  # in memory, as the agent may have filled the disk
        subprocess.Popen(limited, env=dict(environment), cwd="/", stdin=stdin, stdout=stdout, stderr=errors) as process,
    ):
        yield process
        if process.wait() != 0:
            errors.seek(0)
            raise subprocess.CalledProcessError(process.returncode, argv, stderr=errors.read())


class _Process(NamedTuple):
    pid: int
    parent: int
    uid: int


def _live_processes() -> Iterator[_Process]:
    """Yield all processes that run; what has ended and waits to be collected does not run."""
    for entry in os.scandir("/proc"):
        if not entry.name.isdigit():
            continue
        try:
            lines = Path(entry.path, "status").read_text(errors="replace").splitlines()
        except OSError:
            continue  # it ended meanwhile
        fields = dict(line.split(":", 1) for line in lines)
        # The owner of the folder in /proc would not do: it is root for a program that its user may not read.
        if fields["State"].split()[0] not in "ZX":
            yield _Process(int(entry.name), int(fields["PPid"]), int(fields["Uid"].split()[0]))
