"""What each role may do, and nothing else."""

import json
import re
from collections.abc import Iterator

import pytest

from outpost_ops.config import load
from tests.infra.assembly import Assembly, Resource
from tests.infra.conftest import ROOT
from tests.infra.table_permissions import TABLE_PERMISSIONS

WITHOUT_RESOURCES = {
    "ecr:GetAuthorizationToken",
    "ecs:ListTasks",
    # Lambda's own, to put a function into a VPC.
    *("ec2:CreateNetworkInterface", "ec2:DeleteNetworkInterface", "ec2:DescribeNetworkInterfaces"),
    # The migration's: the account's history and metrics, and metrics of our namespace only.
    *("cloudtrail:LookupEvents", "cloudwatch:GetMetricData", "cloudwatch:PutMetricData", "ssm:ListCommands"),
}
"""Actions that know no resource; ListTasks is bound to the cluster by a condition, PutMetricData to our namespace."""
MANAGED = "AWSBackupServiceRolePolicyForBackup"
"""The one managed policy: AWS keeps it in step with what AWS Backup does."""


def statements(assembly: Assembly, environment: str, role: str) -> Iterator[Resource]:
    """The statements of the role whose logical id begins so."""
    for _, policy in assembly.of_type("AWS::IAM::Policy", environment):
        properties = policy["Properties"]
        if any(reference.get("Ref", "").startswith(role) for reference in properties["Roles"]):
            yield from properties["PolicyDocument"]["Statement"]


def actions(assembly: Assembly, environment: str, role: str) -> set[str]:
    """What the role may do; the use of the environment's key is `test_kms_keys`' business."""
    given = {a for statement in statements(assembly, environment, role) for a in _listed(statement["Action"])}
    return {action for action in given if not action.startswith("kms:")}


