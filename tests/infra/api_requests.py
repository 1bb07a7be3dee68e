"""Requests that clients may make: every operation of the OpenAPI document, the MCP endpoint and the pages."""

import json
import runpy
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from control_plane.signing import Signer
from outpost.domain.artifacts import Artifact
from outpost.domain.ids import new_id
from outpost_local.waf.request import WebRequest

Headers = tuple[tuple[str, str], ...]
PROMPTS: list[dict[str, Any]] = json.loads((Path(__file__).parent / "prompts.json").read_text(encoding="utf-8"))
TASKS = [prompt["task"] for prompt in PROMPTS]
DOCUMENT: dict[str, Any] = runpy.run_path(str(Path(__file__).parents[2] / "tools" / "reference_pages.py"))["document"]()

_KEY = "otp_" + "0123456789abcdef" * 4
OURS: Headers = (("Host", "outpost.example.com"), ("User-Agent", "python-httpx/0.28.1"), ("Authorization", _KEY))
CLIENTS: tuple[Headers, ...] = (
    OURS,
    (("Host", "Outpost-prod-1234.eu-west-1.elb.amazonaws.com"), ("User-Agent", "curl/8.5.0"), ("X-API-Key", _KEY)),
    (("Host", "outpost.example.com"), ("User-Agent", "node"), ("Mcp-Protocol-Version", "2026-07-28")),
    (("Host", "outpost.example.com"), ("X-API-Key", _KEY)),  # some HTTP clients send no User-Agent
    (
        ("Host", "outpost.example.com"),
        ("User-Agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"),
        ("Referer", "https://outpost.example.com/docs"),
        ("Accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"),
        ("Cookie", "theme=dark; session=eyJhbGciOiJIUzI1NiJ9"),
    ),
    (
        *OURS,
        ("Idempotency-Key", "ci/main/run-42:deploy"),
        ("Last-Event-ID", "1.1.1."),
        ("X-Request-ID", "a/b=c"),
    ),
)


def _token(name: str) -> str:
    grant: dict[str, str | int] = {"id": new_id(), "tenant": "acme", "attempt": 1, "name": name, "until": 1_800_000_000}
    return Signer("secret").seal("artifact", (new_id(),), grant)


QUERIES: dict[str, list[str]] = {
    "status": ["running"],
    "agent": ["claude"],
    "repo": ["acme/website", "acme/website.com", "acme/rotate.log", "https://192.0.2.10/acme/app.git"],
    "since": ["2026-11-01T00:00:00Z"],
    "until": ["2026-11-01T00:00:00+01:00"],
    "tag": [f"task:{task}"[:321] for task in TASKS],
    "cursor": [Signer("secret").seal("dispatches", ("acme",), {"before": new_id()})],
    "limit": ["100"],
    "logLimit": ["1000"],
    "logOffset": ["20000"],
    "expiresIn": ["3600"],
    "groupBy": ["day", "tenant", "agent", "model"],
    "tenant": ["acme", "*"],
    "token": [_token(name) for name in Artifact],
}
"""Every query parameter -> values that it may have."""
PATHS = {"key_id": [new_id()]}
"""Path parameters without examples in the document -> values that they may have."""


def operations() -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield method, path and description of each operation. Raises `KeyError` naming an unknown path parameter."""
    for path, methods in DOCUMENT["paths"].items():
        for method, operation in methods.items():
            parameters = {each["name"]: each["schema"] for each in _parameters(operation, "path")}
            named = {name: (schema.get("examples") or PATHS[name])[0] for name, schema in parameters.items()}
            yield method.upper(), path.format(**named), operation


def _parameters(operation: dict[str, Any], place: str) -> Iterator[dict[str, Any]]:
    return (each for each in operation.get("parameters", ()) if each["in"] == place)


def queries(operation: dict[str, Any]) -> Iterator[str]:
    """Yield the query with each value alone, and the longest one. Raises `KeyError` naming an unknown parameter."""
    names = [parameter["name"] for parameter in _parameters(operation, "query")]
    yield ""
    for name in names:
        yield from (urlencode({name: value}) for value in QUERIES[name])
    longest = {name: max(QUERIES[name], key=len) for name in names if name != "tag"}
    tags = [("tag", f"{number:02}:" + "x" * 256) for number in range(20)] if "tag" in names else []
    yield urlencode([*longest.items(), *tags])


def bodies(operation: dict[str, Any]) -> Iterator[bytes]:
    """Yield the body with each task wherever it takes a text; nothing for an operation without a body."""
    for media in operation.get("requestBody", {}).get("content", {}).values():
        yield from (json.dumps(_with_text(media["example"], task)).encode() for task in TASKS)


def _with_text(value: Any, text: str) -> Any:  # noqa: ANN401 - any JSON
    if isinstance(value, dict):
        return {key: _with_text(each, text) for key, each in value.items()}
    if isinstance(value, list):
        return [_with_text(each, text) for each in value]
    return text if isinstance(value, str) else value


def legitimate_requests() -> Iterator[WebRequest]:
    """Yield requests of every kind."""
    for method, path, operation in operations():
        yield from (WebRequest(method, path, query, OURS) for query in queries(operation))
        yield from (WebRequest(method, path, "", OURS, body) for body in bodies(operation))
        yield from (WebRequest(method, path, "", headers) for headers in CLIENTS)
    for task in TASKS:
        call = {"name": "outpost_dispatch", "arguments": {"agent": "claude", "task": task}}
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": call}).encode()
        yield WebRequest("POST", "/mcp", "", OURS, body)
    for page in ("/docs", "/openapi.json", *(f"/docs/assets/{name}" for name in _ASSETS)):
        yield from (WebRequest("GET", page, "", headers) for headers in CLIENTS)


_ASSETS = ("swagger-ui-bundle.js", "swagger-ui.css", "favicon.png")
