"""Workers die, the control plane dies: nothing is lost, nothing runs twice, nothing stays behind."""

import os
import signal
from typing import Any

import psutil
import pytest

from outpost_client import ApiError
from outpost_client.results import Status

Outpost = Any
CRASH_BOUND = 60
"""Seconds in which a crashed or hung worker is noticed (design: 60)."""


@pytest.fixture
def git_stalls(outpost: Outpost) -> Any:  # noqa: ANN401 - a pair of functions
    """A git server that accepts connections and answers nothing, until it is told to go on."""
    daemons = [
        process
        for process in psutil.process_iter(["cmdline"])
        if f"--base-path={outpost.environment.git.repositories}" in (process.info["cmdline"] or [])
    ]
    assert daemons

    def send(number: signal.Signals) -> None:
        for daemon in daemons:
            os.kill(daemon.pid, number)

    send(signal.SIGSTOP)
    yield lambda: send(signal.SIGCONT)
    send(signal.SIGCONT)


def test_a_worker_killed_before_its_agent_started_is_retried(
    outpost: Outpost,
    repository: str,
    git_stalls: Any,  # noqa: ANN401
) -> None:
    dispatch = outpost.dispatch("echo ran > out", repo=repository)
    outpost.reaches(dispatch.id, Status.PROVISIONING, within=60)
    outpost.signal_worker(dispatch.id, signal.SIGKILL)
    git_stalls()
    ended = outpost.ends(dispatch.id, within=CRASH_BOUND + 30)
    assert (ended.status, ended.attempt) == (Status.SUCCESS, 2)
    assert b"+ran" in outpost.artifact(dispatch.id, "changes.patch")


def test_a_worker_killed_in_mid_run_ends_as_worker_lost(outpost: Outpost) -> None:
    dispatch = outpost.dispatch("echo begun; sleep 600")
    outpost.reaches(dispatch.id, Status.RUNNING, within=60)
    outpost.signal_worker(dispatch.id, signal.SIGKILL)
    ended = outpost.ends(dispatch.id, within=CRASH_BOUND + 30)
    assert (ended.status, ended.reason.code, ended.attempt) == (Status.FAILED, "WORKER_LOST", 1)


def test_a_retryable_dispatch_survives_its_worker(outpost: Outpost) -> None:
    dispatch = outpost.dispatch("echo begun; sleep 6; echo done", retryable=True)
    outpost.reaches(dispatch.id, Status.RUNNING, within=60)
    outpost.signal_worker(dispatch.id, signal.SIGKILL)
    ended = outpost.ends(dispatch.id, within=CRASH_BOUND + 30)
    assert (ended.status, ended.attempt) == (Status.SUCCESS, 2)


def test_a_control_plane_killed_under_load_loses_nothing_that_it_accepted(outpost: Outpost) -> None:
    accepted = []
    for number in range(12):
        if number == 4:
            kill_control_plane(outpost)
        try:
            accepted.append(outpost.dispatch(f"echo number {number}", timeout_seconds=60).id)
        except ApiError:
            continue
    assert len(accepted) >= 4
    outpost.is_ready()
    for dispatch_id in accepted:
        assert outpost.ends(dispatch_id, within=120).status is Status.SUCCESS


def kill_control_plane(outpost: Outpost) -> None:
    tasks = outpost.environment.status().tasks
    services = [task_id for task_id, family in tasks.items() if family != "outpost-local-shell"]
    for task_id in services:
        for process in outpost.environment.task_processes(task_id):
            os.kill(process.pid, signal.SIGKILL)
