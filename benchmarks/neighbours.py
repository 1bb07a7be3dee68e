"""How a small tenant fares beside one that floods the service: its latency alone and beside the flood.

The flood comes from a process of its own, and AWS responds in a fixed time (`benchmarks.fixed_store`): what the flood
costs the small tenant is the service's own. The figures go to a file, and into the table of docs/performance.md.
"""

import multiprocessing
import statistics
import sys
import time
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from itertools import cycle
from pathlib import Path

import psutil
from rich.console import Console
from rich.table import Table

from benchmarks.fixed_store import fixed_store
from benchmarks.load import Request, Sample, drive
from benchmarks.page import write_figures, write_table
from benchmarks.stand import Stand, fresh, running, service
from tests import guard

ROUNDS = 9
"""Alone and beside the flood, in turn: other work on this machine then slows down both."""
SECONDS = 1.5
"""How long each lasts."""
SETTLED_SECONDS = 0.5
"""After which a flood is in full flow."""
FLOOD = 34
"""Clients that read a far place of a long log, as `test_a_flood_of_far_log_offsets` has them."""
CHUNKS = 120
BAR = 1.5
"""The p95 beside a flood in times of that alone, at most."""
COLUMNS = {
    "p50_alone_ms": "p50 alone, ms",
    "p50_beside_ms": "p50 beside, ms",
    "p95_alone_ms": "p95 alone, ms",
    "p95_beside_ms": "p95 beside, ms",
    "ratio": "p95, times",
    "flood_per_second": "the flood's requests/s",
}
HEAD = f"| flood | {' | '.join(COLUMNS.values())} |"


def main(path: Path) -> None:
    """Measure, print a table, and write the figures to a file."""
    guard.start()
    context = multiprocessing.get_context("spawn")
    with fresh() as stand, ProcessPoolExecutor(1, context) as pool:
        pool.submit(int).result()  # the process is there
        floods = _floods(stand).items()
        figures = {name: _measure(stand, pool, request) for name, request in floods}
    _show(figures)
    write_table(HEAD, table(figures), write_figures(path, {"floods": figures}))


def table(figures: Mapping[str, Mapping[str, float]]) -> str:
    """Return the rows of the page's table."""
    return "\n".join(
        f"| {flood} | {' | '.join(f'{each[name]:g}' for name in COLUMNS)} |" for flood, each in figures.items()
    )


def _measure(stand: Stand, pool: ProcessPoolExecutor, flood: Request) -> dict[str, float]:
    """Return how the small tenant fares: of each load the round with the lowest p95, as other work only adds to it."""
    small, rounds = stand.requests["status"], []
    with (
        fixed_store(stand.environment["AWS_ENDPOINT_URL"]) as url,
        service(stand.environment | {"AWS_ENDPOINT_URL": url}) as (port, server),
    ):
        drive(port, small, 1, SECONDS, server)
        for _ in range(ROUNDS):
            alone = drive(port, small, 1, SECONDS, server)
            served = pool.submit(_flood, port, flood, SECONDS + 2 * SETTLED_SECONDS, server.pid)
            time.sleep(SETTLED_SECONDS)
            beside = drive(port, small, 1, SECONDS, server)
            rounds.append((alone, beside, served.result()))
    alone, beside = (min(samples, key=lambda sample: sample.p95) for samples in list(zip(*rounds, strict=True))[:2])
    return {
        "p50_alone_ms": alone.p50,
        "p50_beside_ms": beside.p50,
        "p95_alone_ms": alone.p95,
        "p95_beside_ms": beside.p95,
        "ratio": round(beside.p95 / alone.p95, 2),
        "flood_per_second": statistics.median(flood.per_second for _, _, flood in rounds),
    }


def _floods(stand: Stand) -> dict[str, Request]:
    """Return requests of another tenant, by what they ask for."""
    flooding = stand.api.tenant()
    key = stand.api.key(flooding)
    row = running(stand.api, flooding.id)
    for number in range(1, CHUNKS + 1):
        stand.api.chunk(row, number, *["a line of a log as agents print them"] * 500)
    return {
        "refused requests": Request.of("GET", "/dispatch?limit=0", key, status=400),
        "far places of a log": Request.of("GET", f"/dispatch/{row.id}?logLimit=1&logOffset=99999999", key),
    }


def _flood(port: int, request: Request, seconds: float, server: int) -> Sample:
    return drive(port, cycle([request]), FLOOD, seconds, psutil.Process(server))


def _show(figures: Mapping[str, Mapping[str, float]]) -> None:
    shown = Table("GET /dispatch/{id} of a small tenant beside", *COLUMNS.values())
    for name, each in figures.items():
        shown.add_row(name, *(f"{each[column]:g}" for column in COLUMNS))
    Console(width=130).print(shown, f"bar: p95 beside a flood within {BAR} times that alone")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
