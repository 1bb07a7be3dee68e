"""What goes wrong in a step of an acceptance is a check that failed, never a traceback."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import boto3
import httpx
import pytest

from outpost.domain.agents import Agent
from outpost.report import Check
from outpost_ops.acceptance.runner import accept, guarded
from outpost_ops.acceptance.target import Target
from outpost_ops.acceptance.tools import check_tools
from outpost_ops.config import load
from outpost_ops.verify.deployed import Deployed, NotDeployedError, WrongAccountError
from tests.ports import free_port

Reply = Callable[[dict[str, Any]], tuple[int, str]]
"""Takes a request of the protocol; returns the status and the body of the response."""


@contextmanager
def serving(reply: Reply) -> Iterator[str]:
    """Serve POST requests on loopback; yields the URL."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            status, body = reply(request)
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_: object) -> None:
            """Stay silent."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def protocol_error(request: dict[str, Any]) -> tuple[int, str]:
    error = {"code": -32603, "message": "Internal error of the protocol"}
    return 200, json.dumps({"jsonrpc": "2.0", "id": request.get("id"), "error": error})


def other_content(request: dict[str, Any]) -> tuple[int, str]:
    """Let the session begin, then return tools' results without what they promise."""
    if "id" not in request:
        return 202, ""
    results: dict[str, Any] = {
        "initialize": {
            "protocolVersion": request.get("params", {}).get("protocolVersion", ""),
            "capabilities": {"tools": {}},
            "serverInfo": {"name": "other", "version": "1"},
        },
        "tools/call": {"content": [], "isError": False, "structuredContent": {"other": 1}},
        "tools/list": {"tools": []},
    }
    if request["method"] not in results:
        error = {"code": -32601, "message": "Method not found"}
        return 200, json.dumps({"jsonrpc": "2.0", "id": request["id"], "error": error})
    return 200, json.dumps({"jsonrpc": "2.0", "id": request["id"], "result": results[request["method"]]})


@pytest.mark.parametrize(
    ("reply", "evidence"),
    [
        (protocol_error, "Internal error of the protocol"),
        (lambda _: (500, "no"), "MCPError"),
        (lambda _: (200, "no JSON"), "Error"),
        (other_content, "KeyError: 'id'"),
    ],
    ids=["an error of the protocol", "an error of HTTP", "no JSON", "other content"],
)
def test_whatever_the_tools_endpoint_returns_is_a_finding(reply: Reply, evidence: str) -> None:
    with serving(reply) as url:
        check = check_tools(url, "otp_key", Agent.SHELL, None)

    assert check.status == "fail"
    assert evidence in " ".join(check.evidence)


def test_a_refused_connection_to_the_tools_is_a_finding() -> None:
    check = check_tools(f"http://127.0.0.1:{free_port()}", "otp_key", Agent.SHELL, None)

    assert check.status == "fail"
    assert "ConnectError" in " ".join(check.evidence)


@pytest.mark.parametrize(
    "error", [httpx.ReadError("closed"), KeyError("EventId"), OSError(28, "No space left"), RuntimeError("odd")]
)
def test_whatever_a_step_raises_is_a_check_that_failed(error: Exception) -> None:
    def step() -> list[Check]:
        raise error

    (check,) = guarded("deploy-time", step)

    assert (check.id, check.title, check.status) == ("deploy-time", "Deploy time", "fail")
    assert check.evidence == [f"{type(error).__name__}: {error}"]


def target(name: str) -> Target:
    """An environment of `config/`, in the account of the test's credentials, where nothing is deployed."""
    config = load(Path(__file__).resolve().parents[2] / "config" / f"{name}.toml")
    return Target(Deployed(config, boto3.Session(region_name=config.region)))


def test_nothing_is_done_with_credentials_of_another_account(aws: str) -> None:
    with pytest.raises(WrongAccountError, match=r"account 000000000000, config/prod\.toml names 333333333333"):
        accept(target("prod"), None, lambda _: None)


def test_an_environment_that_is_not_deployed_is_named(aws: str) -> None:
    with pytest.raises(NotDeployedError, match=r"no stack Outpost-local-\* in account 000000000000"):
        accept(target("local"), None, lambda _: None)
