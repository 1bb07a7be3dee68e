"""How a small tenant fares beside one that floods the service: its latency alone and beside the flood."""

import json
import sys
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.load import Request, Sample, drive
from benchmarks.stand import fresh, pending, service
from outpost.domain.ids import now
from outpost.domain.lifecycle import Claim, Start
from tests import guard

SECONDS = 8.0
FLOOD = 34
"""Clients that read a far place of a long log, as `test_a_flood_of_far_log_offsets` has them."""
CHUNKS = 120


def main(path: Path) -> None:
    """Measure, print a table, and write the figures to a file."""
    guard.start()
    with fresh() as stand:
        flooding = stand.api.tenant()
        row = stand.api.services.dispatches.create(pending(flooding.id), "a task", 10_000_000)
        claimed = stand.api.services.dispatches.change(row.id, Claim("worker", 0, now()))
        assert claimed.lease is not None  # noqa: S101 - a claim gives one
        running = stand.api.services.dispatches.change(row.id, Start(claimed.lease, now()))
        for number in range(1, CHUNKS + 1):
            stand.api.chunk(running, number, *["a line of a log as agents print them"] * 500)
        address = f"/dispatch/{row.id}?logLimit=1&logOffset=99999999"
        flood = cycle([Request.of("GET", address, stand.api.key(flooding))])
        with service(stand.environment) as (port, server), ThreadPoolExecutor(1) as pool:
            small = stand.requests["list"]
            alone = drive(port, small, 1, SECONDS, server)
            flooded = pool.submit(drive, port, flood, FLOOD, 2 * SECONDS, server)
            beside = drive(port, small, 1, SECONDS, server)
            served = flooded.result()
    _show(alone, beside, served)
    figures = {"p95_alone_ms": alone.p95, "p95_beside_ms": beside.p95, "ratio": round(beside.p95 / alone.p95, 2)}
    path.write_text(f"{json.dumps(figures, indent=2)}\n", encoding="utf-8")


def _show(alone: Sample, beside: Sample, flood: Sample) -> None:
    table = Table("GET /dispatch of a small tenant", "p50 ms", "p95 ms", "requests/s")
    for name, sample in (("alone", alone), (f"beside {FLOOD} clients of another", beside), ("(the flood)", flood)):
        table.add_row(name, f"{sample.p50:g}", f"{sample.p95:g}", f"{sample.per_second:g}")
    Console(width=110).print(table, f"p95 beside the flood: {beside.p95 / alone.p95:.2f} times that alone (bar: 1.5)")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
