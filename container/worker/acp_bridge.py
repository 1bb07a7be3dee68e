"""Lets a CLI that speaks the Agent Client Protocol work on one prompt, and prints what it reports as JSON lines.

It runs as the agent, with the standard library alone: `python -I acp_bridge.py PROGRAM [ARGUMENT...]`, the prompt on
standard input. The `type` of a line is `session`, `update` (of the session), `refused` (a tool that wanted permission),
and at the end `result` or `error` (agentclientprotocol.com, "Prompt Turn", protocol version 1). The exit code is the
program's. SIGTERM cancels the turn.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

Json = Mapping[str, Any]

DRAIN_SECONDS = 2.0
"""What is waited for output after the program's end: a process that it left may hold the pipe open."""
NOT_FOUND = 127
_METHOD_NOT_FOUND = -32601
_STEPS = ("initialize", "session/new", "session/prompt")
"""The requests of a run; the id of each is its place."""


class Bridge:
    """The client's side of one session: its requests, one after the other, and the responses to the program's."""

    def __init__(self, program: subprocess.Popen[bytes], prompt: str) -> None:
        """Take a program whose streams are pipes."""
        self._program = program
        self._prompt = prompt
        self._session = ""

    def run(self) -> None:
        """Serve the program until its output ends."""
        self._request(0)
        for line in _stream(self._program.stdout):
            message = _parsed(line)
            if message is None:
                sys.stdout.buffer.write(line)
                sys.stdout.buffer.flush()
            elif "method" not in message:
                self._response(message)
            elif "id" in message:
                self._requested(message)
            elif message["method"] == "session/update":
                _print("update", _object(_object(message.get("params")).get("update")))

    def cancel(self) -> None:
        """Cancel the turn."""
        self._send({"method": "session/cancel", "params": {"sessionId": self._session}})

    def _request(self, step: int) -> None:
        params: tuple[Json, ...] = (
            {"protocolVersion": 1, "clientCapabilities": {}, "clientInfo": {"name": "outpost", "version": "1"}},
            {"cwd": str(Path.cwd()), "mcpServers": []},
            {"sessionId": self._session, "prompt": [{"type": "text", "text": self._prompt}]},
        )
        self._send({"id": step, "method": _STEPS[step], "params": params[step]})

    def _response(self, message: Json) -> None:
        step, result = message.get("id"), message.get("result")
        if not isinstance(result, dict):
            error = message.get("error") or "a response without a result"
            _print("error", error if isinstance(error, dict) else {"message": str(error)})
        elif step == len(_STEPS) - 1:
            _print("result", result)
        elif isinstance(step, int) and 0 <= step < len(_STEPS) - 1:
            if "sessionId" in result:
                self._session = str(result["sessionId"])
                _print("session", {"id": self._session})
            self._request(step + 1)
            return
        else:
            return  # to no request of this side
        with contextlib.suppress(OSError):
            _stream(self._program.stdin).close()

    def _requested(self, message: Json) -> None:
        """Respond to the program: nobody is there to permit anything, and it reads files by itself."""
        if message["method"] != "session/request_permission":
            error = {"code": _METHOD_NOT_FOUND, "message": f"{message['method']} is not served"}
            self._send({"id": message["id"], "error": error})
            return
        params = _object(message.get("params"))
        _print("refused", _object(params.get("toolCall")))
        options = params.get("options")
        kinds = {
            str(option.get("kind")): option.get("optionId")
            for option in map(_object, options if isinstance(options, list) else [])
        }
        option = kinds.get("reject_once") or kinds.get("reject_always")
        outcome = {"outcome": "selected", "optionId": option} if option else {"outcome": "cancelled"}
        self._send({"id": message["id"], "result": {"outcome": outcome}})

    def _send(self, message: Json) -> None:
        with contextlib.suppress(OSError, ValueError):  # the program has ended, or has its result
            stream = _stream(self._program.stdin)
            stream.write(json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n")
            stream.flush()


def _stream(stream: IO[bytes] | None) -> IO[bytes]:
    assert stream is not None  # noqa: S101 - the program was started with pipes
    return stream


def _parsed(line: bytes) -> Json | None:
    """Return a message of the protocol; None for any other line."""
    try:
        message = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return message if isinstance(message, dict) and message.get("jsonrpc") == "2.0" else None


def _object(value: object) -> Json:
    """Return a value of the program's if it is an object, else an empty one."""
    return value if isinstance(value, dict) else {}


def _print(kind: str, fields: Json) -> None:
    sys.stdout.buffer.write(json.dumps({**fields, "type": kind}).encode() + b"\n")
    sys.stdout.buffer.flush()


def main(argv: list[str]) -> int:
    """Run the program to its end; returns its exit code as a shell does."""
    prompt = sys.stdin.buffer.read().decode(errors="replace")
    try:
        program = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    except OSError as error:
        print(f"{argv[0]} could not be started: {os.strerror(error.errno or 0)}", file=sys.stderr)
        return NOT_FOUND
    bridge = Bridge(program, prompt)
    signal.signal(signal.SIGTERM, lambda *_: bridge.cancel())
    reader = threading.Thread(target=bridge.run, daemon=True)
    reader.start()
    code = program.wait()
    reader.join(DRAIN_SECONDS)
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
