"""A way from tasks to the embedded AWS that can be cut for some of them, and healed."""

import socket
import socketserver
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

import psutil

_LOOK_SECONDS = 0.05
_CHUNK_BYTES = 65_536


class Network(socketserver.ThreadingTCPServer):
    """Connects callers of its port with AWS. What is cut off gets nothing through, and learns nothing of it.

    Bytes on their way wait for the network's return, as TCP repeats them; connections of callers that gave up
    meanwhile still deliver what was sent.
    """

    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, port: int, aws_port: int) -> None:
        super().__init__(("127.0.0.1", port), _Connection)
        self.aws_port = aws_port
        self._callers: Sequence[psutil.Process] = ()
        self._cut: set[int] = set()
        """Ports of the callers that are cut off."""

    @property
    def url(self) -> str:
        """The endpoint of AWS, by this way."""
        return f"http://127.0.0.1:{self.server_address[1]}"

    @contextmanager
    def cut(self, callers: Sequence[psutil.Process]) -> Iterator[None]:
        """Cut these processes off until the block ends."""
        self._callers = callers
        for port in _ports(callers):
            self._cut.add(port)
        try:
            yield
        finally:
            self._callers = ()
            self._cut.clear()

    def welcome(self, port: int) -> None:
        """Take a new connection from this port, cut off if its process is."""
        if self._callers and port in _ports(self._callers):
            self._cut.add(port)

    def wait(self, port: int) -> None:
        """Return when the caller at this port is not cut off."""
        while self._callers and port in self._cut:
            time.sleep(_LOOK_SECONDS)


class _Connection(socketserver.BaseRequestHandler):
    server: Network
    request: socket.socket

    def handle(self) -> None:
        """Copy in both directions until one side closes."""
        port: int = self.client_address[1]
        self.server.welcome(port)
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.server.aws_port)) as aws:
            for side in (self.request, aws):
                side.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            back = threading.Thread(target=self._copy, args=(port, aws, self.request), daemon=True)
            back.start()
            self._copy(port, self.request, aws)
            back.join()

    def _copy(self, port: int, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(_CHUNK_BYTES):
                self.server.wait(port)
                target.sendall(data)
        self.server.wait(port)
        with suppress(OSError):
            target.shutdown(socket.SHUT_RDWR)


def _ports(processes: Sequence[psutil.Process]) -> set[int]:
    """Return the ports of the processes' connections."""
    found: set[int] = set()
    for process in processes:
        with suppress(psutil.Error):
            found |= {each.laddr.port for each in process.net_connections("tcp4") if each.laddr}
    return found
