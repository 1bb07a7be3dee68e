"""Runs that end before their end: time limit, cancel, lost lease, SIGTERM. The agent survives none."""

import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import psutil
import pytest

from outpost.domain.artifacts import Artifact
from outpost.domain.dispatch import Dispatch, Status
from outpost.domain.ids import now
from outpost.domain.lifecycle import Cancel, Lose
from outpost.domain.reasons import Reason, ReasonCode
from outpost.names import Env
from tests.eventually import eventually
from tests.worker.conftest import Platform

LOST = Reason.of(ReasonCode.WORKER_LOST, "The worker fell silent.")

BUSY = 5
"""Seconds that a busy machine may add to a bound."""


def _alive(marker: Path) -> list[int]:
    """Return the processes whose command line names `marker`."""
    return [p.pid for p in psutil.process_iter(["cmdline"]) if str(marker) in " ".join(p.info["cmdline"] or [])]


def _stubborn(marker: Path) -> str:
    """A task that ignores SIGTERM, with a child that left its session, its parent and its environment behind."""
    child = f"env -i setsid bash -c 'trap \"\" TERM; while :; do sleep 0.1; done' {marker}/stubborn"
    return f"({child} &) ; trap '' TERM; echo partial > result; echo ready; while :; do sleep 0.1; done"


@dataclass(frozen=True)
class Begun:
    """A running dispatch, and the worker that runs it."""

    row: Dispatch
    worker: subprocess.Popen[bytes]


def _begin(
    platform: Platform, task: str, seen: str, variables: Mapping[str, str] | None = None, **spec: object
) -> Begun:
    """Start a dispatch, and wait until `seen` is in its log."""
    row = platform.dispatch(task, **spec)
    worker = platform.start_worker(variables)
    platform.wait_for(row, seen)
    return Begun(platform.row(row), worker)


