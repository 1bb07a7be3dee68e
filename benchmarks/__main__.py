"""`make bench`: how fast the control plane responds, beside the AWS calls that a response needs."""

import statistics
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from itertools import chain
from pathlib import Path

import boto3
from rich.console import Console
from rich.table import Table

from benchmarks.load import Sample, drive, send
from benchmarks.page import write_figures
from benchmarks.stand import Stand, fresh, pending, service
from outpost.aws.client_config import CLIENT_CONFIG
from tests import guard
from tests.contract.relay import relay

CLIENTS = (1, 8, 32)
SECONDS = 3.0
"""How long each load lasts."""
BARE_SECONDS = 1.5
COUNTED = 10
"""Requests of each kind whose AWS calls are counted."""


@dataclass(frozen=True)
class Level:
    """One kind of request asked by some clients at once."""

    request: str
    clients: int
    sample: Sample


@dataclass(frozen=True)
class Bare:
    """The AWS calls that a kind of request cannot do without, made by some threads at once."""

    call: str
    clients: int
    p50: float
    per_second: float


def main(path: Path) -> None:
    """Measure, print one table, and write all figures to a file."""
    guard.start()
    levels: list[Level] = []
    bare: list[Bare] = []
    for clients in CLIENTS:
        with fresh() as stand:
            if clients == CLIENTS[0]:
                calls = _calls(stand)
            bare += _bare(stand, clients)
            with service(stand.environment) as (port, server):
                levels += [
                    Level(name, clients, drive(port, requests, clients, SECONDS, server))
                    for name, requests in stand.requests.items()
                ]
    figures = {
        "bare": [asdict(each) for each in bare],
        "aws_calls": calls,
        "levels": [{"request": level.request, "clients": level.clients} | asdict(level.sample) for level in levels],
    }
    Console(width=110).print(_table(levels, calls, bare), f"{write_figures(path, figures)} All of it: {path}")


def _bare(stand: Stand, clients: int) -> Iterator[Bare]:
    """Measure the calls that requests cannot do without, on the same machine and emulator."""
    dispatches, dynamodb = stand.api.stores.dispatches, boto3.client("dynamodb", config=CLIENT_CONFIG)
    row = dispatches.create(pending("bare"), "a task", 1_000_000)
    key = {"pk": {"S": f"DISPATCH#{row.id}"}, "sk": {"S": "DISPATCH"}}
    table = stand.api.database.dispatches
    calls: dict[str, Callable[[], object]] = {
        "GetItem, boto3": lambda: dynamodb.get_item(TableName=table, Key=key, ConsistentRead=True),
        "GetItem, ours": lambda: dispatches.get(row.id),
        "Query of 20, ours": lambda: dispatches.page(stand.watching, limit=20),
        "transaction + send, ours": lambda: dispatches.create(pending("bare"), "a task", 1_000_000),
    }
    for name, call in calls.items():
        with ThreadPoolExecutor(clients) as pool:
            times = sorted(chain.from_iterable(pool.map(lambda _: _times(call), range(clients))))  # noqa: B023
        yield Bare(name, clients, round(statistics.median(times) * 1e3, 2), round(len(times) / BARE_SECONDS, 1))


def _times(call: Callable[[], object]) -> list[float]:
    times, end = [], time.perf_counter() + BARE_SECONDS
    while (begin := time.perf_counter()) < end:
        call()
        times.append(time.perf_counter() - begin)
    return times


def _calls(stand: Stand) -> dict[str, dict[str, float]]:
    """Return how often each kind of request calls AWS, by operation."""
    counted: dict[str, dict[str, float]] = {}
    endpoint = stand.environment["AWS_ENDPOINT_URL"]
    with relay(endpoint) as way, service(stand.environment | {"AWS_ENDPOINT_URL": way.url}) as (port, _):
        for name, requests in stand.requests.items():
            send(port, requests, 1)  # the look-up of its key is cached from here on
            way.made.clear()
            send(port, requests, COUNTED)
            counted[name] = {operation: count / COUNTED for operation, count in way.made.items()}
    return counted


def _table(levels: list[Level], calls: dict[str, dict[str, float]], bare: list[Bare]) -> Table:
    table = Table("request", "clients", "p50 ms", "p95 ms", "requests/s", "server CPU ms", "MiB", "AWS calls")
    for level in levels:
        sample, made = level.sample, calls[level.request]
        figures = (sample.p50, sample.p95, sample.per_second, sample.server_cpu, sample.memory)
        called = "\n".join(f"{count:g} {operation}" for operation, count in made.items())
        table.add_row(level.request, str(level.clients), *(f"{figure:g}" for figure in figures), called)
    table.add_section()
    for each in bare:
        table.add_row(f"bare {each.call}", str(each.clients), f"{each.p50:g}", "", f"{each.per_second:g}")
    return table


if __name__ == "__main__":
    main(Path(sys.argv[1]))
