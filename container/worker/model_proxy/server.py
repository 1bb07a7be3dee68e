"""The model proxy: the provider's API on loopback, for an agent that has no key.

The agent has a base URL and a token that is worth nothing elsewhere. The proxy passes on the calls that the provider's
entry lists, to the agent's models and within the dispatch's budget, puts the key or a signature in place of the token,
and counts the tokens that responses report. Bodies and keys are never logged.
"""

import http.client
import json
import secrets
import select
import socket
import threading
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, urlencode, urlsplit

import structlog

from outpost.domain.providers import BEDROCK, Provider
from outpost.domain.reasons import ReasonCode
from outpost.domain.usage import Tokens
from worker.model_proxy.calls import ModelCalls
from worker.model_proxy.meter import BudgetExceededError, GrantError, Meter, Reservation
from worker.model_proxy.request import ModelRequest, RefusedError, read_body, read_request
from worker.model_proxy.response import ModelCall
from worker.model_proxy.upstream import Call, ConnectError, Credential, Upstream
from worker.provider_errors import ProviderError, error_of_response

ERROR_BYTES = 64 * 1024
"""Of a rejection's body, which is read for its message."""
_HANG_UP_POLL_SECONDS = 1.0
_SHUTDOWN_POLL_SECONDS = 0.05
_NOT_PASSED_ON = frozenset(
    {"host", "connection", "keep-alive", "proxy-authorization", "proxy-connection", "te", "trailer", "upgrade"}
    | {"transfer-encoding", "content-length", "accept-encoding", "cookie", "expect", "set-cookie"}
    | {"authorization", "x-api-key", "x-goog-api-key", "x-http-method-override"}
)
# Each status of an error of the proxy's own is one that the agents' CLIs report and do not retry; 502 is for failures
# that may be temporary.
_ANTHROPIC = {401: "authentication_error", 404: "not_found_error", 413: "request_too_large", 502: "api_error"}
_GOOGLE = {401: "UNAUTHENTICATED", 404: "NOT_FOUND", 502: "UNAVAILABLE"}

_log = structlog.get_logger()


