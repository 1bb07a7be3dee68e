"""The provider behind the model proxy: one connection a call, with the provider's key."""

import http.client
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from functools import partial
from urllib.parse import urlsplit

import structlog

from outpost.domain.providers import Provider

CONNECT_SECONDS = 15.0
RESPONSE_SECONDS = 900.0
"""Longest silence of a provider: models think."""

_log = structlog.get_logger()


class ConnectError(Exception):
    """There is no connection to the provider: nothing was sent."""


@dataclass(frozen=True)
class Call:
    """A request for the provider, without its key."""

    method: str
    target: str
    """Path and query."""
    headers: Mapping[str, str]
    body: bytes


class Upstream:
    """Calls one provider; used by many threads."""

    def __init__(self, provider: Provider, url: str, key: str, read_key: Callable[[], str]) -> None:
        """`read_key` returns the key as it is by then: it is called when the provider rejects the one in use."""
        self._provider = provider
        self._url = urlsplit(url)
        self._read_key = read_key
        self._key = key
        self._key_lock = threading.Lock()

    @contextmanager
    def call(self, call: Call) -> Iterator[http.client.HTTPResponse]:
        """Call the provider; when it rejects the key and there is another by now, call again with that one.

        Raises `ConnectError`, and `OSError` or `http.client.HTTPException` once the request was sent.
        """
        key = self._key
        with ExitStack() as connections:
            send = partial(self._send, connections, call)
            response = send(key)
            if response.status in self._provider.rejections and (newer := self._newer_key(key)):
                response = send(newer)
            yield response

    def _newer_key(self, rejected: str) -> str | None:
        with self._key_lock:
            if self._key == rejected:
                self._key = self._read_key()
                _log.info("the provider rejected the key; it was read again", changed=self._key != rejected)
            return None if self._key == rejected else self._key

    def _send(self, connections: ExitStack, call: Call, key: str) -> http.client.HTTPResponse:
        connection = connections.enter_context(closing(_connection(self._url.scheme, self._url.netloc)))
        key_header = {self._provider.key_header: f"{self._provider.key_scheme}{key}"}
        try:
            connection.connect()
        except OSError as error:
            raise ConnectError(type(error).__name__) from error
        connection.sock.settimeout(RESPONSE_SECONDS)
        target = f"{self._url.path.rstrip('/')}{call.target}"
        connection.request(call.method, target, body=call.body or None, headers={**call.headers, **key_header})
        return connection.getresponse()


def _connection(scheme: str, host: str) -> http.client.HTTPConnection:
    if scheme == "https":
        return http.client.HTTPSConnection(host, timeout=CONNECT_SECONDS, context=ssl.create_default_context())
    return http.client.HTTPConnection(host, timeout=CONNECT_SECONDS)
