"""The limits that end an agent: silence, disk; and what the end is called."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import TypeAdapter

from outpost.domain.artifacts import Artifact
from outpost.domain.dispatch import Status
from outpost.domain.ids import new_id
from outpost.domain.reasons import ReasonCode
from outpost.names import Env
from tests.worker.brokers import broker_variables, create_broker
from tests.worker.conftest import Platform
from worker import agent_process
from worker.adapters.base import Invocation
from worker.agent_process import HELD_BYTES, AgentCommand, AgentEnd, HeldRoom, Limit, Watchdog
from worker.outcome import Evidence, decide_outcome


def run(folder: Path, script: str, *agent: str, **limits: float) -> AgentEnd:
    command = AgentCommand(
        Invocation(("bash", "-c", script)),
        environment={"PATH": "/usr/bin:/bin"},
        directory=folder,
        time_limit=limits.get("time_limit", 60),
        silence_limit=limits.get("silence_limit"),
        disk_reserve=int(limits.get("disk_reserve", 0)),
    )
    argument = TypeAdapter(AgentCommand).dump_json(command).decode()
    harness = [sys.executable, str(Path(__file__).parent / "limited_agent.py"), argument, *agent]
    roots = {"PYTHONPATH": "container:."}
    done = subprocess.run(harness, env=os.environ | roots, stdout=subprocess.PIPE, check=True, timeout=60)
    return TypeAdapter(AgentEnd).validate_json(done.stdout)


def test_an_agent_that_says_nothing_is_stopped(tmp_path: Path) -> None:
    end = run(tmp_path, "echo begins; sleep 600", silence_limit=0.5)
    assert (end.limit, end.by_itself) == (Limit.SILENCE, False)


def test_an_agent_that_keeps_printing_is_not_silent(tmp_path: Path) -> None:
    end = run(tmp_path, "for n in 1 2 3 4 5 6 7 8 9 10; do echo $n; sleep 0.2; done", silence_limit=1.5)
    assert (end.limit, end.exit_code) == (None, 0)


def test_an_agent_that_fills_the_disk_is_stopped_while_there_is_room_for_the_results(tmp_path: Path) -> None:
    end = run(tmp_path, "sleep 600", disk_reserve=2**62)
    assert (end.limit, end.disk_full) == (Limit.DISK, True)


def test_a_disk_without_inodes_is_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dog = Watchdog(60, None, tmp_path, disk_reserve=0)
    before = dog.disk_is_full()
    monkeypatch.setattr(agent_process, "DISK_RESERVE_FILES", 2**62)
    assert (before, dog.disk_is_full()) == (False, os.statvfs(tmp_path).f_files > 0)


def test_room_on_the_disk_is_held_while_the_agent_runs_and_given_back_for_its_results(
    platform: Platform, tmp_path: Path
) -> None:
    room = HeldRoom(tmp_path / "room")
    room.take()
    assert (tmp_path / "room").stat().st_blocks * 512 >= HELD_BYTES
    room.release()
    assert [*tmp_path.iterdir()] == []
    row = platform.run("stat --format='%b blocks held' ../harness/held-room")
    held = next(line for line in platform.messages(row) if line.endswith(" blocks held"))
    assert int(held.split()[0]) * 512 >= HELD_BYTES


def test_of_time_and_silence_the_first_to_pass_counts(tmp_path: Path) -> None:
    assert run(tmp_path, "sleep 600", time_limit=0.2, silence_limit=5).limit is Limit.TIME


@pytest.mark.full
def test_a_final_event_counts_when_the_output_ends_behind_it_without_a_newline(tmp_path: Path) -> None:
    script = """printf '{"type": "turn.completed"}'; exec >&- 2>&-; sleep 600"""
    end = run(tmp_path, script, "codex", time_limit=25)
    assert (end.limit, end.exit_code) == (None, None)


@pytest.mark.parametrize(
    ("end", "status", "code"),
    [
        (AgentEnd(143, 1.0, limit=Limit.SILENCE), Status.FAILED, ReasonCode.NO_PROGRESS),
        (AgentEnd(0, 1.0, limit=Limit.SILENCE), Status.FAILED, ReasonCode.NO_PROGRESS),
        (AgentEnd(143, 1.0, limit=Limit.DISK), Status.FAILED, ReasonCode.DISK_FULL),
        (AgentEnd(143, 1.0, limit=Limit.TIME), Status.TIMEOUT, ReasonCode.TIME_LIMIT),
        (AgentEnd(137, 1.0, out_of_memory=True), Status.FAILED, ReasonCode.OUT_OF_MEMORY),
        (AgentEnd(1, 1.0, out_of_memory=True), Status.FAILED, ReasonCode.OUT_OF_MEMORY),
        (AgentEnd(1, 1.0, disk_full=True), Status.FAILED, ReasonCode.DISK_FULL),
        (AgentEnd(137, 1.0), Status.FAILED, ReasonCode.AGENT_EXIT_NONZERO),
        (AgentEnd(0, 1.0, out_of_memory=True, disk_full=True), Status.SUCCESS, ReasonCode.COMPLETED),
    ],
)
def test_each_end_has_its_own_reason(end: AgentEnd, status: Status, code: ReasonCode) -> None:
    outcome = decide_outcome(Evidence(end, time_limit=60))
    assert (outcome.status, outcome.reason.code) == (status, code)


def test_a_silent_agent_is_ended_after_the_time_that_its_environment_configures(platform: Platform) -> None:
    variables = broker_variables()
    agents = json.loads(variables[Env.AGENTS])
    agents["shell"]["no_progress_seconds"] = 2
    name = f"impatient-{new_id().lower()}"
    broker = create_broker(name, variables | {Env.AGENTS: json.dumps(agents)})
    row = platform.run("echo working > done; sleep 1000", {Env.BROKER_FUNCTION: broker})
    assert row.reason is not None
    assert (row.status, row.reason.code) == (Status.FAILED, ReasonCode.NO_PROGRESS)
    assert b"+working" in platform.read(row, Artifact.PATCH)
