"""What a change may do to deployed environments is seen before it is deployed."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from outpost.local.cdk import find_cli, find_node
from tests.infra.assembly import Assembly
from tests.infra.conftest import ROOT

BASELINES = ROOT / "stacks" / "baselines"
STATEFUL = ("Network", "Data", "Audit")
"""Stacks whose resources hold data, or hold the addresses of what does."""
BUDGET = {
    "Network": 70,
    "Data": 80,
    "Audit": 15,
    "Fleet": 130,
    "ControlPlane": 45,
    "Observability": 30,
    "Migration": 30,
}
"""Resources a stack may have; CloudFormation refuses more than 500, reviewers long before."""
IMPORTERS = {
    "Network": set(),
    "Data": {"Network"},
    "Audit": {"Data"},
    "Fleet": {"Network", "Data"},
    "ControlPlane": {"Network", "Data"},
    "Observability": {"Data", "Fleet", "ControlPlane"},
    "Migration": {"Audit", "Data", "Fleet", "ControlPlane"},
}
"""Stack -> the stacks whose exports it imports. An export that somebody imports cannot be changed or deleted."""


def test_stacks_import_only_from_the_stacks_that_they_stand_on(assembly: Assembly, environment: str) -> None:
    for stack, allowed in IMPORTERS.items():
        text = json.dumps(assembly.templates.get(f"Outpost-{environment}-{stack}", {}))
        found = {other for other in IMPORTERS if f'"Fn::ImportValue": "Outpost-{environment}-{other}:' in text}
        assert found <= allowed, stack


def test_every_export_is_imported(assembly: Assembly, environment: str) -> None:
    stacks = {name: t for name, t in assembly.templates.items() if name.startswith(f"Outpost-{environment}-")}
    exported = {
        output["Export"]["Name"]
        for template in stacks.values()
        for output in template.get("Outputs", {}).values()
        if "Export" in output
    }
    text = json.dumps(stacks)

    assert [name for name in sorted(exported) if f'"Fn::ImportValue": "{name}"' not in text] == []


def test_stacks_stay_within_their_budget_of_resources(assembly: Assembly, environment: str) -> None:
    for stack, most in BUDGET.items():
        template = assembly.templates.get(f"Outpost-{environment}-{stack}", {"Resources": {}})
        assert len(template["Resources"]) <= most, stack


def diff(assembly_folder: Path, environment: str, stack: str, baseline: Path) -> subprocess.CompletedProcess[str]:
    """Compare as a reviewer would: `cdk diff --template <baseline> --fail-on destructive`."""
    node = find_node()
    argv = [str(node), str(find_cli()), "diff", f"Outpost-{environment}/{stack}", "--app", str(assembly_folder)]
    return subprocess.run(
        [*argv, "--template", str(baseline), "--exclusively", "--fail-on", "destructive", "--no-color", "--no-notices"],
        cwd=assembly_folder,
        env={"PATH": f"{node.parent}{os.pathsep}{os.environ['PATH']}", "HOME": str(assembly_folder.parent)},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


@pytest.mark.parametrize("stack", STATEFUL)
def test_no_change_replaces_or_deletes_what_prod_keeps(assembly: Assembly, stack: str) -> None:
    """After a change that is meant to: `make baselines`, and say in the commit what becomes of the data."""
    baseline = BASELINES / f"prod-{stack}.template.json"
    done = diff(assembly.folder, "prod", stack, baseline)

    assert done.returncode == 0, done.stdout + done.stderr


def test_a_changed_key_of_a_table_does_not_pass(assembly: Assembly, tmp_path: Path) -> None:
    template = json.loads((BASELINES / "prod-Data.template.json").read_text(encoding="utf-8"))
    (table,) = (
        r
        for name, r in template["Resources"].items()
        if r["Type"] == "AWS::DynamoDB::Table" and name.startswith("Dispatches")
    )
    table["Properties"]["KeySchema"][0]["AttributeName"] = "another"
    table["Properties"]["AttributeDefinitions"][0]["AttributeName"] = "another"
    old = tmp_path / "old.json"
    old.write_text(json.dumps(template))

    done = diff(assembly.folder, "prod", "Data", old)

    assert done.returncode != 0
    assert "Dispatches" in done.stdout + done.stderr


NAMES = {"Name", "BackupVaultName", "BucketName", "TableName", "LogGroupName", "QueueName", "AliasName"}
ADOPTED = {"AWS::SecretsManager::Secret outpost/api-endpoint"}
"""What keeps its name when its stack goes: the interface of v1's clients (docs/infrastructure.md, Taking it down)."""


def test_what_outlives_its_stack_has_no_name_that_the_next_stack_would_want(
    assembly: Assembly, environment: str
) -> None:
    named = set()
    for stack, template in assembly.templates.items():
        if stack.startswith(f"Outpost-{environment}-"):
            for resource in template["Resources"].values():
                name = next((v for k, v in resource.get("Properties", {}).items() if k in NAMES), None)
                if resource.get("DeletionPolicy") == "Retain" and isinstance(name, str):
                    named.add(f"{resource['Type']} {name}")

    assert named <= ADOPTED
