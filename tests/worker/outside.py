"""What a program calls beyond loopback: a proxy that notes each address and refuses it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from tests.loopback import serving


@dataclass
class Outside:
    """The proxy."""

    url: str
    called: list[str] = field(default_factory=list)

    def program(self, folder: Path, name: str, path: str) -> str:
        """Return a PATH on which `name` is that of `path`, with this proxy for all but loopback."""
        variables = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"), self.url) | {"NODE_USE_ENV_PROXY": "1"}
        exports = " ".join(f"{name}={value}" for name, value in variables.items())
        folder.mkdir(parents=True, exist_ok=True)
        shim = folder / name
        shim.write_text(f'#!/bin/sh\nexport PATH="{path}" {exports}\nexec {name} "$@"\n')
        shim.chmod(0o755)
        return f"{folder}:{path}"


class _Handler(BaseHTTPRequestHandler):
    def _refuse(self) -> None:
        self.server.outside.called.append(f"{self.command} {self.path}")  # type: ignore[attr-defined]
        self.send_response(403)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_CONNECT = do_GET = do_POST = do_HEAD = do_PUT = _refuse  # noqa: N815 - the base class's names

    def log_message(self, *_: object) -> None:
        """Keep the test's output quiet."""


@contextmanager
def outside() -> Iterator[Outside]:
    """Serve the proxy on loopback until the block ends."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    server.outside = Outside(f"http://127.0.0.1:{server.server_port}")  # type: ignore[attr-defined]
    with serving(server):
        yield server.outside  # type: ignore[attr-defined]
