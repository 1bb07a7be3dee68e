"""What the model proxy adds to a streamed response, on loopback: `python -m benchmarks.model_proxy`."""

import http.client
import json
import statistics
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from outpost.domain.providers import PROVIDERS
from worker.model_proxy.meter import Meter
from worker.model_proxy.server import ModelProxy
from worker.model_proxy.upstream import ProviderKey

CALLS = 50
EVENTS = 2_000
BODY = {"model": "a-model", "max_tokens": 1_000, "messages": [{"role": "user", "content": "word " * 40_000}]}
"""A conversation of about 40,000 tokens."""


class _Provider(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        delta = {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "a few words"}}
        self._send({"type": "message_start", "message": {"usage": {"input_tokens": 40_000}}})
        for _ in range(EVENTS):
            self._send(delta)
        self._send({"type": "message_delta", "delta": {}, "usage": {"output_tokens": EVENTS}})
        self.wfile.write(b"0\r\n\r\n")

    def _send(self, event: dict[str, object]) -> None:
        data = f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode()
        self.wfile.write(b"%x\r\n%b\r\n" % (len(data), data))

    def log_message(self, *_: object) -> None:
        """Print nothing but the figures."""


@contextmanager
def _provider() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Provider)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def _measure(host: str, token: str) -> tuple[float, float]:
    """Return the median milliseconds to the first byte, and the CPU microseconds an event, of all sides together."""
    firsts, busy = [], time.process_time()
    for _ in range(CALLS):
        with closing(http.client.HTTPConnection(host)) as connection:
            started = time.perf_counter()
            connection.request("POST", "/v1/messages", json.dumps(BODY), {"x-api-key": token})
            response = connection.getresponse()
            response.read1(1)
            firsts.append(time.perf_counter() - started)
            response.read()
    return statistics.median(firsts) * 1e3, (time.process_time() - busy) / (CALLS * EVENTS) * 1e6


def main() -> None:
    """Measure the provider alone, then through the proxy."""
    with _provider() as host:
        provider, meter = PROVIDERS["anthropic"], Meter(10**12)
        key = ProviderKey(provider, "key")
        with ModelProxy(provider, f"http://{host}", key, lambda: key, meter, frozenset({"a-model"})) as proxy:
            for name, address, token in (("provider", host, ""), ("through the proxy", proxy.host, proxy.token)):
                first, busy = _measure(address, token)
                print(f"{name:>18} {first:6.1f} ms to the first byte, {busy:5.1f} µs of CPU an event")


if __name__ == "__main__":
    main()
