"""What is noticed how soon: the tests of real faults measure it, and docs/performance.md has a row for each."""

import fcntl
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from reconciler.silence import LEASE, PERIOD

FIGURES = Path(__file__).resolve().parents[2] / "build" / "faults.json"
"""Where the tests write what they measured: the name of a test -> `Figure`."""
SLACK = 60.0
"""Seconds beyond its bound that a state is awaited: bounds do not count what else runs on the machine."""

_LOST_WORKERS = "[ADR 41](adr/0041-when-a-worker-is-lost.md)"
_WORKER = "[ADR 40](adr/0040-workers-outlast-outages.md)"
_SILENT = (LEASE + PERIOD).total_seconds()


@dataclass(frozen=True)
class Notice:
    """How soon a fault is noticed. `bound` is in seconds, none where nothing is promised; `source` documents it."""

    test: str
    fault: str
    state: str
    """What says that it was noticed."""
    bound: float | None = None
    source: str = ""


@dataclass(frozen=True)
class Figure:
    """What a run of a test measured, in seconds, and the machine's load in the minute before."""

    seconds: float
    load: float


NOTICES = (
    Notice(
        "test_a_killed_worker_is_noticed_by_the_end_of_its_task",
        "a worker is killed (SIGKILL)",
        "its dispatch has ended as `WORKER_LOST`",
        PERIOD.total_seconds(),
        _LOST_WORKERS,
    ),
    Notice(
        "test_a_stopped_worker_is_lost_and_changes_nothing_when_it_continues",
        "a worker hangs (SIGSTOP)",
        "its dispatch has ended as `WORKER_LOST`",
        _SILENT,
        _LOST_WORKERS,
    ),
    Notice(
        "test_a_short_cut_of_the_network_loses_nothing",
        "the network between a worker and AWS is back after 8 s",
        "the dispatch that ended meanwhile has succeeded",
        10.0,
        _WORKER,
    ),
    Notice(
        "test_after_a_long_cut_of_the_network_another_worker_does_the_work",
        "the network between a worker and AWS is cut",
        "its dispatch waits for another worker",
        _SILENT,
        _LOST_WORKERS,
    ),
    Notice(
        "test_an_outage_of_all_of_aws_loses_nothing",
        "all of AWS hangs for 40 s (SIGSTOP), and is back",
        "the dispatch that ended meanwhile has succeeded",
        10.0,
        _WORKER,
    ),
    Notice(
        "test_a_full_disk_is_reported_and_the_next_dispatch_works",
        "an agent fills the disk",
        "its dispatch has ended as `DISK_FULL`",
    ),
    Notice(
        "test_a_killed_replica_is_replaced_and_the_other_one_serves",
        "a replica of the service is killed (SIGKILL)",
        "its replacement is healthy; the other one served meanwhile",
    ),
    Notice(
        "test_a_stopped_replica_gets_no_requests_and_is_replaced",
        "a replica of the service hangs (SIGSTOP)",
        "the load balancer sends it no requests",
        45.0,
        "health check: 3 times each 10 s, 5 s at most",
    ),
    Notice(
        "test_a_rolling_restart_under_load_fails_no_request",
        "the service restarts under 50 requests/s",
        "all replicas are new; no request has failed",
    ),
    Notice(
        "test_a_killed_aws_takes_every_task_along_and_can_be_deployed_again",
        "the embedded AWS is killed (SIGKILL)",
        "no process of a task is left",
    ),
)


@contextmanager
def noticing(test: str) -> Iterator[float]:
    """Measure the block, from the fault to the state that says so; yields the seconds to wait for it at most."""
    notice = next(each for each in NOTICES if each.test == test)
    begin = time.monotonic()
    yield (notice.bound or 60.0) + SLACK
    _write(notice, Figure(round(time.monotonic() - begin, 1), round(os.getloadavg()[0], 1)))


def figures() -> dict[str, Figure]:
    """Return what was measured last, by the name of the test."""
    text = FIGURES.read_text(encoding="utf-8") if FIGURES.exists() else "{}"
    return {test: Figure(**figure) for test, figure in json.loads(text).items()}


def _write(notice: Notice, figure: Figure) -> None:
    """Add a figure; other test runners may do so at the same time."""
    FIGURES.parent.mkdir(exist_ok=True)
    with FIGURES.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        found = {**figures(), notice.test: figure}
        FIGURES.write_text(json.dumps({test: asdict(each) for test, each in found.items()}, indent=2), encoding="utf-8")
