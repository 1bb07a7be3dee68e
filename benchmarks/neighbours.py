"""How a small tenant fares beside one that floods the service: its latency alone and beside the flood.

The flood comes from a process of its own. One kind is refused without a call of AWS: what it costs the small tenant
is the service's own. The other one reads logs, and shares the emulator of AWS as well.
"""

import json
import multiprocessing
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from itertools import cycle
from pathlib import Path

import psutil
from rich.console import Console
from rich.table import Table

from benchmarks.load import Request, Sample, drive
from benchmarks.stand import Stand, fresh, pending, service
from outpost.domain.ids import now
from outpost.domain.lifecycle import Claim, Start
from tests import guard

SECONDS = 6.0
SETTLED_SECONDS = 2.0
"""After which a flood is in full flow."""
FLOOD = 34
"""Clients that read a far place of a long log, as `test_a_flood_of_far_log_offsets` has them."""
CHUNKS = 120


def main(path: Path) -> None:
    """Measure, print a table, and write the figures to a file."""
    guard.start()
    rows, figures = [], {}
    context = multiprocessing.get_context("spawn")
    with fresh() as stand, ProcessPoolExecutor(1, context) as pool:
        pool.submit(int).result()  # the process is there
        small = stand.requests["status"]
        for name, request in _floods(stand).items():
            with service(stand.environment) as (port, server):
                alone = drive(port, small, 1, SECONDS, server)
                flood = pool.submit(_flood, port, request, SECONDS + 2 * SETTLED_SECONDS, server.pid)
                time.sleep(SETTLED_SECONDS)
                beside = drive(port, small, 1, SECONDS, server)
                served = flood.result()
            rows += [
                (f"alone, before {name}", alone),
                (f"beside {FLOOD} clients: {name}", beside),
                ("the flood", served),
            ]
            figures[name] = {
                "p50_alone_ms": alone.p50,
                "p50_beside_ms": beside.p50,
                "p95_alone_ms": alone.p95,
                "p95_beside_ms": beside.p95,
                "ratio": round(beside.p95 / alone.p95, 2),
                "passed_by": round(served.per_second * beside.p50 / 1e3, 1),
            }
    _show(rows)
    path.write_text(f"{json.dumps(figures, indent=2)}\n", encoding="utf-8")


def _floods(stand: Stand) -> dict[str, Request]:
    """Return requests of another tenant, by what they ask for."""
    flooding = stand.api.tenant()
    key = stand.api.key(flooding)
    row = stand.api.services.dispatches.create(pending(flooding.id), "a task", 10_000_000)
    claimed = stand.api.services.dispatches.change(row.id, Claim("worker", 0, now()))
    assert claimed.lease is not None  # noqa: S101 - a claim gives one
    running = stand.api.services.dispatches.change(row.id, Start(claimed.lease, now()))
    for number in range(1, CHUNKS + 1):
        stand.api.chunk(running, number, *["a line of a log as agents print them"] * 500)
    return {
        "refused requests": Request.of("GET", "/dispatch?limit=0", key, status=400),
        "far places of a log": Request.of("GET", f"/dispatch/{row.id}?logLimit=1&logOffset=99999999", key),
    }


def _flood(port: int, request: Request, seconds: float, server: int) -> Sample:
    return drive(port, cycle([request]), FLOOD, seconds, psutil.Process(server))


def _show(rows: list[tuple[str, Sample]]) -> None:
    table = Table("GET /dispatch/{id} of a small tenant", "p50 ms", "p95 ms", "requests/s", "CPU ms a request")
    for name, sample in rows:
        table.add_row(name, *(f"{each:g}" for each in (sample.p50, sample.p95, sample.per_second, sample.server_cpu)))
    Console(width=110).print(table, "bar: p95 beside a flood within 1.5 times that alone")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
