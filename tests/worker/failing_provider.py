"""A provider on loopback that responds to each model call in the same way: an error, half a stream, or nothing."""

from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tests.loopback import serving


@contextmanager
def failing_provider(status: int, content_type: str, *pieces: bytes) -> Iterator[str]:
    """Serve until the block ends; yields the URL. Each POST gets the status and the pieces, then the connection ends.

    Without pieces and status 0 the connection ends before a response.
    """

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._respond(200, "application/json", b'{"data": []}')

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            if status:
                self._respond(status, content_type, *pieces)

        def _respond(self, code: int, kind: str, *parts: bytes) -> None:
            self.send_response(code)
            self.send_header("Content-Type", kind)
            self.end_headers()
            for part in parts:
                self.wfile.write(part)

        def log_message(self, *_: object) -> None:
            """Keep the test's output quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    with serving(server):
        yield f"http://127.0.0.1:{server.server_port}"