@pytest.fixture(scope="module")
def silent_git_server() -> Iterator[str]:
    """A git server that takes connections and never responds: every clone from it lasts."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"git://127.0.0.1:{server.getsockname()[1]}"


@dataclass(frozen=True)
class SlowRuns:
    """Runs that last for a heartbeat or a grace, begun together so that their tests wait only once."""

    marker: Path
    stubborn: Begun
    cancelled: Begun
    cancelled_clone: Begun
    lost: Begun
    lost_while_paused: Begun


@pytest.fixture(scope="module")
def slow(platform: Platform, silent_git_server: str, tmp_path_factory: pytest.TempPathFactory) -> SlowRuns:
    marker = tmp_path_factory.mktemp("marker")
    lasting = f"echo partial > result; echo ready; exec bash -c 'sleep 60; echo late; sleep 1000' {marker}/daemon"
    elsewhere: dict[str, str] = {Env.GIT_BASE_URL: silent_git_server}
    runs = SlowRuns(
        marker=marker,
        stubborn=_begin(platform, _stubborn(marker), "ready", timeout_seconds=4),
        cancelled=_begin(platform, lasting, "ready"),
        cancelled_clone=_begin(platform, "echo never", "cloning", elsewhere, repo="owner/slow"),
        lost=_begin(platform, lasting, "ready"),
        lost_while_paused=_begin(platform, lasting, "ready"),
    )
    runs.lost_while_paused.worker.send_signal(signal.SIGSTOP)
    for run in (runs.cancelled, runs.cancelled_clone):
        platform.dispatches.change(run.row.id, Cancel("changed my mind", now()))
    for run in (runs.lost, runs.lost_while_paused):
        assert run.row.lease is not None
        platform.dispatches.change(run.row.id, Lose(run.row.lease, LOST, now()))
    return runs


def test_the_time_limit_ends_the_run_within_two_seconds_and_keeps_what_there_is(platform: Platform) -> None:
    row = platform.run("echo partial > result; sleep 1000", timeout_seconds=3)
    assert row.status is Status.TIMEOUT
    assert row.reason is not None
    assert row.reason.code is ReasonCode.TIME_LIMIT
    assert row.usage is not None
    assert 3 <= row.usage.duration_seconds < 5 + BUSY
    assert b"+partial" in platform.read(row, Artifact.PATCH)
    assert platform.summary(row).outcome is Status.TIMEOUT


def test_what_ignores_sigterm_and_what_became_a_daemon_is_killed_after_the_grace(
    platform: Platform, slow: SlowRuns
) -> None:
    assert platform.finish(slow.stubborn.worker) == 0
    row = platform.row(slow.stubborn.row)
    assert row.status is Status.TIMEOUT
    assert row.usage is not None
    assert 14 <= row.usage.duration_seconds < 16 + BUSY
    assert row.exit_code == 137
    assert _alive(slow.marker / "stubborn") == []


def test_a_daemon_does_not_outlive_an_agent_that_ends_by_itself(platform: Platform, tmp_path: Path) -> None:
    marker = tmp_path / "daemon"
    started = time.monotonic()
    row = platform.run(f"(env -i setsid bash -c 'sleep 1000; :' {marker} &); echo left")
    assert row.status is Status.SUCCESS
    assert _alive(marker) == []
    assert time.monotonic() - started < 20


def test_a_cancelled_run_stops_at_the_next_heartbeat_and_keeps_what_there_is(
    platform: Platform, slow: SlowRuns
) -> None:
    assert platform.finish(slow.cancelled.worker) == 0
    row = platform.row(slow.cancelled.row)
    assert row.status is Status.CANCELLED
    assert row.cancel_requested_at is not None
    assert row.ended_at is not None
    assert row.ended_at - row.cancel_requested_at < timedelta(seconds=15)
    assert b"+partial" in platform.read(row, Artifact.PATCH)
    assert platform.summary(row).outcome is Status.CANCELLED
    assert platform.summary(row).reason == row.reason
    assert row.reason is not None
    assert row.reason.message == "Cancelled: changed my mind"
    assert "Cancelled: changed my mind" in platform.messages(row)


def test_a_clone_is_cancelled_and_its_agent_never_starts(platform: Platform, slow: SlowRuns) -> None:
    assert platform.finish(slow.cancelled_clone.worker) == 0
    row = platform.row(slow.cancelled_clone.row)
    assert row.status is Status.CANCELLED
    assert row.running_at is None


@pytest.mark.parametrize("paused", [False, True], ids=["silently", "while the worker was paused"])
def test_a_worker_that_lost_its_lease_changes_nothing(platform: Platform, slow: SlowRuns, paused: bool) -> None:
    run = slow.lost_while_paused if paused else slow.lost
    ended = platform.row(run.row)
    assert ended.status is Status.FAILED
    run.worker.send_signal(signal.SIGCONT)
    assert platform.finish(run.worker) == 75
    assert platform.row(run.row) == ended
    # Lines of the log may follow until the worker hears of it.
    assert not {"changes.patch", "output.log", "summary.json"} & platform.keys(run.row)
    assert "late" not in platform.messages(run.row)


def test_sigterm_during_a_clone_leaves_the_dispatch_to_be_retried(platform: Platform, silent_git_server: str) -> None:
    run = _begin(platform, "echo never", "cloning", {Env.GIT_BASE_URL: silent_git_server}, repo="owner/slow")
    run.worker.send_signal(signal.SIGTERM)
    assert platform.finish(run.worker) == 143
    assert platform.row(run.row).status is Status.PROVISIONING


def test_sigterm_leaves_a_checkpoint_and_no_outcome(platform: Platform, tmp_path: Path) -> None:
    marker = tmp_path / "agent"
    run = _begin(platform, f"echo partial > result; echo ready; exec bash -c 'sleep 1000; :' {marker}", "ready")
    run.worker.send_signal(signal.SIGTERM)
    assert platform.finish(run.worker) == 143
    row = platform.row(run.row)
    assert row.status is Status.RUNNING  # its end follows from the task-stopped event
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
