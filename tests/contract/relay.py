"""Stands between a service and AWS: counts the calls, and spoils those with a fault."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread

import urllib3

Response = tuple[int, bytes, dict[str, str]]
"""Status, body and headers."""
Fault = Callable[[Callable[[], Response]], Response]
"""What becomes of a call: given how to ask AWS, it returns what the service receives."""


@dataclass
class Relay:
    """A way to AWS. `faults` maps operations (`GetItem`, or for S3 `GET`, `HEAD`, ...) to what happens to them."""

    endpoint: str
    made: Counter[str] = field(default_factory=Counter)
    faults: dict[str, Fault] = field(default_factory=dict)
    url: str = ""


def fails(code: str, status: int = 400) -> Fault:
    """Respond with an error as DynamoDB and SQS spell it, and let nothing reach AWS."""
    body = f'{{"__type": "com.amazonaws#{code}", "message": "spoilt"}}'.encode()
    return lambda _: (status, body, {})


def waits(release: Event) -> Fault:
    """Send no response until released; by then nobody waits any more."""

    def wait(_: Callable[[], Response]) -> Response:
        release.wait(30)
        return 503, b"", {}

    return wait


def once(fault: Fault) -> Fault:
    """Spoil the first call only."""
    faults = [fault]
    return lambda ask: faults.pop()(ask) if faults else ask()


def loses_the_response(ask: Callable[[], Response]) -> Response:
    """Let AWS do it, and tell the service that it failed."""
    ask()
    return 500, b"", {}


@contextmanager
def relay(endpoint: str) -> Iterator[Relay]:
    """Run a relay to an endpoint on loopback."""
    way = Relay(endpoint)
    server = _Server(way)
    way.url = f"http://127.0.0.1:{server.server_port}"
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, name="relay")
    thread.start()
    try:
        yield way
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, way: Relay) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.way = way
        self.aws = urllib3.PoolManager(maxsize=64)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def handle_one_request(self) -> None:
        try:
            super().handle_one_request()
        except ConnectionError:
            self.close_connection = True  # the service no longer waited

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it so
        """Keep standard error for failures."""

    def _pass(self) -> None:
        operation = self.headers.get("X-Amz-Target", self.command).rpartition(".")[2]
        self.server.way.made[operation] += 1
        sent = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        fault = self.server.way.faults.get(operation)
        status, body, headers = fault(lambda: self._ask(sent)) if fault else self._ask(sent)
        self.send_response_only(status)
        for name, value in headers.items():
            if name.lower() not in ("content-length", "transfer-encoding", "connection"):
                self.send_header(name, value)
        self.send_header("Content-Length", headers.get("Content-Length", str(len(body))))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = _pass  # noqa: N815 - the base class calls them so

    def _ask(self, sent: bytes) -> Response:
        url, headers = f"{self.server.way.endpoint}{self.path}", dict(self.headers.items())
        response = self.server.aws.request(
            self.command, url, body=sent, headers=headers, retries=False, decode_content=False
        )
        return response.status, response.data, dict(response.headers)
