"""`outpost acceptance` proves the deployed environment, and reports what does not hold."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from outpost_local.first_run import api_url
from outpost_ops.acceptance.report import AcceptanceReport
from tests.e2e.conftest import Outpost

COMMAND = Path(sys.executable).with_name("outpost")


def accept(outpost: Outpost, folder: Path, *arguments: str) -> tuple[int, AcceptanceReport]:
    """Run the command as an operator of the account; return its exit code and the report that it wrote."""
    environment = os.environ | outpost.environment.environ() | {"OUTPOST_URL": api_url(outpost.environment)}
    argv = [str(COMMAND), "acceptance", "--env", "local", "--folder", str(folder), *arguments]
    done = subprocess.run(argv, env=environment, capture_output=True, text=True, timeout=280, check=False)
    text = (folder / "acceptance-local.json").read_text(encoding="utf-8")
    return done.returncode, AcceptanceReport.model_validate(json.loads(text))


@pytest.fixture
def pushable(outpost: Outpost, repository: str) -> str:
    """The repository, to which the git server takes pushes."""
    bare = outpost.environment.git.repositories / f"{repository}.git"
    subprocess.run(["git", "-C", str(bare), "config", "daemon.receivepack", "true"], check=True)  # noqa: S607
    return repository


def test_an_environment_that_works_is_accepted(outpost: Outpost, pushable: str, tmp_path: Path) -> None:
    code, report = accept(outpost, tmp_path, "--repo", pushable)

    assert {check.id: (check.status, check.evidence) for check in report.checks if check.status != "pass"} == {}
    assert (code, report.status) == (0, "pass")
    assert {
        "dispatch-shell",
        "events-shell",
        "artifacts-shell",
        "cancel",
        "workspace",
        "promotion",
        "mcp",
        "alarms",
    } < {check.id for check in report.checks}
    assert len(report.timings.deploy_seconds) == 7
    assert 0 < (report.timings.first_instruction_seconds or 0) < 120
    page = (tmp_path / "acceptance-local.html").read_text(encoding="utf-8")
    assert report.url in page
    assert all(check.title in page for check in report.checks)


def test_a_raised_alarm_refuses_the_acceptance_and_without_a_repository_nothing_is_pushed(
    outpost: Outpost, tmp_path: Path
) -> None:
    cloudwatch = outpost.environment.client("cloudwatch")
    name = next(
        alarm["AlarmName"]
        for alarm in cloudwatch.describe_alarms()["MetricAlarms"]
        if "ServerErrors" in alarm["AlarmName"]
    )
    cloudwatch.set_alarm_state(AlarmName=name, StateValue="ALARM", StateReason="a test")
    try:
        code, report = accept(outpost, tmp_path)
    finally:
        cloudwatch.set_alarm_state(AlarmName=name, StateValue="OK", StateReason="a test")

    found = {check.id: check for check in report.checks if check.status != "pass"}
    assert (code, report.status) == (1, "fail")
    assert {name: check.status for name, check in found.items()} == {"alarms": "fail", "promotion": "inconclusive"}
    assert f"{name}: ALARM" in found["alarms"].evidence
    assert "REPO=" in found["promotion"].remedy


def test_credentials_of_another_account_are_one_clear_line(outpost: Outpost, tmp_path: Path) -> None:
    environment = os.environ | outpost.environment.environ()
    argv = [str(COMMAND), "acceptance", "--env", "staging", "--folder", str(tmp_path)]
    done = subprocess.run(argv, env=environment, capture_output=True, text=True, timeout=60, check=False)

    assert done.returncode == 2
    said = " ".join(done.stderr.split())
    assert "the credentials are of account 000000000000, config/staging.toml names 222222222222" in said
    assert "Traceback" not in said
    assert list(tmp_path.iterdir()) == []
