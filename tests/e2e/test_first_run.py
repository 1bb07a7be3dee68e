"""`outpost local up` and `down` as they are typed: a first task and its patch, again, and only repositories left."""

import os
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from outpost_client import Client
from outpost_client.cli import connection
from outpost_client.cli.connection import Profile
from outpost_client.cli.watch import watch
from outpost_client.models import DispatchRequest
from outpost_local.environment import LocalEnvironment
from outpost_local.settings import INSTANCE_MARKER, OWNER_MARKER, REPOSITORY_ROOT

# The command line as installed, but with a data folder of its own instead of the checkout's.
_OUTPOST = """\
import sys
from pathlib import Path
from outpost_client.cli import connection
connection.LOCAL_PROFILE = Path(sys.argv.pop(1), "profile.json")
from outpost_client.cli.main import main
main()
"""


TASK = "Please do something."


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A data folder for the command line, of which nothing runs on after the test."""
    yield tmp_path / "data"
    LocalEnvironment(tmp_path / "data").stop()


def outpost_local(folder: Path, *arguments: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    """Run `outpost local` in a process of its own."""
    argv = [sys.executable, "-c", _OUTPOST, str(folder), "local", *arguments]
    env = {name: value for name, value in os.environ.items() if not name.startswith("OUTPOST_") or name == OWNER_MARKER}
    return subprocess.run(argv, cwd=REPOSITORY_ROOT, env=env | variables, capture_output=True, text=True, check=False)


def processes_of(folder: Path) -> list[psutil.Process]:
    found = psutil.process_iter(["environ"])
    return [each for each in found if (each.info["environ"] or {}).get(INSTANCE_MARKER) == str(folder)]


def is_usable(folder: Path, shown: "subprocess.CompletedProcess[str]") -> None:
    """Check that the first run left a profile that opens the service, and its results."""
    file = folder / "profile.json"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    profile = Profile.model_validate_json(file.read_text())
    assert profile.key not in shown.stdout + shown.stderr
    with Client(profile.url, profile.key) as client:
        newest = client.dispatches({"tag": "made-by:make-up"}).items[0]
    assert newest.id in shown.stderr
    assert (folder / "artifacts" / newest.id / "summary.json").exists()


@pytest.mark.full
@pytest.mark.timeout(600)
def test_a_newcomer_sees_a_first_task_come_back_may_do_it_again_and_leaves_nothing_running(
    folder: Path, unused_port: Callable[[], int]
) -> None:
    port, git_port = str(unused_port()), str(unused_port())
    first = outpost_local(folder, "up", "--port", port, "--git-port", git_port)
    assert first.returncode == 0, first.stderr
    assert "+    return celsius - ABSOLUTE_ZERO" in first.stdout
    assert "Added to_kelvin; running the tests" in first.stdout
    assert "success" in first.stderr
    assert "Try next" in first.stderr
    is_usable(folder, first)
    profile = (folder / "profile.json").read_text()

    again = outpost_local(folder, "up", "--port", port, "--git-port", git_port)
    assert again.returncode == 0, again.stderr
    assert "(was up)" in again.stderr
    assert (folder / "profile.json").read_text() == profile

    refused = outpost_local(folder, "up", "--port", str(unused_port()), "--git-port", git_port)
    assert refused.returncode == connection.ERROR
    assert f"`make up ENGINE=process PORT={port} GIT_PORT={git_port}`" in refused.stderr
    assert len(refused.stderr.splitlines()) == 1
    assert processes_of(folder)

    down = outpost_local(folder, "down")
    assert down.returncode == 0, down.stderr
    assert f"The git repositories stay in {folder / 'git'}" in down.stderr
    assert not processes_of(folder)
    assert [path.name for path in folder.iterdir()] == ["git"]
    assert (folder / "git" / "outpost" / "sample.git" / "HEAD").exists()


@pytest.mark.full
@pytest.mark.timeout(600)
def test_an_agent_with_a_model_runs_the_program_on_the_users_path_and_a_missing_one_is_named(
    folder: Path, unused_port: Callable[[], int], tmp_path: Path
) -> None:
    program = tmp_path / "bin" / "codex"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\necho the program of the user\nexit 3\n")
    program.chmod(0o755)
    ports = ("--port", str(unused_port()), "--git-port", str(unused_port()))
    path = f"{program.parent}:{os.environ['PATH']}"
    agents = ("--agent", "codex", "--agent", "copilot", "--agent", "gemini")
    shown = outpost_local(folder, "up", *ports, *agents, PATH=path, OPENAI_API_KEY="sk-of-the-user", GOOGLE_API_KEY="")
    assert shown.returncode == 0, shown.stderr
    assert "Key of openai, from OPENAI_API_KEY" in shown.stderr
    assert "There is no key of google: set GOOGLE_API_KEY or GEMINI_API_KEY" in shown.stderr
    assert "sk-of-the-user" not in shown.stdout + shown.stderr
    profile = Profile.model_validate_json((folder / "profile.json").read_text())
    with Client(profile.url, profile.key) as client:
        found, missing = (
            watch(client, client.dispatch(DispatchRequest(agent=agent, task=TASK, repo="outpost/sample")).id)
            for agent in ("codex", "copilot")
        )
    assert found.reason is not None
    assert (found.reason.code, found.exit_code) == ("AGENT_EXIT_NONZERO", 3)
    assert missing.reason is not None
    assert missing.reason.code == "AGENT_START_FAILED"
    assert f"program 'copilot' is not on the worker's PATH ({program.parent}:" in missing.reason.message

    refused = outpost_local(folder, "up", *ports, "--agent", "cloud")
    assert refused.returncode == connection.ERROR
    assert "AGENTS names 'cloud': name some of claude, codex, " in refused.stderr
