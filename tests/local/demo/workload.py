"""What the demonstration app's tasks run: a small web service, and jobs that end, linger or refuse to end."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import boto3


def describe() -> dict[str, Any]:
    """Who this task is: its role session and what its metadata endpoint says."""
    with urllib.request.urlopen(os.environ["ECS_CONTAINER_METADATA_URI_V4"] + "/task") as response:  # noqa: S310
        metadata = json.load(response)
    return {
        "caller": boto3.client("sts").get_caller_identity()["Arn"],
        "task": metadata["TaskARN"],
        "image": os.environ["DEMO_IMAGE"],
        "setting": os.environ.get("DEMO_SETTING"),
        "secret": os.environ.get("DEMO_SECRET"),
        "home": os.environ["HOME"],
    }


class Handler(BaseHTTPRequestHandler):
    """Answers every GET with `describe()`."""

    def do_GET(self) -> None:
        body = json.dumps({"path": self.path, **describe()}).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def exit_with(code: int) -> None:
    """End with this code on SIGTERM."""

    def end(*_: object) -> None:
        print("terminated", flush=True)
        os._exit(code)

    signal.signal(signal.SIGTERM, end)


def prepare_for_sigterm(command: str, arguments: list[str]) -> None:
    """End as the command says, or not at all."""
    if command in {"serve", "linger"}:
        exit_with(int(arguments[0]) if arguments else 0)
    elif command == "stubborn":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)


def serve(*_: str) -> None:
    """Answer requests until the end."""
    host = os.environ.get("OUTPOST_BIND_HOST", "0.0.0.0")  # noqa: S104 - in a container of its own
    ThreadingHTTPServer((host, 8080), Handler).serve_forever()


def write(*texts: str) -> None:
    """Write each text by itself, without anything between."""
    for text in texts:
        os.write(1, text.encode())


def write_long(length: str) -> None:
    """Write one long line that does not end, of characters of two bytes."""
    os.write(1, "é".encode() * int(length))


def stubborn(*_: str) -> None:
    """Start a child in a session of its own, which a signal to the process group would not reach, and stay."""
    subprocess.Popen(["/bin/sleep", "600"], start_new_session=True)
    time.sleep(600)


def devour(*_: str) -> None:
    """Take memory without end."""
    hoard = []
    while True:
        hoard.append(bytearray(16 * 1024 * 1024))


COMMANDS: dict[str, Callable[..., object]] = {
    "serve": serve,
    "exit": lambda code: sys.exit(int(code)),
    "identify": lambda: print(json.dumps(describe()), flush=True),
    "write": write,
    "write-long": write_long,
    "stubborn": stubborn,
    "linger": lambda *_: time.sleep(600),
    "devour": devour,
}


if __name__ == "__main__":
    command, *arguments = sys.argv[1:]
    prepare_for_sigterm(command, arguments)
    print(f"demo {command} started", flush=True)
    COMMANDS[command](*arguments)
