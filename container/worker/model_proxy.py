"""The model proxy: the provider's API on loopback, for an agent that has no key.

The agent has a base URL and a token that is worth nothing elsewhere. The proxy admits the calls that the provider's
entry lists, puts the provider's key in place of the token, and counts what the answers say they used. Bodies and keys
are never logged.
"""

import http.client
import json
import re
import secrets
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from urllib.parse import parse_qsl, urlencode, urlsplit

import structlog

from outpost.domain.providers import Provider
from worker.usage import Meter, UsageReader

MAX_REQUEST_BYTES = 64 * 1024 * 1024
CONNECT_SECONDS = 15.0
ANSWER_SECONDS = 900.0
"""Longest silence of a provider: models think."""
_SHUTDOWN_POLL_SECONDS = 0.05
_NOT_PASSED_ON = frozenset(
    {"host", "connection", "keep-alive", "proxy-authorization", "proxy-connection", "te", "trailer", "upgrade"}
    | {"transfer-encoding", "content-length", "accept-encoding", "cookie", "expect", "set-cookie"}
    | {"authorization", "x-api-key", "x-goog-api-key"}
)
_MODEL_IN_PATH = re.compile(r"/models/([\w.-]+)")

_log = structlog.get_logger()


class ModelProxy:
    """Serves one provider to one agent while the block lasts."""

    def __init__(self, provider: Provider, upstream: str, key: str, read_key: Callable[[], str], meter: Meter) -> None:
        """`read_key` returns the key as it is by then: it is called when the provider rejects the one in use."""
        self.provider = provider
        self.meter = meter
        self.token = f"outpost-{secrets.token_hex(24)}"
        """What the agent shows in place of a key; others on this machine do not know it."""
        self._upstream = urlsplit(upstream)
        self._read_key = read_key
        self._key = key
        self._key_lock = threading.Lock()
        self._server = _Server(self)
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(_SHUTDOWN_POLL_SECONDS,), name="model-proxy", daemon=True
        )

    @property
    def url(self) -> str:
        """Where the agent finds the provider's API."""
        return f"http://{self.host}"

    @property
    def host(self) -> str:
        """Address and port, on loopback."""
        return f"127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> "ModelProxy":
        """Begin to serve."""
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Serve no more."""
        self._server.shutdown()
        self._server.server_close()

    @contextmanager
    def call(
        self, method: str, target: str, headers: dict[str, str], body: bytes
    ) -> Iterator[http.client.HTTPResponse]:
        """Ask the provider; when it rejects the key and there is another by now, ask again with that one."""
        key = self._key
        with ExitStack() as connections:
            ask = partial(self._ask, connections, method, target, headers, body)
            answer = ask(key)
            if answer.status in self.provider.rejections and (fresh := self._fresh_key(key)):
                answer = ask(fresh)
            yield answer

    def _fresh_key(self, rejected: str) -> str | None:
        with self._key_lock:
            if self._key == rejected:
                self._key = self._read_key()
                _log.info("the provider rejected the key; it was read again", changed=self._key != rejected)
            return None if self._key == rejected else self._key

    def _ask(
        self, connections: ExitStack, method: str, target: str, headers: dict[str, str], body: bytes, key: str
    ) -> http.client.HTTPResponse:
        connection = connections.enter_context(closing(_connect(self._upstream.scheme, self._upstream.netloc)))
        key_header = {self.provider.key_header: f"{self.provider.key_scheme}{key}"}
        connection.connect()
        connection.sock.settimeout(ANSWER_SECONDS)
        connection.request(
            method, f"{self._upstream.path.rstrip('/')}{target}", body=body or None, headers={**headers, **key_header}
        )
        return connection.getresponse()


def _connect(scheme: str, host: str) -> http.client.HTTPConnection:
    if scheme == "https":
        return http.client.HTTPSConnection(host, timeout=CONNECT_SECONDS, context=ssl.create_default_context())
    return http.client.HTTPConnection(host, timeout=CONNECT_SECONDS)


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, proxy: ModelProxy) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.proxy = proxy

    def handle_error(self, request: object, client_address: object) -> None:
        """The agent hung up, or sent what is not HTTP: its own affair."""


class _RefusedError(Exception):
    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server
    _begun = False
    """Whether an answer is under way: then an error can only end the connection."""

    def do_GET(self) -> None:
        """Pass a question on."""
        self._serve()

    def do_POST(self) -> None:
        """Pass a call on."""
        self._serve()

    def _serve(self) -> None:
        self._begun = False
        try:
            body = self._body()
            target = self._admitted()
            self._pass_on(target, body)
        except _RefusedError as refused:
            self.close_connection = True
            self._refuse(refused.status, str(refused))
        except (OSError, http.client.HTTPException) as error:
            self.close_connection = True
            _log.warning("the model call failed", path=urlsplit(self.path).path, error=type(error).__name__)
            if not self._begun:
                self._refuse(502, f"the provider cannot be reached ({type(error).__name__})")

    def _body(self) -> bytes:
        if "chunked" in self.headers.get("Transfer-Encoding", "").lower():
            return self._chunks()
        length = self.headers.get("Content-Length", "0")
        if not length.isdigit() or int(length) > MAX_REQUEST_BYTES:
            raise _RefusedError(413, f"a request has at most {MAX_REQUEST_BYTES} bytes")
        return self.rfile.read(int(length))

    def _chunks(self) -> bytes:
        body = bytearray()
        while size := int(self.rfile.readline(64).partition(b";")[0], 16):
            if len(body) + size > MAX_REQUEST_BYTES:
                raise _RefusedError(413, f"a request has at most {MAX_REQUEST_BYTES} bytes")
            body += self.rfile.read(size)
            self.rfile.readline(64)
        self.rfile.readline(64)
        return bytes(body)

    def _admitted(self) -> str:
        """Return what to ask the provider for: path and query, without the token. Raises `_RefusedError`."""
        proxy, url = self.server.proxy, urlsplit(self.path)
        if url.scheme or url.netloc or self.headers.get("Host") not in {proxy.host, f"localhost:{proxy.host[10:]}"}:
            raise _RefusedError(421, "this is the API of one provider, and no way to other hosts")
        query = parse_qsl(url.query, keep_blank_values=True)
        shown = {self.headers.get(name, "") for name in ("x-api-key", "x-goog-api-key")}
        shown |= {self.headers.get("authorization", "").removeprefix("Bearer ")} | {v for k, v in query if k == "key"}
        if not any(secrets.compare_digest(value.encode(), proxy.token.encode()) for value in shown):
            raise _RefusedError(401, "the token is not this run's: read it from the environment")
        if not proxy.provider.calls.fullmatch(f"{self.command} {url.path}"):
            raise _RefusedError(404, f"{self.command} {url.path} is not open to agents")
        if self.command == "POST" and not proxy.meter.admit():
            raise _RefusedError(400, "the dispatch's budget of tokens is spent")
        rest = urlencode([(name, value) for name, value in query if name != "key"])
        return f"{url.path}?{rest}" if rest else url.path

    def _pass_on(self, target: str, body: bytes) -> None:
        proxy = self.server.proxy
        model, body = _prepare(target, body, ask_for_usage=proxy.provider.usage_on_request)
        headers = {name: value for name, value in self.headers.items() if name.lower() not in _NOT_PASSED_ON}
        # Compressed, the answer could not be read here.
        headers["Accept-Encoding"] = "identity"
        with proxy.call(self.command, target, headers, body) as answer:
            if answer.status == HTTPStatus.UNAUTHORIZED:
                # Passed on as it is, it would send some CLIs into minutes of trying again.
                proxy.meter.rejections += 1
                raise _RefusedError(400, f"{proxy.provider.name} rejects the key")
            reader = UsageReader(answer.headers.get("Content-Type", ""))
            try:
                self._relay(answer, reader)
            finally:
                # What was sent before either side hung up was used.
                tokens = reader.finish()
                if model and tokens.total:
                    proxy.meter.add(model, tokens)
                _log.info("model call", path=urlsplit(target).path, status=answer.status, tokens=tokens.total)
            # Only now has the agent its whole answer: it may end at once, and this process with it.
            self.wfile.write(b"0\r\n\r\n")

    def _relay(self, answer: http.client.HTTPResponse, reader: UsageReader) -> None:
        self._begun = True
        self.send_response_only(answer.status)
        for name, value in answer.headers.items():
            if name.lower() not in _NOT_PASSED_ON:
                self.send_header(name, value)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        while data := answer.read1(65536):
            reader.feed(data)
            self.wfile.write(b"%x\r\n%b\r\n" % (len(data), data))
            self.wfile.flush()

    def _refuse(self, status: int, message: str) -> None:
        content = json.dumps({"error": {"type": "outpost_error", "message": f"Outpost: {message}"}}).encode()
        self.send_response_only(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """The path may hold the token; what is worth knowing is logged elsewhere."""


def _prepare(target: str, body: bytes, *, ask_for_usage: bool) -> tuple[str, bytes]:
    """Return the model that a call names, and its body, which asks for the token count where it has to."""
    try:
        content = json.loads(body) if body else {}
    except ValueError as error:
        raise _RefusedError(400, "the body is not JSON") from error
    if not isinstance(content, dict):
        raise _RefusedError(400, "the body is not a JSON object")
    named = _MODEL_IN_PATH.search(target)
    model = named[1] if named else str(content.get("model", ""))
    if ask_for_usage and content.get("stream"):
        content["stream_options"] = {**(content.get("stream_options") or {}), "include_usage": True}
        body = json.dumps(content).encode()
    return model, body