def _listed(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value


def test_a_worker_can_only_wait_ask_the_broker_and_mount_files(
    assembly: Assembly, environment: str, agent: str
) -> None:
    assert actions(assembly, environment, f"Worker{agent.capitalize()}DefinitionTaskRole") == {
        "sqs:ReceiveMessage",
        "sqs:DeleteMessage",
        "lambda:InvokeFunction",
        "elasticfilesystem:ClientMount",
        "elasticfilesystem:ClientWrite",
    }


def test_an_attempt_can_at_most_touch_objects_of_attempts_and_read_secrets(
    assembly: Assembly, environment: str
) -> None:
    role = "BrokerAttemptRole"

    assert actions(assembly, environment, role) == {
        "s3:PutObject",
        "s3:GetObject",
        "s3:AbortMultipartUpload",
        "secretsmanager:GetSecretValue",
    }
    for statement in statements(assembly, environment, role):
        resources = json.dumps(statement["Resource"])
        action = _listed(statement["Action"])[0]
        wanted = {"s3": "/tenants/*|/context/*", "secretsmanager": "Secrets|/tenants/*", "kms": "Key"}[
            action.partition(":")[0]
        ]
        assert any(part in resources for part in wanted.split("|")), resources


def test_only_the_broker_can_assume_the_role_of_an_attempt(assembly: Assembly, environment: str) -> None:
    (role,) = (r for place, r in assembly.of_type("AWS::IAM::Role", environment) if "/BrokerAttemptRole" in place)
    (trust,) = role["Properties"]["AssumeRolePolicyDocument"]["Statement"]
    assuming = {
        reference["Ref"][:-8]
        for _, policy in assembly.of_type("AWS::IAM::Policy", environment)
        if any(
            "sts:AssumeRole" in _listed(statement["Action"])
            for statement in policy["Properties"]["PolicyDocument"]["Statement"]
        )
        for reference in policy["Properties"]["Roles"]
    }

    assert trust["Principal"]["AWS"]["Fn::GetAtt"][0].startswith("BrokerFunctionRole")
    assert assuming == {"BrokerFunctionRole"}


def test_only_the_planner_launches_and_passes_only_worker_roles_to_ecs(assembly: Assembly, environment: str) -> None:
    passing = [
        (policy["Properties"]["Roles"][0]["Ref"], statement)
        for _, policy in assembly.of_type("AWS::IAM::Policy", environment)
        for statement in policy["Properties"]["PolicyDocument"]["Statement"]
        if {"iam:PassRole", "ecs:RunTask"} & set(_listed(statement["Action"]))
    ]

    assert {role[:-8] for role, _ in passing} == {"PlannerFunctionRole"}
    (pass_role,) = (statement for _, statement in passing if statement["Action"] == "iam:PassRole")
    (run_task,) = (statement for _, statement in passing if statement["Action"] == "ecs:RunTask")
    agents = load(ROOT / "config" / f"{environment}.toml").enabled_agents
    assert pass_role["Condition"] == {"StringEquals": {"iam:PassedToService": "ecs-tasks.amazonaws.com"}}
    assert all(role["Fn::GetAtt"][0].startswith("Worker") for role in pass_role["Resource"])
    assert list(run_task["Condition"]) == ["ArnEquals"]
    families = re.findall(r"task-definition/([^\"]+)", json.dumps(run_task["Resource"]))
    assert sorted(families) == sorted(f"outpost-{environment}-{agent}:*" for agent in agents)


def test_only_the_reconciler_stops_tasks(assembly: Assembly, environment: str) -> None:
    stopping = {
        policy["Properties"]["Roles"][0]["Ref"][:-8]
        for _, policy in assembly.of_type("AWS::IAM::Policy", environment)
        if "ecs:StopTask" in json.dumps(policy)
    }

    assert stopping == {"SweepFunctionRole"}


def test_the_control_plane_starts_nothing_and_writes_no_artifact(assembly: Assembly, environment: str) -> None:
    allowed = actions(assembly, environment, "ApiDefinitionTaskRole")

    assert not {action for action in allowed if action.startswith(("ecs:", "iam:", "sts:", "lambda:"))}
    assert {action for action in allowed if action.startswith("s3:")} == {"s3:GetObject", "s3:ListBucket", *PROVE}
    assert_written_to_the_audit_log_only(assembly, environment, "ApiDefinitionTaskRole")
    assert {action for action in allowed if action.startswith("sqs:")} == {"sqs:SendMessage"}


PROVE = {"s3:PutObject"}


def assert_written_to_the_audit_log_only(assembly: Assembly, environment: str, role: str) -> None:
    (put,) = (each for each in statements(assembly, environment, role) if each["Action"] == "s3:PutObject")
    assert "TrailBucket" in json.dumps(put["Resource"])
    assert json.dumps(put["Resource"]).count("/audit/*") == 1


def test_only_the_writers_of_the_audit_log_sign_and_nobody_reads_or_deletes_what_they_wrote(
    assembly: Assembly, environment: str
) -> None:
    policies = [policy["Properties"] for _, policy in assembly.of_type("AWS::IAM::Policy", environment)]
    signing = [
        (policy["Roles"][0]["Ref"][:-8], statement)
        for policy in policies
        for statement in policy["PolicyDocument"]["Statement"]
        if "kms:Sign" in _listed(statement["Action"])
    ]
    touching = [
        _listed(statement["Action"])
        for policy in policies
        for statement in policy["PolicyDocument"]["Statement"]
        if "/audit/*" in json.dumps(statement["Resource"])
    ]

    assert {role for role, _ in signing} == {"ApiDefinitionTaskRole", "AuditRecordsFunctionRole"}
    for _, statement in signing:
        assert _listed(statement["Action"]) == ["kms:Sign"]
        assert statement["Condition"] == {"StringEquals": {"kms:SigningAlgorithm": "RSASSA_PSS_SHA_256"}}
        assert "SigningKey" in json.dumps(statement["Resource"])
    assert touching == [["s3:PutObject"]] * 2


def test_the_reader_of_the_stream_may_invoke_what_follows_it_and_nothing_else(
    assembly: Assembly, environment: str
) -> None:
    (resources,) = (
        statement["Resource"]
        for statement in statements(assembly, environment, "AuditRecordsFunctionRole")
        if statement["Action"] == "lambda:InvokeFunction"
    )

    assert len(resources) == 2
    assert "*" not in json.dumps(resources)


@pytest.mark.parametrize(("role", "table", "allowed"), TABLE_PERMISSIONS)
def test_each_role_touches_the_tables_of_its_business_only(
    assembly: Assembly, environment: str, role: str, table: str, allowed: set[str]
) -> None:
    arn = re.compile(rf"Data{table}[0-9A-F]{{8}}Arn")
    given = {
        action.removeprefix("dynamodb:")
        for statement in statements(assembly, environment, role)
        if arn.search(json.dumps(statement["Resource"]))
        for action in _listed(statement["Action"])
    }

    assert given == allowed


def test_no_action_is_a_wildcard_and_no_resource_but_for_a_few_actions(assembly: Assembly, environment: str) -> None:
    for place, policy in assembly.of_type("AWS::IAM::Policy", environment):
        for statement in policy["Properties"]["PolicyDocument"]["Statement"]:
            assert not [action for action in _listed(statement["Action"]) if "*" in action], place
            if statement["Resource"] == "*":
                assert set(_listed(statement["Action"])) <= WITHOUT_RESOURCES, place


def test_no_role_has_a_managed_policy_but_the_one_of_backups(assembly: Assembly, environment: str) -> None:
    ours = [
        (place, role["Properties"]["ManagedPolicyArns"])
        for place, role in assembly.of_type("AWS::IAM::Role", environment)
        if MANAGED not in json.dumps(role["Properties"].get("ManagedPolicyArns", MANAGED))
    ]

    assert ours == []


def test_no_role_may_create_the_log_group_that_its_stack_has_deleted(assembly: Assembly, environment: str) -> None:
    """What still writes would make it again, and the next deploy would find its name taken."""
    policies = [
        place
        for kind in ("Policy", "Role", "ManagedPolicy")
        for place, resource in assembly.of_type(f"AWS::IAM::{kind}", environment)
        if "logs:CreateLogGroup" in json.dumps(resource["Properties"])
    ]

    assert policies == []


def test_every_function_and_task_has_a_role_of_its_own(assembly: Assembly, environment: str) -> None:
    roles = [
        f"{place.partition('/')[0]} {json.dumps(function['Properties']['Role'])}"
        for place, function in assembly.of_type("AWS::Lambda::Function", environment)
    ]
    for place, task in assembly.of_type("AWS::ECS::TaskDefinition", environment):
        stack, properties = place.partition("/")[0], task["Properties"]
        roles += [f"{stack} {json.dumps(properties[name])}" for name in ("TaskRoleArn", "ExecutionRoleArn")]

    assert len(roles) == len(set(roles))
