"""The emulator's STS, with a record of the sessions that it issues: no other call returns their secrets."""

import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs
from xml.etree import ElementTree

from outpost.domain.protocol import Credentials
from tests.loopback import serving

Sessions = dict[str, tuple[Credentials, str | None]]
"""Access key -> credentials, and the session policy that they were asked for with."""


@contextmanager
def recording_sts(emulator: str) -> Iterator[tuple[str, Sessions]]:
    """Serve on loopback until the block ends; yields the address, and the sessions so far."""
    issued: Sessions = {}

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            headers = {name: value for name, value in self.headers.items() if name.lower() != "host"}
            request = urllib.request.Request(emulator, body, headers)  # noqa: S310 - the emulator's
            with urllib.request.urlopen(request) as response:  # noqa: S310 - as above
                content = response.read()
            policy = parse_qs(body.decode()).get("Policy", [None])[0]
            for session in _sessions(content):
                issued[session.access_key_id] = (session, policy)
            self.send_response(200)
            self.send_header("Content-Type", "text/xml")
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            """Keep the test's output quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    with serving(server):
        yield f"http://127.0.0.1:{server.server_port}", issued


def _sessions(content: bytes) -> Iterator[Credentials]:
    for element in ElementTree.fromstring(content).iter():  # noqa: S314 - the emulator's
        if element.tag.rpartition("}")[2] == "Credentials":
            found = {each.tag.rpartition("}")[2]: each.text for each in element}
            yield Credentials.model_validate(
                {
                    "access_key_id": found["AccessKeyId"],
                    "secret_access_key": found["SecretAccessKey"],
                    "session_token": found["SessionToken"],
                    "expires_at": found["Expiration"],
                }
            )
