"""Lambda's Invoke, S3 and SQS on loopback: a test decides how each request ends."""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal

import pytest

from outpost.domain.dispatch import Lease, Spec
from outpost.domain.protocol import Assignment, Credentials
from tests.conftest import CREDENTIALS
from tests.loopback import serving
from worker.clock import Clock

T0 = datetime(2026, 11, 28, tzinfo=UTC)
LIVE = {"live": True}

Payload = dict[str, Any]


@dataclass(frozen=True)
class Response:
    """A response in HTTP; status 0: none, the connection is closed."""

    status: int
    error: str = ""
    """The error's code, as Lambda names it."""
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b'{"Message": "no"}'


Respond = Callable[[Payload], Payload | Response]

THROTTLED = Response(429, "TooManyRequestsException")
UNAVAILABLE = Response(503, "ServiceException")
FAILED = Response(200, headers={"X-Amz-Function-Error": "Unhandled"}, body=b'{"errorType": "KeyError"}')
UNREADABLE = Response(200, body=b"{}")
HUNG_UP = Response(0)
DENIED = Response(403, "AccessDeniedException")


class Endpoint(ThreadingHTTPServer):
    """Passes what each request asks for to `respond`, on a thread of its own."""

    daemon_threads = True

    def __init__(self, respond: Respond) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.respond = respond
        self.requests: list[Payload] = []

    @property
    def ops(self) -> list[str]:
        """The operations that were requested, in their order."""
        return [request["op"] for request in self.requests]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # head and body in one packet: else the second waits for the first one's acknowledgement
    server: Endpoint

    def handle_expect_100(self) -> bool:
        continues = super().handle_expect_100()
        self.wfile.flush()
        return continues

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self._respond({"op": self.headers.get("X-Amz-Target", "")} | request)

    def do_PUT(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self._respond({"op": "put", "path": self.path, "token": self.headers["X-Amz-Security-Token"]})

    def do_GET(self) -> None:
        self._respond({"op": "get", "path": self.path})

    def do_HEAD(self) -> None:
        self._respond({"op": "head", "path": self.path})

    def _respond(self, request: Payload) -> None:
        self.server.requests.append(request)
        response = self.server.respond(request)
        whole = response if isinstance(response, Response) else Response(200, body=json.dumps(response).encode())
        if whole.status == 0:
            self.close_connection = True
            return
        self.send_response(whole.status)
        for name, value in {**whole.headers, "X-Amzn-ErrorType": whole.error, "ETag": "etag"}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(whole.body)))
        self.end_headers()
        self.wfile.write(whole.body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def service_at(
    respond: Respond, monkeypatch: pytest.MonkeyPatch, service: Literal["LAMBDA", "S3", "SQS"] = "LAMBDA"
) -> Iterator[Endpoint]:
    """Serve a service of AWS where its clients look for it."""
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    with serving(Endpoint(respond)) as endpoint:
        monkeypatch.setenv(f"AWS_ENDPOINT_URL_{service}", f"http://127.0.0.1:{endpoint.server_port}")
        yield endpoint


class VirtualTime:
    """A clock that moves only by sleeping."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.pauses: list[float] = []
        self.chance = 0.0
        self.clock = Clock(
            now=lambda: T0 + timedelta(seconds=self.seconds),
            monotonic=lambda: self.seconds,
            sleep=self.sleep,
            random=lambda: self.chance,
        )

    def sleep(self, seconds: float) -> None:
        """Move the time on."""
        self.pauses.append(seconds)
        self.seconds += seconds


def assignment(lifetime: timedelta = timedelta(hours=1)) -> Assignment:
    """Return a dispatch of the shell agent, with credentials of this lifetime from T0 on."""
    keys = Credentials(
        access_key_id="AKIATEST", secret_access_key="key", session_token="token", expires_at=T0 + lifetime
    )
    return Assignment(
        dispatch_id="01J00000000000000000000000",
        tenant_id="acme",
        lease=Lease(worker_id="w1", token=1),
        spec=Spec.model_validate({"agent": "shell", "timeout_seconds": 60}),
        task="echo hello",
        bucket="artifacts",
        prefix="tenants/acme/dispatches/01J00000000000000000000000/1/",
        credentials=keys,
    )
