"""`make bench`: how fast the control plane answers, beside the bare AWS calls that the answers need."""

import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import boto3
from rich.console import Console
from rich.table import Table

from benchmarks.load import Sample, ask, drive
from benchmarks.stand import Stand, fresh, pending, service
from outpost.domain.ids import now
from tests.contract.relay import relay

CLIENTS = (1, 8, 32)
SECONDS = 3.0
"""How long each load lasts."""
BARE_CALLS = 200
COUNTED = 10
"""Requests of each kind whose AWS calls are counted."""


@dataclass(frozen=True)
class Level:
    """One kind of request asked by some clients at once."""

    request: str
    clients: int
    sample: Sample


def main(path: Path) -> None:
    """Measure, print one table, and write all figures to a file."""
    levels: list[Level] = []
    for clients in CLIENTS:
        with fresh() as stand:
            if clients == CLIENTS[0]:
                bare, calls = _bare(stand), _calls(stand)
            with service(stand.environment) as (port, server):
                levels += [
                    Level(name, clients, drive(port, requests, clients, SECONDS, server))
                    for name, requests in stand.requests.items()
                ]
    load = [round(figure, 1) for figure in os.getloadavg()]
    Console(width=110).print(
        _table(levels, calls, bare), f"Load of the machine: {load}, {os.cpu_count()} CPUs. All of it: {path}"
    )
    document = {
        "at": now().isoformat(),
        "load": load,
        "cpus": os.cpu_count(),
        "bare_ms": bare,
        "aws_calls": calls,
        "levels": [{"request": level.request, "clients": level.clients} | asdict(level.sample) for level in levels],
    }
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"{json.dumps(document, indent=2)}\n", encoding="utf-8")


def _bare(stand: Stand) -> dict[str, float]:
    """Return the median milliseconds of the calls that requests cannot do without, one at a time."""
    dispatches, dynamodb = stand.api.services.dispatches, boto3.client("dynamodb")
    row = dispatches.create(pending("bare"), "a task", 1_000_000)
    key = {"pk": {"S": f"DISPATCH#{row.id}"}, "sk": {"S": "DISPATCH"}}
    table = stand.api.database.dispatches
    calls: dict[str, Callable[[], object]] = {
        "GetItem, boto3": lambda: dynamodb.get_item(TableName=table, Key=key, ConsistentRead=True),
        "GetItem, ours": lambda: dispatches.get(row.id),
        "transaction + send, ours": lambda: dispatches.create(pending("bare"), "a task", 1_000_000),
    }
    return {name: _median(call) for name, call in calls.items()}


def _median(call: Callable[[], object]) -> float:
    times = []
    for _ in range(BARE_CALLS):
        begin = time.perf_counter()
        call()
        times.append(time.perf_counter() - begin)
    return round(statistics.median(times) * 1e3, 2)


def _calls(stand: Stand) -> dict[str, dict[str, float]]:
    """Return how often each kind of request calls AWS, by operation."""
    counted: dict[str, dict[str, float]] = {}
    endpoint = stand.environment["AWS_ENDPOINT_URL"]
    with relay(endpoint) as way, service(stand.environment | {"AWS_ENDPOINT_URL": way.url}) as (port, _):
        for name, requests in stand.requests.items():
            ask(port, requests, 1)  # the look-up of its key is cached from here on
            way.made.clear()
            ask(port, requests, COUNTED)
            counted[name] = {operation: count / COUNTED for operation, count in way.made.items()}
    return counted


def _table(levels: list[Level], calls: dict[str, dict[str, float]], bare: dict[str, float]) -> Table:
    table = Table("request", "clients", "p50 ms", "p95 ms", "requests/s", "server CPU ms", "MiB", "AWS calls")
    for level in levels:
        sample, made = level.sample, calls[level.request]
        figures = (sample.p50, sample.p95, sample.per_second, sample.server_cpu, sample.memory)
        called = "\n".join(f"{count:g} {operation}" for operation, count in made.items())
        table.add_row(level.request, str(level.clients), *(f"{figure:g}" for figure in figures), called)
    table.add_section()
    for name, milliseconds in bare.items():
        table.add_row(f"bare {name}", "1", f"{milliseconds:g}")
    return table


if __name__ == "__main__":
    main(Path(sys.argv[1]))
