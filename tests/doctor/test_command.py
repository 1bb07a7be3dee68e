"""The command: what it calls, what it needs to be allowed, what it prints, and its exit codes."""

import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from outpost_ops.doctor.finding import Level
from tests.doctor.conftest import ROOT, Case, session_under

OUTPOST = Path(sys.executable).with_name("outpost")
READS = re.compile("Get|List|Describe|Head")


def documented_policy() -> list[dict[str, Any]]:
    """The statements of the policy in docs/operations.md."""
    section = (ROOT / "docs" / "operations.md").read_text().partition("\n## Doctor\n")[2]
    (document,) = re.findall(r"```json\n(.*?)```", section.partition("\n## ")[0], re.DOTALL)
    statements: list[dict[str, Any]] = json.loads(document)["Statement"]
    return statements


def as_list(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value


def unchecked(case: Case, *statements: dict[str, Any]) -> set[str]:
    found = replace(case, session=session_under(case, *statements)).found()
    assert {finding.level for finding in found} <= {Level.UNCHECKED}
    return {finding.check for finding in found}


def test_the_documented_policy_is_enough(case: Case) -> None:
    assert unchecked(case, *documented_policy()) == set()


@pytest.mark.full
def test_every_statement_of_the_documented_policy_is_needed(case: Case) -> None:
    statements = documented_policy()
    expected = {
        "LinkedRoles": {"service-linked roles"},
        "Bootstrap": {"bootstrap"},
        "ProviderKeys": {"provider keys"},
    }
    for sid, checks in expected.items():
        assert unchecked(case, *(each for each in statements if each["Sid"] != sid)) == checks


def test_it_only_reads(case: Case) -> None:
    session = session_under(case, *documented_policy())
    credentials = session.get_credentials()
    assert credentials is not None

    replace(case, session=session).all()

    pages = case.client("cloudtrail").get_paginator("lookup_events").paginate()
    calls = [json.loads(event["CloudTrailEvent"]) for page in pages for event in page["Events"]]
    made = {call["eventName"] for call in calls if call["userIdentity"].get("accessKeyId") == credentials.access_key}
    # Of the query protocols and REST the embedded AWS records the HTTP method only: the policy admits no write of them.
    made = {name for name in made if "." not in name}
    assert len(made) > 5
    assert [name for name in made if not READS.match(name)] == []
    actions = [action for statement in documented_policy() for action in as_list(statement["Action"])]
    assert [action for action in actions if not READS.match(action.partition(":")[2])] == ["kms:Decrypt"]


@pytest.mark.full
def test_the_command_prints_a_finding_a_line_and_fails_with_credentials_of_another_account(case: Case) -> None:
    argv = [str(OUTPOST), "doctor", "--env", "dev"]

    as_json = subprocess.run([*argv, "--json"], capture_output=True, text=True, check=False)
    shown = subprocess.run(argv, capture_output=True, text=True, check=False)

    findings = [json.loads(line) for line in as_json.stdout.splitlines()]
    assert (as_json.returncode, shown.returncode) == (1, 1)
    assert {"check", "level", "message", "remedy"} == set(findings[0])
    (credentials,) = (each for each in findings if each["check"] == "credentials")
    assert credentials["level"] == "failure"
    assert "cost.ceiling is" in next(each for each in findings if each["check"] == "cost")["message"]
    assert "export AWS_PROFILE" in shown.stdout.replace("\n", " ")
    assert case.config.account in shown.stdout


def test_an_environment_that_does_not_exist_is_an_error() -> None:
    argv = [str(OUTPOST), "doctor", "--env", "nowhere"]

    done = subprocess.run(argv, capture_output=True, text=True, check=False)

    assert done.returncode == 2
    assert "environments here" in done.stderr
