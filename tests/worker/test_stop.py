"""Runs that end before their end: time limit, cancel, lost lease, SIGTERM. The agent survives none."""

import signal
import socket
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import psutil
import pytest

from outpost.domain.artifacts import Artifact
from outpost.domain.dispatch import Lease, Status
from outpost.domain.ids import now
from outpost.domain.lifecycle import Cancel, Lose
from outpost.domain.reasons import Reason, ReasonCode
from outpost.names import Env
from tests.worker.conftest import Platform, eventually

LOST = Reason.of(ReasonCode.WORKER_LOST, "The worker fell silent.")


def _alive(marker: Path) -> list[int]:
    """Return the processes whose command line names `marker`."""
    return [p.pid for p in psutil.process_iter(["cmdline"]) if str(marker) in " ".join(p.info["cmdline"] or [])]


def _stubborn(marker: Path) -> str:
    """A task that ignores SIGTERM, with a child that left its session, its parent and its environment behind."""
    child = f"env -i setsid bash -c 'trap \"\" TERM; while :; do sleep 0.1; done' {marker}"
    return f"({child} &) ; trap '' TERM; echo partial > result; echo ready; while :; do sleep 0.1; done"


def test_the_time_limit_ends_the_run_within_two_seconds_and_keeps_what_there_is(platform: Platform) -> None:
    row = platform.run("echo partial > result; sleep 1000", timeout_seconds=3)
    assert row.status is Status.TIMEOUT
    assert row.reason is not None
    assert row.reason.code is ReasonCode.TIME_LIMIT
    assert row.usage is not None
    assert 3 <= row.usage.duration_seconds < 5
    assert b"+partial" in platform.read(row, Artifact.PATCH)
    assert platform.summary(row).outcome is Status.TIMEOUT


def test_what_ignores_sigterm_and_what_became_a_daemon_is_killed_after_the_grace(
    platform: Platform, tmp_path: Path
) -> None:
    marker = tmp_path / "daemon"
    row = platform.run(_stubborn(marker), timeout_seconds=1)
    assert row.status is Status.TIMEOUT
    assert row.usage is not None
    assert 11 <= row.usage.duration_seconds < 13
    assert row.exit_code == 137
    assert _alive(marker) == []


def test_a_daemon_does_not_outlive_an_agent_that_ends_by_itself(platform: Platform, tmp_path: Path) -> None:
    marker = tmp_path / "daemon"
    started = time.monotonic()
    row = platform.run(f"(env -i setsid bash -c 'sleep 1000; :' {marker} &); echo left")
    assert row.status is Status.SUCCESS
    assert _alive(marker) == []
    assert time.monotonic() - started < 20


def test_a_cancelled_run_stops_at_the_next_heartbeat_and_keeps_what_there_is(platform: Platform) -> None:
    row = platform.dispatch("echo partial > result; echo ready; sleep 1000")
    worker = platform.start_worker()
    platform.wait_for(row, "ready")
    platform.dispatches.change(row.id, Cancel("changed my mind", now()))
    assert platform.finish(worker) == 0
    row = platform.row(row)
    assert row.status is Status.CANCELLED
    assert row.cancel_requested_at is not None
    assert row.ended_at is not None
    assert row.ended_at - row.cancel_requested_at < timedelta(seconds=15)
    assert b"+partial" in platform.read(row, Artifact.PATCH)
    assert platform.summary(row).outcome is Status.CANCELLED


@pytest.fixture
def silent_git_server() -> Iterator[str]:
    """A git server that takes connections and never answers: every clone from it lasts."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"git://127.0.0.1:{server.getsockname()[1]}"


def test_a_clone_is_cancelled_and_its_agent_never_starts(platform: Platform, silent_git_server: str) -> None:
    row = platform.dispatch("echo never", repo="owner/slow")
    worker = platform.start_worker({Env.GIT_BASE_URL: silent_git_server})
    platform.wait_for(row, "cloning")
    platform.dispatches.change(row.id, Cancel("changed my mind", now()))
    assert platform.finish(worker) == 0
    row = platform.row(row)
    assert row.status is Status.CANCELLED
    assert row.running_at is None


def test_sigterm_during_a_clone_leaves_the_dispatch_to_be_retried(platform: Platform, silent_git_server: str) -> None:
    row = platform.dispatch("echo never", repo="owner/slow")
    worker = platform.start_worker({Env.GIT_BASE_URL: silent_git_server})
    platform.wait_for(row, "cloning")
    worker.send_signal(signal.SIGTERM)
    assert platform.finish(worker) == 143
    assert platform.row(row).status is Status.PROVISIONING


def test_a_worker_that_lost_its_lease_changes_nothing_not_even_after_a_pause(
    platform: Platform, tmp_path: Path
) -> None:
    task = f"echo ready; exec bash -c 'sleep 12; echo late; sleep 1000' {tmp_path}"
    paused, beating = platform.dispatch(task), platform.dispatch(task)
    for _ in (paused, beating):
        platform.start_worker()
    ended = {}
    for row in (paused, beating):
        platform.wait_for(row, "ready")
        worker_id = platform.row(row).worker_id
        assert worker_id is not None
        if row is paused:
            platform.workers[worker_id].send_signal(signal.SIGSTOP)
        ended[worker_id] = platform.dispatches.change(row.id, Lose(Lease(worker_id=worker_id, token=1), LOST, now()))
    stored = {worker_id: platform.keys(row) for worker_id, row in ended.items()}
    for worker_id, row in ended.items():
        platform.workers[worker_id].send_signal(signal.SIGCONT)
        assert platform.finish(platform.workers[worker_id]) == 75
        assert platform.row(row) == row
        assert platform.keys(row) == stored[worker_id]
    assert _alive(tmp_path) == []


def test_sigterm_leaves_a_checkpoint_and_no_outcome(platform: Platform, tmp_path: Path) -> None:
    marker = tmp_path / "agent"
    row = platform.dispatch(f"echo partial > result; echo ready; exec bash -c 'sleep 1000; :' {marker}")
    worker = platform.start_worker()
    platform.wait_for(row, "ready")
    worker.send_signal(signal.SIGTERM)
    assert platform.finish(worker) == 143
    row = platform.row(row)
    assert row.status is Status.RUNNING  # its end is for the task-stopped event to tell
    assert b"+partial" in platform.read(row, Artifact.PATCH)
    assert platform.read(row, Artifact.OUTPUT) == b"ready\n"
    assert "summary.json" not in platform.keys(row)
    assert _alive(marker) == []


def test_an_idle_worker_leaves_at_sigterm(platform: Platform) -> None:
    worker = platform.start_worker()
    eventually(lambda: _polls(worker.pid))
    worker.send_signal(signal.SIGTERM)
    assert platform.finish(worker) == 0


def _polls(pid: int) -> bool:
    """Say whether the process waits in a request: it has claimed in vain, and asks its queue now."""
    try:
        return len(psutil.Process(pid).net_connections()) >= 2
    except psutil.Error:
        return False
