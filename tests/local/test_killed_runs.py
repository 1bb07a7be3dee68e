"""A test run that is killed leaves nothing behind, and one with failures says which of them a second run passes."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import psutil
import pytest

from outpost_local.settings import INSTANCE_MARKER, REPOSITORY_ROOT
from tests.eventually import eventually

# Starts one of each: emulator, environment, git daemon, task of the process engine, function, and at last the CDK CLI.
RUN = """
import os
from pathlib import Path
from tests.local.accounts import register_job, run_job, status_is
from tests.local.conftest import DEMO_IMAGE, new_environment, write_image_asset
from tests.local.test_local_functions import invoke
from tests.local.test_local_logs import function
from tests.eventually import eventually
import pytest

@pytest.fixture
def aws(tmp_path):
    local = new_environment(Path(os.environ["FOLDER"], "aws"))
    write_image_asset(local.settings.cdk_out)
    local.start()
    return local

def test_starts_much_and_never_ends(emulator, aws, invoke):
    arn = run_job(aws, register_job(aws, DEMO_IMAGE), "stubborn")
    eventually(status_is(aws, arn, "RUNNING"))
    eventually(lambda: "pid" in invoke({}))
    runner = Path(os.environ["FOLDER"], "runner")

    def on_line(line):
        if not runner.exists():
            runner.write_text(str(os.getpid()))

    while True:
        aws.deploy(on_line)
"""
# The first run fails, a second one passes, except for the last test.
FAILING = """
from pathlib import Path

def fails_once(name):
    seen = Path(__file__).with_name(name)
    if not seen.exists():
        seen.touch()
        raise AssertionError(name)

def test_flaky():
    fails_once("flaky")

def test_good():
    pass

def test_broken():
    raise AssertionError("broken")
"""


def inner_pytest(folder: Path, source: str, *options: str) -> tuple[list[str], dict[str, str]]:
    """Write a test file, and return the command and the variables of a run of it by itself."""
    file = folder / "suite" / "test_inner.py"
    file.parent.mkdir()
    file.write_text(source)
    argv = [sys.executable, "-m", "pytest", "-p", "tests.conftest", "-p", "no:cacheprovider", "--rootdir", str(folder)]
    argv += ["-c", str(REPOSITORY_ROOT / "pyproject.toml"), "--import-mode=importlib", *options, str(file)]
    return argv, os.environ | {"PYTHONPATH": str(REPOSITORY_ROOT), "FOLDER": str(folder)}


@pytest.fixture
def run(tmp_path: Path) -> Iterator[psutil.Popen]:
    """A run by two processes, pytest and one runner, that is about to deploy."""
    argv, environ = inner_pytest(tmp_path, RUN, "-n", "1")
    process = psutil.Popen(argv, env=environ, cwd=REPOSITORY_ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    yield process
    if process.is_running():
        process.kill()
    process.wait(10)


def started_by(folder: Path, runner: psutil.Process) -> set[psutil.Process]:
    """Everything that the run's one test started."""
    found = set(runner.children(recursive=True))
    for process in psutil.process_iter():
        try:
            environ = process.environ()
        except psutil.Error:
            continue
        if environ.get(INSTANCE_MARKER) == str(folder / "aws"):
            found |= {process, *process.children(recursive=True)}
    return found


def gone(processes: set[psutil.Process]) -> bool:
    return all(not each.is_running() or each.status() == psutil.STATUS_ZOMBIE for each in processes)


@pytest.mark.parametrize("victim", ["pytest", pytest.param("runner", marks=pytest.mark.full)])
def test_a_killed_run_ends_everything_that_it_started(run: psutil.Popen, tmp_path: Path, victim: str) -> None:
    file = tmp_path / "runner"
    runner = psutil.Process(int(eventually(lambda: file.read_text() if file.exists() else None)))
    started = started_by(tmp_path, runner)
    commands = " ".join(word for process in started for word in process.cmdline())
    for part in (
        "outpost_local.emulator",
        "outpost_local.server",
        "git daemon",
        "task_init",
        "sleep",
        "_worker.py",
        "cdk",
    ):
        assert part in commands
    (run if victim == "pytest" else runner).send_signal(signal.SIGKILL)
    eventually(lambda: gone(started | ({runner} if victim == "pytest" else set())))


def test_make_takes_its_test_run_along(tmp_path: Path) -> None:
    mark = uuid4().hex
    sleep = f"{sys.executable} -c 'import time; time.sleep(600)' {mark}"
    argv = ["make", "--old-file=lint", "test", f"PYTEST={sleep}"]
    make = psutil.Popen(argv, cwd=REPOSITORY_ROOT, stdout=subprocess.DEVNULL)
    assert_ends_with(make, mark)


def test_the_script_of_the_workflow_takes_its_make_and_test_run_along(tmp_path: Path) -> None:
    mark = uuid4().hex
    shutil.copytree(REPOSITORY_ROOT / ".ci", tmp_path / ".ci")
    recipe = f"exec setpriv --pdeathsig KILL {sys.executable} -c 'import time; time.sleep(600)' {mark}"
    (tmp_path / "Makefile").write_text(f"test:\n\t@{recipe}\n")
    script = psutil.Popen([tmp_path / ".ci" / "run"], cwd=tmp_path, stdout=subprocess.DEVNULL)
    assert_ends_with(script, mark)


def command_of(process: psutil.Process) -> list[str]:
    """Return a process's command; empty when it has just ended."""
    try:
        return process.cmdline()
    except psutil.NoSuchProcess:
        return []


def assert_ends_with(parent: psutil.Popen, mark: str) -> None:
    """Kill a process once below it one runs that has the mark in its command, and wait for all of them."""
    below = eventually(lambda: [each for each in parent.children(recursive=True) if mark in command_of(each)])
    everything = set(parent.children(recursive=True))
    parent.kill()
    parent.wait(10)
    eventually(lambda: gone(everything | set(below)))


def test_a_second_run_is_reported_and_changes_nothing(tmp_path: Path) -> None:
    argv, environ = inner_pytest(tmp_path, FAILING, "--second-run")
    done = subprocess.run(argv, env=environ, cwd=REPOSITORY_ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == pytest.ExitCode.TESTS_FAILED
    assert "flaky, passed on the second run: suite/test_inner.py::test_flaky" in done.stdout
    assert "failed again: suite/test_inner.py::test_broken" in done.stdout
    assert "2 failed, 1 passed" in done.stdout.splitlines()[-1]