class ModelProxy(ThreadingHTTPServer):
    """Serves one provider to one agent while the block lasts."""

    daemon_threads = True
    request_queue_size = 128
    """Connections that wait to be accepted: an agent may open many at once, and the default of 5 resets some."""

    def __init__(
        self,
        provider: Provider,
        upstream: str,
        credential: Credential,
        read_again: Callable[[], Credential],
        meter: Meter,
        models: frozenset[str],
    ) -> None:
        """`read_again` returns the credential as it is by then; `models` are the provider's ids of those to allow."""
        super().__init__(("127.0.0.1", 0), _Handler)
        self.provider = provider
        self.meter = meter
        self.calls = ModelCalls()
        self.models = models
        self.token = f"outpost-{secrets.token_hex(24)}"
        """What the agent shows in place of a key; others on this machine do not know it."""
        self.upstream = Upstream(provider, upstream, credential, read_again)

    @property
    def url(self) -> str:
        """Of the provider's API, for the agent."""
        return f"http://{self.host}"

    @property
    def host(self) -> str:
        """Address and port, on loopback."""
        return f"127.0.0.1:{self.server_port}"

    def __enter__(self) -> "ModelProxy":
        """Begin to serve."""
        serve = partial(self.serve_forever, _SHUTDOWN_POLL_SECONDS)
        threading.Thread(target=serve, name="model-proxy", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        """Serve no more."""
        self.shutdown()
        self.server_close()

    def handle_error(self, request: object, client_address: object) -> None:
        """The agent hung up, or sent what is not HTTP: its own affair."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: ModelProxy
    _begun = False
    """Whether a response was begun: then an error can only end the connection."""
    _hung_up = False
    """Whether the agent hung up while its response was on the way."""

    def do_POST(self) -> None:
        """Pass a call or, as GET, a lookup on."""
        self._begun = False
        try:
            body = read_body(self.headers, self.rfile)
            target = self._target()
            self._pass_on(target, body)
        except RefusedError as refused:
            self._refuse(refused.status, str(refused))
        except (OSError, http.client.HTTPException, ConnectError) as error:
            self.close_connection = True
            _log.warning("the model call failed", path=urlsplit(self.path).path, error=type(error).__name__)
            if not self._begun:
                self._refuse(502, f"the provider cannot be reached ({type(error).__name__})")

    do_GET = do_POST  # noqa: N815 - http.server calls it so

    def _target(self) -> str:
        """Return what to request from the provider: path and query, without the token. Raises `RefusedError`."""
        proxy, url = self.server, urlsplit(self.path)
        if url.scheme or url.netloc or self.headers.get("Host") not in {proxy.host, f"localhost:{proxy.host[10:]}"}:
            raise RefusedError(421, "this is the API of one provider, and no way to other hosts")
        query = parse_qsl(url.query, keep_blank_values=True)
        shown = {self.headers.get(name, "") for name in ("x-api-key", "x-goog-api-key")}
        shown |= {self.headers.get("authorization", "").removeprefix("Bearer ")} | {v for k, v in query if k == "key"}
        if not any(secrets.compare_digest(value.encode(), proxy.token.encode()) for value in shown):
            raise RefusedError(401, "the token is not this run's: read it from the environment")
        rest = urlencode([(name, value) for name, value in query if name != "key"])
        return f"{url.path}?{rest}" if rest else url.path

    def _pass_on(self, target: str, body: bytes) -> None:
        request = self._request(urlsplit(target).path, body)
        headers = {name.lower(): value for name, value in self.headers.items() if _is_passed_on(name.lower())}
        # Compressed, the response could not be read here; as another type, the body would be read otherwise than here.
        headers |= {"accept-encoding": "identity", "content-type": "application/json"}
        call = Call(self.command, target, headers, request.body)
        with self._reservation(request) as reservation:
            status = self._call(call, reservation, request)
        _log.info("model call", path=urlsplit(target).path, status=status, tokens=reservation.used().total)
        # Only now has the agent its whole response: it may end at once, and this process with it.
        self._write(b"0\r\n\r\n")

    def _request(self, path: str, body: bytes) -> ModelRequest:
        """Return the call to pass on. Raises `RefusedError`."""
        proxy, call = self.server, f"{self.command} {path}"
        if proxy.provider.generations.fullmatch(call):
            try:
                return read_request(proxy.provider, path, body, proxy.models)
            except RefusedError as refused:
                code = ReasonCode.MODEL_NOT_FOUND if refused.status == 404 else ReasonCode.MODEL_REQUEST_REFUSED
                proxy.calls.refuse(ProviderError(code, f"Outpost refused it: {refused}", by_proxy=True))
                raise
        if proxy.provider.lookups.fullmatch(call):
            return ModelRequest("", body, most=Tokens())
        raise RefusedError(404, f"{call} is not open to agents")

    def _reservation(self, request: ModelRequest) -> Reservation:
        """Reserve what the call could use; waits for calls that hold it. Raises `RefusedError`, `OSError`."""
        meter = self.server.meter
        try:
            while (reservation := meter.reserve(request.model, request.most, _HANG_UP_POLL_SECONDS)) is None:
                if _is_closed(self.connection):
                    raise ConnectionAbortedError
        except BudgetExceededError as error:
            self.server.calls.refuse(ProviderError(ReasonCode.BUDGET_EXCEEDED, str(error)), request.tools)
            raise RefusedError(400, str(error)) from error
        except GrantError as error:
            why = f"no money can be granted now: {error}"
            self.server.calls.refuse(ProviderError(ReasonCode.MODEL_UNAVAILABLE, why), request.tools)
            raise RefusedError(502, why) from error
        return reservation

    def _call(self, call: Call, reservation: Reservation, request: ModelRequest) -> int:
        """Make the call; returns its status. The reservation's `used` says at each moment what to charge."""
        proxy, unreported = self.server, replace(reservation.most, input=request.sent)
        if _is_closed(self.connection):
            raise ConnectionAbortedError
        reservation.used = lambda: Tokens(input=request.sent)
        calls = proxy.calls if reservation.model else ModelCalls()  # no model works on a lookup
        try:
            with calls.open(request.tools) as record, record.provider(), proxy.upstream.call(call) as response:
                record.begin(response.status, response.headers.get("Content-Type", ""))
                if response.status in proxy.provider.unauthorized:
                    reservation.used = Tokens
                    record.feed(content := response.read(ERROR_BYTES))
                    raise RefusedError(400, unauthorized(proxy.provider, response.status, content))
                self._relay(response, reservation, record, unreported)
                return response.status
        except ConnectError:
            reservation.used = Tokens
            raise

    def _relay(
        self, response: http.client.HTTPResponse, reservation: Reservation, record: ModelCall, unreported: Tokens
    ) -> None:
        """Pass the response on, and note what to charge for it.

        It is read to its end also when the agent hangs up: the provider reports what the call used at the end, and
        charges for what nobody reads.
        """
        failed = response.status >= HTTPStatus.BAD_REQUEST
        reservation.used = record.reported if failed else partial(record.used, unreported)
        self._begin_response(response)
        while data := response.read1(65536):
            record.feed(data)
            self._write(b"%x\r\n%b\r\n" % (len(data), data))
        if response.length:
            raise http.client.IncompleteRead(b"", response.length)

    def _begin_response(self, response: http.client.HTTPResponse) -> None:
        self._begun, self._hung_up = True, False
        self.send_response_only(response.status)
        for name, value in response.headers.items():
            if name.lower() not in _NOT_PASSED_ON:
                self.send_header(name, value)
        self.send_header("Transfer-Encoding", "chunked")
        try:
            self.end_headers()
        except OSError:
            self._hung_up = True

    def _write(self, data: bytes) -> None:
        """Write to the agent; nothing once it has hung up."""
        if self._hung_up:
            return
        try:
            self.wfile.write(data)
        except OSError:
            self._hung_up = self.close_connection = True

    def _refuse(self, status: int, message: str) -> None:
        content = error_body(self.server.provider, status, message)
        self.close_connection = True
        self.send_response_only(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """The path may hold the token; what is worth knowing is logged elsewhere."""


def _is_passed_on(name: str) -> bool:
    """Return whether a request's header is; those of AWS are the signature's, or choose a dearer tier of Bedrock."""
    return name not in _NOT_PASSED_ON and not name.startswith("x-amz")


def _is_closed(connection: socket.socket) -> bool:
    readable, _, _ = select.select([connection], [], [], 0)
    return bool(readable) and not connection.recv(1, socket.MSG_PEEK)


def unauthorized(provider: Provider, status: int, body: bytes) -> str:
    """Return the message for a caller that the provider rejects: IAM has many reasons, a key has one."""
    if provider.name != BEDROCK:
        return f"{provider.name} rejects the key"
    return f"{provider.name} rejects the caller: {error_of_response(status, body).message}"


def error_body(provider: Provider, status: int, message: str) -> bytes:
    """Return the body of an error response of the proxy itself, in the provider's own form."""
    text = f"Outpost: {message}"
    if provider.api == "anthropic":
        kind = _ANTHROPIC.get(status, "invalid_request_error")
        return json.dumps({"type": "error", "error": {"type": kind, "message": text}}).encode()
    if provider.api == "google":
        code = _GOOGLE.get(status, "INVALID_ARGUMENT")
        return json.dumps({"error": {"code": status, "message": text, "status": code}}).encode()
    kind = "server_error" if status == 502 else "invalid_request_error"
    return json.dumps({"error": {"message": text, "type": kind, "param": None, "code": None}}).encode()
