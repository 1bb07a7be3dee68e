"""A load generator that leaves the machine to what it measures: raw HTTP/1.1 on as many connections as clients."""

import asyncio
import json
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain

import psutil

WARM_UP = 30
"""Requests before the clock starts."""

Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass(frozen=True)
class Request:
    """A request, ready to be sent, and the status expected of its response."""

    raw: bytes
    status: int = 200

    @classmethod
    def of(cls, method: str, path: str, key: str | None = None, body: object = None, status: int = 200) -> "Request":
        """Return a request of HTTP/1.1."""
        content = b"" if body is None else json.dumps(body).encode()
        headers = ["Host: localhost", f"Content-Length: {len(content)}"]
        headers += [f"X-API-Key: {key}"] if key else []
        headers += ["Content-Type: application/json"] if content else []
        return cls("\r\n".join([f"{method} {path} HTTP/1.1", *headers, "", ""]).encode() + content, status)


@dataclass(frozen=True)
class Sample:
    """The responses to a load, and their cost. Times in milliseconds, memory in MiB."""

    requests: int
    p50: float
    p95: float
    per_second: float
    server_cpu: float
    memory: float


def send(port: int, requests: Iterator[Request], number: int) -> None:
    """Send requests, one after the other. Raises `RuntimeError` for a response of another status than expected."""

    async def once() -> None:
        await _send(await asyncio.open_connection("127.0.0.1", port), requests, range(number))

    asyncio.run(once())


def drive(port: int, requests: Iterator[Request], clients: int, seconds: float, server: psutil.Process) -> Sample:
    """Send requests from these clients for some seconds, each after its last response. Raises as `send` does."""
    return asyncio.run(_drive(port, requests, clients, seconds, server))


async def _drive(
    port: int, requests: Iterator[Request], clients: int, seconds: float, server: psutil.Process
) -> Sample:
    connections = [await asyncio.open_connection("127.0.0.1", port) for _ in range(clients)]
    await asyncio.gather(*(_send(connection, requests, range(WARM_UP // clients + 1)) for connection in connections))
    cpu, begin = _cpu(server), time.perf_counter()
    loads = (_send(connection, requests, _until(begin + seconds)) for connection in connections)
    times = sorted(chain.from_iterable(await asyncio.gather(*loads)))
    took, used = time.perf_counter() - begin, _cpu(server) - cpu
    return Sample(
        requests=len(times),
        p50=round(times[len(times) // 2] * 1e3, 2),
        p95=round(times[int(len(times) * 0.95)] * 1e3, 2),
        per_second=round(len(times) / took, 1),
        server_cpu=round(used / len(times) * 1e3, 2),
        memory=round(sum(process.memory_info().rss for process in _family(server)) / 2**20, 1),
    )


def _until(end: float) -> Iterator[None]:
    yield  # once at least
    while time.perf_counter() < end:
        yield


async def _send(connection: Connection, requests: Iterator[Request], times: Iterable[object]) -> list[float]:
    reader, writer = connection
    took = []
    for _ in times:
        request = next(requests)
        begin = time.perf_counter()
        writer.write(request.raw)
        head = await reader.readuntil(b"\r\n\r\n")
        body = await reader.readexactly(int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]))
        took.append(time.perf_counter() - begin)
        if int(head[9:12]) != request.status:
            raise RuntimeError(f"{request.raw[:60]!r} got status {head[9:12]!r}: {body[:300]!r}")
    return took


def _cpu(server: psutil.Process) -> float:
    return sum(times.user + times.system for times in (process.cpu_times() for process in _family(server)))


def _family(server: psutil.Process) -> list[psutil.Process]:
    return [server, *server.children(recursive=True)]
