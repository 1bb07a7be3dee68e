"""The trust policies of docs/github.md admit one exact subject each; workflows pin what they run."""

import json
import re
from pathlib import Path
from typing import Any, get_args

import pytest

from outpost_ops.config import EnvironmentConfig

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "github.md").read_text(encoding="utf-8")
DOCUMENTS = [json.loads(text) for text in re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)]
ISSUER = "token.actions.githubusercontent.com"
TRUST = [document["Statement"][0] for document in DOCUMENTS if "Principal" in document["Statement"][0]]
GRANTS = [statement for document in DOCUMENTS for statement in document["Statement"] if "Principal" not in statement]


def test_there_is_a_trust_policy_for_each_role() -> None:
    subjects = [statement["Condition"]["StringEquals"][f"{ISSUER}:sub"] for statement in TRUST]
    assert subjects == [
        "repo:OWNER/NAME:environment:dev",
        "repo:OWNER/NAME:pull_request",
        "repo:OWNER/NAME:environment:acceptance",
    ]


@pytest.mark.parametrize("statement", TRUST)
def test_trust_needs_an_exact_subject_and_audience(statement: dict[str, Any]) -> None:
    assert statement["Action"] == "sts:AssumeRoleWithWebIdentity"
    assert set(statement["Condition"]) == {"StringEquals"}
    assert set(statement["Condition"]["StringEquals"]) == {f"{ISSUER}:aud", f"{ISSUER}:sub"}
    assert "*" not in json.dumps(statement)


def test_a_pull_request_may_read_templates_only() -> None:
    diff = next(grant for grant in GRANTS if "cloudformation:GetTemplate" in grant["Action"])
    actions = {"cloudformation:DescribeStacks", "cloudformation:GetTemplate"}
    assert set(diff["Action"]) == actions
    assert not any(
        "sts:AssumeRole" in str(grant["Action"]) and "Outpost-*" in str(grant["Resource"]) for grant in GRANTS
    )


def test_the_diff_of_a_pull_request_creates_no_change_set() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert "diff 'Outpost-$(ENV)/*' --method template" in makefile


@pytest.mark.parametrize("workflow", ["ci.yml", "acceptance.yml", "models.yml"])
def test_workflows_pin_actions_by_commit(workflow: str) -> None:
    text = (ROOT / ".github" / "workflows" / workflow).read_text(encoding="utf-8")
    used = re.findall(r"uses: (\S+)", text)
    assert used
    assert all(re.fullmatch(r"[\w./-]+@[0-9a-f]{40}", name) for name in used)


def test_the_workflow_runs_every_python_that_a_configuration_admits() -> None:
    text = (ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8")
    (versions,) = re.findall(r"^ +python: \[(.*)\]$", text, re.MULTILINE)
    assert re.findall(r"[\d.]+", versions) == list(get_args(EnvironmentConfig.model_fields["python"].annotation))
