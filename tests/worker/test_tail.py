"""The last log lines of a dispatch that did not succeed are in its row, whatever closed it."""

import psutil

from outpost.domain.agents import Agent
from outpost.domain.diagnosis import TaskStop
from outpost.domain.dispatch import LOG_TAIL_BYTES, Status
from outpost.domain.ids import now
from outpost.fleet.recovery import Recovery
from outpost.fleet.worker_termination import WorkerTermination
from outpost.store.database import Database
from outpost.store.launches import Launches
from outpost.store.workers import Workers
from tests.worker.conftest import Platform, kill

TOKEN = "ghp_0123456789abcdefghijABCDEFGHIJ456789"


def test_a_failed_dispatch_shows_its_last_lines_without_secrets(platform: Platform) -> None:
    row = platform.run(f"seq 1 5000; echo {TOKEN}; echo that went wrong >&2; exit 3")
    assert row.log_tail is not None
    assert row.log_tail == platform.summary(row).log_tail
    assert len(row.log_tail.encode()) <= LOG_TAIL_BYTES
    lines = row.log_tail.splitlines()
    assert lines.index("5000") < lines.index("that went wrong")
    assert "exit code 3" in lines[-1]
    assert TOKEN not in row.log_tail


def test_a_success_has_no_tail(platform: Platform) -> None:
    assert platform.run("echo fine; exit 0").log_tail is None


def test_a_lost_worker_leaves_its_last_lines_from_the_stored_chunks(platform: Platform) -> None:
    row = platform.dispatch("seq 1 20000; echo the last thing; sleep 600")
    worker = platform.start_worker()
    platform.wait_for(row, "the last thing")
    below = psutil.Process(worker.pid).children(recursive=True)
    kill(worker)
    worker.communicate(timeout=120)
    assert psutil.wait_procs(below, timeout=120)[1] == []
    database = Database.from_environment()
    workers = Workers(database)
    recovery = Recovery(platform.dispatches, platform.artifacts)
    termination = WorkerTermination(workers, platform.dispatches, recovery, Launches(database))
    held = platform.row(row)
    assert held.lease is not None
    termination.handle(Agent.SHELL, held.lease.worker_id, TaskStop("EssentialContainerExited", "", 137), now())
    ended = platform.row(row)
    assert ended.status is Status.FAILED
    assert ended.log_tail is not None
    assert "the last thing" in ended.log_tail.splitlines()[-2:]
    assert ended.reason is not None
    assert "was killed" in ended.reason.message
