"""The first process of a task run without a container engine: what a PID namespace does, in plain processes.

Started as `python -I -S task_init.py <lifeline fd> <command> [argument...]`; needs nothing but the standard library
(and of it little: it starts once per task). It
- adopts every orphan of the task (Linux's child subreaper), so nothing escapes by double fork or a session of its own;
- forwards SIGTERM to the command only, as an engine signals PID 1 only;
- ends everything left when the command ends, and exits with the command's code (128 + n when a signal n ended it);
- ends everything when the lifeline pipe closes, which happens when the embedded AWS itself is killed.
"""

import ctypes
import os
import select
import signal
import sys
from pathlib import Path

PR_SET_CHILD_SUBREAPER = 36


def descendants(root: int) -> list[int]:
    """Return every process below `root`, read from /proc."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                stat = (entry / "stat").read_text()
            except OSError:
                continue  # it ended meanwhile
            parent = int(stat.rpartition(")")[2].split()[1])
            children.setdefault(parent, []).append(int(entry.name))
    found: list[int] = []
    queue = [root]
    while queue:
        below = children.get(queue.pop(), [])
        found += below
        queue += below
    return found


def _send(pids: list[int], number: int) -> None:
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            continue


def _reap_all() -> None:
    """Kill and collect descendants until there are none; a process that forks meanwhile is met again."""
    while True:
        _send(descendants(os.getpid()), signal.SIGKILL)
        try:
            os.waitpid(-1, 0)
        except ChildProcessError:
            return


def _collect(command: int) -> int | None:
    """Reap what has ended; return the command's exit code once it is among them."""
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return 1
        if pid == 0:
            return None
        if pid == command:
            code = os.waitstatus_to_exitcode(status)
            return code if code >= 0 else 128 - code


def main() -> int:
    """Run the command; return its exit code."""
    lifeline, argv = int(sys.argv[1]), sys.argv[2:]
    os.set_inheritable(lifeline, False)
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    wakeup_read, wakeup_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.set_wakeup_fd(wakeup_write)
    terminations: list[int] = []
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.signal(signal.SIGTERM, lambda number, _frame: terminations.append(number))
    command = os.posix_spawnp(argv[0], argv, os.environ, setsigdef=[signal.SIGTERM, signal.SIGCHLD, signal.SIGPIPE])
    while True:
        readable, _, _ = select.select([wakeup_read, lifeline], [], [])
        if wakeup_read in readable:
            os.read(wakeup_read, 4096)
        while terminations:
            _send([command], terminations.pop())
        code = 128 + signal.SIGKILL if lifeline in readable else _collect(command)
        if code is not None:
            _reap_all()
            return code


if __name__ == "__main__":
    sys.exit(main())
