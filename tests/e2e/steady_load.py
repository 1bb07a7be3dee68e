"""A steady load of requests for as long as a block lasts; requests without an answer of the service are repeated."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import count, cycle

import httpx

_AT_ONCE = 64
"""Requests at once: on a machine that is too slow for the rate, the rate gives way."""
_PAUSE_SECONDS = 0.5
_TRIES = 60
_PASSING = frozenset({502, 503, 504})
"""Statuses of a load balancer whose target is gone: clients repeat the request, as ours does."""


@dataclass(frozen=True)
class Request:
    """What is requested, and how. A request with a body has an idempotency key: it may be repeated."""

    method: str
    path: str
    body: dict[str, object] | None = None
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Failure:
    """A try that failed: when (`time.monotonic`), and how."""

    at: float
    what: str


@dataclass
class Load:
    """What became of the requests so far."""

    served: int = 0
    failures: list[Failure] = field(default_factory=list)
    """Tries that failed and were repeated."""
    wrong: list[str] = field(default_factory=list)
    """Requests that did not succeed in the end."""


@contextmanager
def steady_load(
    url: str, key: str, requests: Sequence[Request], *, per_second: float, timeout: float = 30
) -> Iterator[Load]:
    """Send requests in turn, half of them on connections that are kept, half on new ones, until the block ends."""
    load, stop = Load(), threading.Event()
    http = partial(
        httpx.AsyncClient,
        base_url=url,
        headers={"Authorization": f"Bearer {key}"},
        timeout=timeout,
        trust_env=False,
    )
    sender = threading.Thread(
        target=lambda: asyncio.run(_send(load, stop, http, requests, 1 / per_second)), name="load"
    )
    sender.start()
    try:
        yield load
    finally:
        stop.set()
        sender.join()


async def _send(
    load: Load,
    stop: threading.Event,
    http: Callable[..., httpx.AsyncClient],
    requests: Sequence[Request],
    period: float,
) -> None:
    slots = asyncio.Semaphore(_AT_ONCE)
    kept, new = httpx.Limits(max_connections=None), httpx.Limits(max_connections=None, max_keepalive_connections=0)

    async def send(client: httpx.AsyncClient, request: Request) -> None:
        await _until_served(load, client, request)
        slots.release()

    async with http(limits=kept) as first, http(limits=new) as second, asyncio.TaskGroup() as group:
        begin = time.monotonic()
        for number, request, client in zip(count(), cycle(requests), cycle((first, second)), strict=False):
            await asyncio.sleep(max(0.0, begin + number * period - time.monotonic()))
            if stop.is_set():
                break
            await slots.acquire()
            group.create_task(send(client, request))


async def _until_served(load: Load, http: httpx.AsyncClient, request: Request) -> None:
    for _ in range(_TRIES):
        begin = time.monotonic()
        try:
            response = await http.request(request.method, request.path, json=request.body, headers=request.headers)
        except httpx.HTTPError as error:
            what = repr(error)
        else:
            if response.status_code not in _PASSING:
                if response.is_error:
                    load.wrong.append(f"{request.method} {request.path}: {response.status_code} {response.text[:300]}")
                load.served += 1
                return
            what = f"{response.status_code} {response.text[:200]}"
        load.failures.append(Failure(begin, f"{request.method} {request.path}: {what}"))
        await asyncio.sleep(_PAUSE_SECONDS)
    load.wrong.append(f"{request.method} {request.path}: {what}")
