"""What a change may do to deployed environments is seen before it is deployed."""

import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import aws_cdk as cdk
import pytest

from outpost_constructs.stack import PARAMETER_TYPE
from outpost_local.cdk import find_cli
from outpost_ops.node import find_node
from tests.infra.assembly import Assembly, Resource
from tests.infra.conftest import ROOT

BASELINES = ROOT / "stacks" / "baselines"
STATEFUL = ("Network", "Data", "Audit")
"""Stacks whose resources hold data, or hold the addresses of what does."""
BUDGET = {
    "Network": 90,
    "Data": 120,
    "Audit": 20,
    "Fleet": 130,
    "ControlPlane": 45,
    "Observability": 30,
    "Migration": 30,
}
"""Resources a stack may have; CloudFormation refuses more than 500, reviewers long before."""
READERS = {
    "Network": set(),
    "Data": {"Network"},
    "Audit": {"Network", "Data"},
    "Fleet": {"Network", "Data"},
    "ControlPlane": {"Network", "Data", "Audit", "Fleet"},
    "Observability": {"Data", "Fleet", "ControlPlane"},
    "Migration": {"Network", "Audit", "Data", "Fleet", "ControlPlane"},
}
"""Stack -> the stacks whose values it reads, all of which are deployed before it."""


def read_names(template: Resource) -> set[str]:
    """Return the SSM parameters that a template reads, without the CDK's own."""
    return {
        parameter["Default"]
        for name, parameter in template.get("Parameters", {}).items()
        if parameter["Type"] == PARAMETER_TYPE and name != "BootstrapVersion"
    }


def published_names(template: Resource) -> set[str]:
    """Return the SSM parameters that a template publishes for other stacks."""
    names = [r["Properties"]["Name"] for r in template["Resources"].values() if r["Type"] == "AWS::SSM::Parameter"]
    return {name for name in names if "/stacks/" in name}


def test_no_stack_exports_or_imports(assembly: Assembly) -> None:
    """CloudFormation refuses to change or drop an export in use (aws-cdk#7602); a weak reference goes stale."""
    for stack, template in assembly.templates.items():
        assert not re.findall("Fn::ImportValue|Fn::GetStackOutput|{{resolve:ssm:", json.dumps(template)), stack
        assert [name for name, output in template.get("Outputs", {}).items() if "Export" in output] == [], stack


def test_stacks_read_only_from_the_stacks_that_they_stand_on(assembly: Assembly, environment: str) -> None:
    stacks = {stack: assembly.templates.get(f"Outpost-{environment}-{stack}", {"Resources": {}}) for stack in READERS}
    for stack, allowed in READERS.items():
        published = set().union(*(published_names(stacks[other]) for other in allowed))
        assert read_names(stacks[stack]) <= published, stack


def test_everything_published_is_read_under_its_own_name(assembly: Assembly, environment: str) -> None:
    stacks = {name: t for name, t in assembly.templates.items() if name.startswith(f"Outpost-{environment}-")}
    published = [name for template in stacks.values() for name in published_names(template)]

    assert sorted(published) == sorted(set().union(*map(read_names, stacks.values())))
    assert all(name.startswith(f"/outpost/{environment}/stacks/") for name in published)


def test_another_parameter_is_read_by_another_id(assembly: Assembly) -> None:
    """The CDK's CLI sends UsePreviousValue for an id that it knows: a new default under it would be ignored."""
    for template in assembly.templates.values():
        for logical_id, parameter in template["Parameters"].items():
            if parameter["Type"] == PARAMETER_TYPE and logical_id != "BootstrapVersion":
                assert logical_id == "".join(parameter["Default"].split("/")[-2:])


def test_stacks_are_deployed_after_the_stacks_that_they_read_from(assembly: Assembly, environment: str) -> None:
    (stage,) = (stage for stage in assembly.stages if stage.stage_name == f"Outpost-{environment}")
    stacks = [child for child in stage.node.children if isinstance(child, cdk.Stack)]
    for stack in stacks:
        assert READERS[stack.node.id] <= {str(other.node.id) for other in before(stack)}


def before(stack: cdk.Stack) -> Iterator[cdk.Stack]:
    """Yield the stacks that are deployed before this one."""
    for other in stack.dependencies:
        yield other
        yield from before(other)


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


def test_what_outlives_its_stack_has_no_name_that_the_next_stack_would_want(
    assembly: Assembly, environment: str
) -> None:
    named = set()
    for stack, template in assembly.templates.items():
        if stack.startswith(f"Outpost-{environment}-"):
            for resource in template["Resources"].values():
                name = next((v for k, v in resource.get("Properties", {}).items() if k in NAMES), None)
                survives = resource.get("DeletionPolicy", "Delete") != "Delete"
                if isinstance(name, str) and (survives or resource["Type"] == "AWS::SecretsManager::Secret"):
                    named.add(f"{resource['Type']} {name}")

    assert named == set()


def test_a_failed_first_create_leaves_nothing_behind_and_nothing_that_cannot_be_deleted(assembly: Assembly) -> None:
    """CloudFormation: RetainExceptOnCreate deletes what the failed operation created; protection would refuse that."""
    for stack, template in assembly.templates.items():
        for logical_id, resource in template["Resources"].items():
            assert resource.get("DeletionPolicy") != "Retain", f"{stack}/{logical_id}"
            properties = resource.get("Properties", {})
            assert not properties.get("DeletionProtectionEnabled"), f"{stack}/{logical_id}"
            attributes = {each["Key"]: each["Value"] for each in properties.get("LoadBalancerAttributes", [])}
            assert attributes.get("deletion_protection.enabled") != "true", f"{stack}/{logical_id}"
