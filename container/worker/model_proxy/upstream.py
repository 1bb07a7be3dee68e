"""The provider behind the model proxy: one connection a call, with a credential that the agent does not have."""

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
from worker.model_proxy.credentials import Credential

CONNECT_SECONDS = 15.0
RESPONSE_SECONDS = 900.0
"""Longest silence of a provider: models think."""

_log = structlog.get_logger()


class ConnectError(Exception):
    """There is no connection to the provider: nothing was sent."""


@dataclass(frozen=True)
class Call:
    """A request for the provider, without a credential."""

    method: str
    target: str
    """Path and query."""
    headers: Mapping[str, str]
    body: bytes


class Upstream:
    """Calls one provider; used by many threads."""

    def __init__(
        self, provider: Provider, url: str, credential: Credential, read_again: Callable[[], Credential]
    ) -> None:
        """`read_again` returns the credential as it is by then: it is called when the one in use is rejected."""
        self._provider = provider
        self._url = urlsplit(url)
        self._read_again = read_again
        self._credential = credential
        self._lock = threading.Lock()

    @contextmanager
    def call(self, call: Call) -> Iterator[http.client.HTTPResponse]:
        """Call the provider; when it rejects the credential and there is another by now, call again with that one.

        Raises `ConnectError`, and `OSError` or `http.client.HTTPException` once the request was sent.
        """
        credential = self._credential
        with ExitStack() as connections:
            send = partial(self._send, connections, call)
            response = send(credential)
            if response.status in self._provider.rejections and (newer := self._newer(credential)):
                response = send(newer)
            yield response

    def _newer(self, rejected: Credential) -> Credential | None:
        with self._lock:
            if self._credential == rejected:
                self._credential = self._read_again()
                _log.info("the provider rejected the key; it was read again", changed=self._credential != rejected)
            return None if self._credential == rejected else self._credential

    def _send(self, connections: ExitStack, call: Call, credential: Credential) -> http.client.HTTPResponse:
        connection = connections.enter_context(closing(_connection(self._url.scheme, self._url.netloc)))
        target = f"{self._url.path.rstrip('/')}{self._provider.path}{call.target}"
        url = f"{self._url.scheme}://{self._url.netloc}{target}"
        shown = credential.headers(call.method, url, call.headers["content-type"], call.body)
        try:
            connection.connect()
        except OSError as error:
            raise ConnectError(type(error).__name__) from error
        connection.sock.settimeout(RESPONSE_SECONDS)
        connection.request(call.method, target, body=call.body or None, headers={**call.headers, **shown})
        return connection.getresponse()


def _connection(scheme: str, host: str) -> http.client.HTTPConnection:
    if scheme == "https":
        return http.client.HTTPSConnection(host, timeout=CONNECT_SECONDS, context=ssl.create_default_context())
    return http.client.HTTPConnection(host, timeout=CONNECT_SECONDS)
