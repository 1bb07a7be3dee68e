#!/usr/bin/env python3
"""Any of the agents' CLIs, scriptable: takes the task as that CLI does, speaks as it does, and behaves as told.

The task's last line is `SCENARIO <name>`: so a scenario only runs when the task's text really arrived. Executed under
the CLI's name, on the agent's PATH; never imported.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

NAME = Path(sys.argv[0]).name
DONE = "The fake agent is done."


def read_task() -> str:
    """Take the task from where the real CLI takes it."""
    if NAME in ("claude", "codex", "gemini"):
        return sys.stdin.read()
    words = " ".join(sys.argv[1:])
    place = {"aider": r"--message-file=(\S+)", "grok": r"--prompt=.* file (\S+)\. "}.get(NAME, r"(\S+)$")
    found = re.search(place, words)
    assert found, words
    return Path(found[1]).read_text()


def say(text: str) -> None:
    """Say something in the CLI's own output format."""
    usage = {"input_tokens": 11, "cached_input_tokens": 1, "output_tokens": 7}
    result = {"type": "result", "subtype": "success", "is_error": False, "num_turns": 1, "result": text, "usage": usage}
    stats = {"input_tokens": 11, "output_tokens": 7, "cached": 1}
    events: dict[str, list[object]] = {
        "claude": [{"type": "assistant", "message": {"content": [{"type": "text", "text": text}]}}, result],
        "codex": [
            {"type": "item.completed", "item": {"id": "1", "type": "agent_message", "text": text}},
            {"type": "turn.completed", "usage": usage},
        ],
        "gemini": [
            {"type": "message", "role": "assistant", "content": text, "delta": True},
            {"type": "result", "status": "success", "stats": stats},
        ],
        "grok": [{"role": "assistant", "content": text}],
    }
    lines = [json.dumps(event) for event in events[NAME]] if NAME in events else [text]
    if NAME == "aider":
        lines.append("Tokens: 11 sent, 7 received.")
    print("\n".join(lines), flush=True)


def write(name: str = "result.txt") -> None:
    Path(name).write_text("written\n")


def success() -> None:
    write()
    say(DONE)


def hang_silently() -> None:
    write()
    time.sleep(1000)


def hang_noisily() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    write()
    while True:
        say("still here")
        time.sleep(0.05)


def endless_output() -> None:
    write()
    while True:
        sys.stdout.buffer.write(b"y\n" * 30_000)


def much_output() -> None:
    line = b"z" * 9_999 + b"\n"
    for _ in range(20_000):
        sys.stdout.buffer.write(line)
    sys.stdout.flush()
    success()


def invalid_utf8() -> None:
    sys.stdout.buffer.write(b"\xff\xfe broken \xc3\n")
    sys.stdout.flush()
    success()


def control_sequences() -> None:
    print("\x1b[2J\x1b]0;title\x07\x1b[31mred\x1b[0m\u202eesrever\x00\r\x08", flush=True)
    say(f"\x1b[31m{DONE}\x1b[0m\u202e")
    write()


def daemonises() -> None:
    write()
    subprocess.Popen(["/usr/bin/setsid", "/bin/sh", "-c", "trap '' TERM HUP; sleep 1000"], stdin=subprocess.DEVNULL)
    say(DONE)


def killed() -> None:
    write()
    say("memory is running out")
    os.kill(os.getpid(), signal.SIGKILL)


def writes_outside() -> None:
    Path("../outside.txt").write_text("x") if os.access("..", os.W_OK) else None
    Path(os.environ["HOME"], "at-home.txt").write_text("x")
    Path(os.environ["TMPDIR"], "in-tmp.txt").write_text("x")
    Path("link").symlink_to("/etc/passwd")
    success()


def deletes_git() -> None:
    shutil.rmtree(".git")
    success()


def commits() -> None:
    write()
    git = shutil.which("git") or "git"
    subprocess.run([git, "add", "--all"], check=True)
    subprocess.run([git, "commit", "--quiet", "--message", "by the agent"], check=True)
    say(DONE)


def does_nothing() -> None:
    pass


def half_an_event() -> None:
    print('{"type": "assistant", "message": {"content": [{"type": "text", "te', flush=True)
    success()


def a_large_event() -> None:
    write()
    say("large " * 20_000 + DONE)


SCENARIOS: dict[str, Callable[[], None]] = {
    name: thing
    for name, thing in list(globals().items())
    if callable(thing) and name not in ("read_task", "say", "write")
}


def main() -> int:
    """Do what the task says; `exit <n>` is written like this."""
    found = re.search(r"^SCENARIO (\w+)(?: (\d+))?$", read_task(), re.MULTILINE)
    assert found, "the task did not arrive"
    if found[1] == "exit":
        write()
        say(f"leaving with {found[2]}")
        return int(found[2])
    SCENARIOS[found[1]]()
    return 0


if __name__ == "__main__":
    sys.exit(main())
