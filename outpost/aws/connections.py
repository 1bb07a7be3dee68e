"""Connections to a service that speaks JSON over HTTP/1.1, kept alive: no more than DynamoDB and SQS need.

A call is one write to a socket and one response read from it, at a third of the CPU time that urllib3 and http.client
take for the same. Failures raise botocore's exceptions.
"""

import select
import socket
import ssl
import weakref
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from http.client import HTTPConnection, HTTPSConnection
from typing import BinaryIO
from urllib.parse import urlsplit

from botocore.exceptions import (
    BotoCoreError,
    ConnectionClosedError,
    ConnectTimeoutError,
    EndpointConnectionError,
    ReadTimeoutError,
    SSLError,
)

ExceptionMap = Mapping[type[Exception], type[BotoCoreError]]
"""Caught exception -> botocore's exception that is raised for it; the first match counts."""
_CONNECT_ERRORS: ExceptionMap = {
    TimeoutError: ConnectTimeoutError,
    ssl.SSLError: SSLError,
    OSError: EndpointConnectionError,
}
_REQUEST_ERRORS: ExceptionMap = {TimeoutError: ReadTimeoutError, Exception: ConnectionClosedError}


@dataclass(frozen=True)
class HttpResponse:
    """A response of the service; headers by name in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes


class Connections:
    """Connections to one endpoint, for any number of threads. Times in seconds; `trusted` is a file of certificates."""

    def __init__(self, url: str, connect_timeout: float, read_timeout: float, trusted: str) -> None:
        parts = urlsplit(url)
        self._url, self._host, self._port = url, parts.hostname or "", parts.port
        self._connect_timeout, self._read_timeout = connect_timeout, read_timeout
        self._tls = ssl.create_default_context(cafile=trusted) if parts.scheme == "https" else None
        self._idle: deque[_Connection] = deque()
        weakref.finalize(self, _close_all, self._idle)

    def post(self, headers: dict[str, str], body: bytes) -> HttpResponse:
        """Send a body to the endpoint and return the response.

        Raises `EndpointConnectionError`, `SSLError`, `ConnectTimeoutError`, `ReadTimeoutError` and
        `ConnectionClosedError`.
        """
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        request = f"POST / HTTP/1.1\r\n{lines}content-length: {len(body)}\r\n\r\n".encode() + body
        connection = self._kept() or self._connect()
        try:
            response = connection.request(request)
        except (OSError, ValueError, LookupError) as error:
            connection.close()
            raise map_exception(_REQUEST_ERRORS, error, self._url) from error
        self._idle.append(connection)
        return response

    def _kept(self) -> "_Connection | None":
        while True:
            try:
                connection = self._idle.pop()
            except IndexError:
                return None
            if connection.is_idle():
                return connection
            connection.close()

    def _connect(self) -> "_Connection":
        kind = partial(HTTPSConnection, context=self._tls) if self._tls else HTTPConnection
        http = kind(self._host, self._port, timeout=self._connect_timeout)
        try:
            http.connect()
        except OSError as error:
            raise map_exception(_CONNECT_ERRORS, error, self._url) from error
        return _Connection(http.sock, self._read_timeout)


class _Connection:
    """A socket, and a file that reads from it."""

    def __init__(self, connected: socket.socket, read_timeout: float) -> None:
        connected.settimeout(read_timeout)
        self._socket = connected
        self._file: BinaryIO = connected.makefile("rb")
        self._readable = select.poll()
        self._readable.register(connected, select.POLLIN)

    def is_idle(self) -> bool:
        """Return whether there is nothing to read: no unexpected bytes, and no end of the connection."""
        return not self._readable.poll(0)

    def request(self, request: bytes) -> HttpResponse:
        """Send a request and return its response. Raises `OSError`, `ValueError` and `LookupError`."""
        self._socket.sendall(request)
        status = int(self._file.readline().split(None, 2)[1])
        headers: dict[str, str] = {}
        while line := self._file.readline().rstrip():
            name, _, value = line.decode("latin-1").partition(":")
            headers[name.lower()] = value.strip()
        length = int(headers["content-length"])
        body = self._file.read(length)
        if len(body) < length:
            raise ConnectionResetError("the response is cut short")
        return HttpResponse(status, headers, body)

    def close(self) -> None:
        self._file.close()
        self._socket.close()


def map_exception(exceptions: ExceptionMap, error: Exception, url: str) -> BotoCoreError:
    """Return botocore's exception for an error at an endpoint, by the first class in the map that matches."""
    raised = next(ours for theirs, ours in exceptions.items() if isinstance(error, theirs))
    return raised(endpoint_url=url, error=error)


def _close_all(idle: deque[_Connection]) -> None:
    for connection in idle:
        connection.close()
