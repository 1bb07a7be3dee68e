"""Least privilege at work: without a single action the run fails, and with a role's credentials nothing else works."""

import copy
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from outpost.domain.ids import new_id
from outpost.names import Output, audit_log_group
from outpost_client import ApiError
from outpost_client.results import Status
from outpost_local.environment import LocalEnvironment
from outpost_local.first_run import output
from tests.e2e.conftest import Outpost
from tests.eventually import eventually
from tests.local.accounts import error_of

ROOT_PRINCIPAL = "arn:aws:iam::000000000000:root"
FAILURE = "~failure"
DENIED = {"AccessDenied", "AccessDeniedException", "AuthorizationError"}


def resources(environment: LocalEnvironment, kind: str) -> dict[str, str]:
    """Logical id without its hash -> physical id, of every resource of a type in the environment's stacks."""
    cloudformation = environment.client("cloudformation")
    stacks = [stack["StackName"] for stack in cloudformation.describe_stacks()["Stacks"]]
    return {
        each["LogicalResourceId"][:-8]: each["PhysicalResourceId"]
        for stack in stacks
        if stack.startswith("Outpost-local-")
        for page in cloudformation.get_paginator("list_stack_resources").paginate(StackName=stack)
        for each in page["StackResourceSummaries"]
        if each["ResourceType"] == f"AWS::{kind}"
    }


def listed(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value


@contextmanager
def without(environment: LocalEnvironment, role: str, action: str) -> Iterator[None]:
    """Take one action from a role, and give it back."""
    iam = environment.client("iam")
    name = resources(environment, "IAM::Role")[role]
    policies = iam.list_role_policies(RoleName=name)["PolicyNames"]
    before = {each: iam.get_role_policy(RoleName=name, PolicyName=each)["PolicyDocument"] for each in policies}
    reduced = copy.deepcopy(before)
    taken = 0
    for document in reduced.values():
        for statement in document["Statement"]:
            kept = [each for each in listed(statement["Action"]) if each != action]
            taken += kept != listed(statement["Action"])
            statement["Action"] = kept or ["sts:GetCallerIdentity"]
    assert taken, f"{role} may not {action} anyway"

    def put(documents: dict[str, Any]) -> None:
        for each, document in documents.items():
            iam.put_role_policy(RoleName=name, PolicyName=each, PolicyDocument=json.dumps(document))

    put(reduced)
    try:
        yield
    finally:
        put(before)


NEEDED = [
    ("PlannerFunctionRole", "ecs:RunTask"),
    ("PlannerFunctionRole", "iam:PassRole"),
    ("PlannerFunctionRole", "dynamodb:PutItem"),
    ("WorkerShellDefinitionTaskRole", "lambda:InvokeFunction"),
    ("BrokerFunctionRole", "dynamodb:UpdateItem"),
    ("BrokerFunctionRole", "dynamodb:DeleteItem"),
    ("BrokerFunctionRole", "sts:AssumeRole"),
    ("BrokerAttemptRole", "s3:PutObject"),
]


def supply(outpost: Outpost) -> list[str]:
    """The sort keys of the planner's supply: living workers, and launches that are not written as workers yet.

    ECS lists a task late and removes it before the worker's row is removed, so its list alone does not show supply.
    """
    query = outpost.environment.client("dynamodb").query
    rows = [
        item["sk"]["S"]
        for partition in ("WORKERS#shell", "INTENT#shell")
        for item in query(
            TableName=output(outpost.environment, Output.WORKERS_TABLE),
            KeyConditionExpression="pk = :pk",
            ExpressionAttributeValues={":pk": {"S": partition}},
            ConsistentRead=True,
        )["Items"]
    ]
    return [row for row in rows if row != FAILURE]


@pytest.fixture
def rested(outpost: Outpost) -> Outpost:
    """The environment without workers, and without a failure for which the planner would pause."""
    eventually(lambda: not supply(outpost) and not outpost.workers(), within=240, what="every worker has left")
    table = output(outpost.environment, Output.WORKERS_TABLE)
    key = {"pk": {"S": "INTENT#shell"}, "sk": {"S": FAILURE}}
    delete = outpost.environment.client("dynamodb").delete_item
    # boto3 does not retry a conflict with a transaction.
    eventually(lambda: not error_of(delete, TableName=table, Key=key), what="the failure is deleted")
    return outpost


@pytest.mark.full
@pytest.mark.parametrize(("role", "action"), NEEDED)
def test_without_a_single_action_the_run_fails(rested: Outpost, role: str, action: str) -> None:
    outpost = rested
    log = outpost.environment.settings.server_log
    begin = log.stat().st_size

    def refused() -> bool:
        with log.open("rb") as file:
            file.seek(begin)
            return f"denied {action} on".encode() in file.read()

    with without(outpost.environment, role, action):
        dispatch = outpost.dispatch("echo never > out", timeout_seconds=120)
        eventually(refused, within=60, what=f"{role} is refused {action}")
        assert outpost.client.status(dispatch.id).status is not Status.SUCCESS
        with suppress(ApiError):  # an attempt that cannot upload is completing: it tries until it may
            outpost.client.cancel(dispatch.id)
    outpost.ends(dispatch.id, within=120)


@pytest.mark.full
def test_without_the_right_to_write_rows_nothing_is_accepted(outpost: Outpost) -> None:
    with (
        without(outpost.environment, "ApiDefinitionTaskRole", "dynamodb:PutItem"),
        pytest.raises(ApiError),
    ):
        outpost.dispatch("echo never ran")


@pytest.mark.full
def test_with_every_action_back_the_run_succeeds(outpost: Outpost) -> None:
    assert outpost.ends(outpost.dispatch("echo it ran").id, within=120).status is Status.SUCCESS


Client = Callable[[str], Any]
Call = Callable[[Client, "Names"], Any]
NOBODY: frozenset[str] = frozenset()
KEY = {"pk": {"S": "PROBE#1"}, "sk": {"S": "PROBE"}}


class Names:
    """What the probes call upon."""

    def __init__(self, environment: LocalEnvironment) -> None:
        tables = resources(environment, "DynamoDB::Table")
        self.dispatches, self.tenants, self.workers = tables["Dispatches"], tables["Tenants"], tables["Workers"]
        buckets = resources(environment, "S3::Bucket")
        self.artifacts, self.audit = buckets["Artifacts"], buckets["TrailBucket"]
        self.signing_key = resources(environment, "KMS::Key")["TrailSigningKey"]
        self.cluster = resources(environment, "ECS::Cluster")["Cluster"]
        self.wake_ups = resources(environment, "SQS::Queue")["WakeUpsShellQueue"]
        self.broker = resources(environment, "Lambda::Function")["BrokerFunction"]
        self.bootstrap_key = resources(environment, "SecretsManager::Secret")["SecretsBootstrapKey"]
        self.attempt_role = f"arn:aws:iam::000000000000:role/{resources(environment, 'IAM::Role')['BrokerAttemptRole']}"


def change(table: str) -> dict[str, Any]:
    """The arguments of an update that changes nothing: there is no such item."""
    return {
        "TableName": table,
        "Key": KEY,
        "UpdateExpression": "SET probe = :one",
        "ConditionExpression": "attribute_exists(pk)",
        "ExpressionAttributeValues": {":one": {"N": "1"}},
    }


API, ATTEMPT, BROKER, EVENTS = (
    "ApiDefinitionTaskRole",
    "BrokerAttemptRole",
    "BrokerFunctionRole",
    "TaskEventsFunctionRole",
)
PLANNER, RECONCILER, WORKER = "PlannerFunctionRole", "SweepFunctionRole", "WorkerShellDefinitionTaskRole"
USAGE = "UsageEventsFunctionRole"
CHANGES = "AuditRecordsFunctionRole"
PROBES: dict[str, tuple[frozenset[str], Call]] = {
    "read a dispatch": (
        frozenset({API, BROKER, EVENTS, PLANNER, RECONCILER, USAGE}),
        lambda client, names: client("dynamodb").get_item(TableName=names.dispatches, Key=KEY),
    ),
    "read all dispatches": (NOBODY, lambda client, names: client("dynamodb").scan(TableName=names.dispatches)),
    "change a dispatch": (
        frozenset({API, BROKER, EVENTS, RECONCILER, USAGE}),
        lambda client, names: client("dynamodb").update_item(**change(names.dispatches)),
    ),
    "delete a dispatch": (
        NOBODY,
        lambda client, names: client("dynamodb").delete_item(TableName=names.dispatches, Key=KEY),
    ),
    "read an API key": (
        frozenset({API, BROKER, PLANNER}),
        lambda client, names: client("dynamodb").get_item(TableName=names.tenants, Key=KEY),
    ),
    "change an API key": (
        frozenset({API}),
        lambda client, names: client("dynamodb").update_item(**change(names.tenants)),
    ),
    "change a worker": (
        frozenset({BROKER, EVENTS, PLANNER, RECONCILER}),
        lambda client, names: client("dynamodb").update_item(**change(names.workers)),
    ),
    "launch a worker": (
        frozenset({PLANNER}),
        lambda client, names: client("ecs").run_task(
            cluster=names.cluster, taskDefinition="outpost-local-shell", count=0
        ),
    ),
    "launch in another cluster": (
        NOBODY,
        lambda client, _: client("ecs").run_task(cluster="other", taskDefinition="outpost-local-shell", count=0),
    ),
    "launch with another role": (
        NOBODY,
        lambda client, names: client("ecs").run_task(
            cluster=names.cluster,
            taskDefinition="outpost-local-shell",
            overrides={"taskRoleArn": names.attempt_role},
        ),
    ),
    "register a task definition": (
        NOBODY,
        lambda client, _: client("ecs").register_task_definition(
            family="probe", containerDefinitions=[{"name": "probe", "image": "probe"}]
        ),
    ),
    "stop a task": (
        frozenset({RECONCILER}),
        lambda client, names: client("ecs").stop_task(cluster=names.cluster, task="f" * 32),
    ),
    "take a wake-up": (
        frozenset({WORKER}),
        lambda client, names: client("sqs").receive_message(QueueUrl=names.wake_ups, VisibilityTimeout=0),
    ),
    "send a wake-up": (
        frozenset({API, BROKER, EVENTS, RECONCILER}),
        lambda client, names: client("sqs").send_message(QueueUrl=names.wake_ups, MessageBody="{}"),
    ),
    "ask the broker": (
        frozenset({RECONCILER, WORKER}),
        lambda client, names: client("lambda").invoke(FunctionName=names.broker, InvocationType="DryRun"),
    ),
    "act as an attempt": (
        frozenset({BROKER}),
        lambda client, names: client("sts").assume_role(RoleArn=names.attempt_role, RoleSessionName="probe"),
    ),
    "read an artifact": (
        frozenset({API, ATTEMPT, EVENTS, RECONCILER}),
        lambda client, names: client("s3").get_object(Bucket=names.artifacts, Key="tenants/probe"),
    ),
    "write an artifact": (
        frozenset({ATTEMPT}),
        lambda client, names: client("s3").put_object(
            Bucket=names.artifacts, Key="tenants/probe", Body=b"", IfNoneMatch="*"
        ),
    ),
    "replace an artifact": (
        NOBODY,
        lambda client, names: client("s3").put_object(Bucket=names.artifacts, Key="tenants/probe", Body=b""),
    ),
    "copy over an artifact": (
        NOBODY,
        lambda client, names: client("s3").copy_object(
            Bucket=names.artifacts, Key="tenants/probe", CopySource=f"{names.artifacts}/tenants/probe"
        ),
    ),
    "delete an artifact": (
        NOBODY,
        lambda client, names: client("s3").delete_object(Bucket=names.artifacts, Key="tenants/probe"),
    ),
    "write what is no artifact": (
        NOBODY,
        lambda client, names: client("s3").put_object(Bucket=names.artifacts, Key="probe", Body=b""),
    ),
    "read the trail": (
        NOBODY,
        lambda client, names: client("s3").get_object(Bucket=names.audit, Key="AWSLogs/probe"),
    ),
    "sign a checkpoint of the audit log": (
        frozenset({API, CHANGES}),
        lambda client, names: client("kms").sign(
            KeyId=names.signing_key, Message=b"x", MessageType="RAW", SigningAlgorithm="RSASSA_PSS_SHA_256"
        ),
    ),
    "sign something else": (
        NOBODY,
        lambda client, names: client("kms").sign(
            KeyId=names.signing_key, Message=b"x", MessageType="RAW", SigningAlgorithm="RSASSA_PKCS1_V1_5_SHA_256"
        ),
    ),
    "write a checkpoint": (
        frozenset({API, CHANGES}),
        lambda client, names: client("s3").put_object(Bucket=names.audit, Key="audit/checkpoints/probe", Body=b""),
    ),
    "read a checkpoint": (
        NOBODY,
        lambda client, names: client("s3").get_object(Bucket=names.audit, Key="audit/checkpoints/probe"),
    ),
    "delete a checkpoint": (
        NOBODY,
        lambda client, names: client("s3").delete_object(Bucket=names.audit, Key="audit/checkpoints/probe"),
    ),
    "write an audit record": (
        frozenset({API, CHANGES}),
        lambda client, _: client("logs").create_log_stream(
            logGroupName=audit_log_group("local"), logStreamName=f"probe/{new_id()}"
        ),
    ),
    "delete audit records": (
        NOBODY,
        lambda client, _: client("logs").delete_log_stream(
            logGroupName=audit_log_group("local"), logStreamName="probe"
        ),
    ),
    "read the operator's key": (
        frozenset({API}),
        lambda client, names: client("secretsmanager").get_secret_value(SecretId=names.bootstrap_key),
    ),
    "change a role": (
        NOBODY,
        lambda client, _: client("iam").put_role_policy(RoleName="probe", PolicyName="probe", PolicyDocument="{}"),
    ),
    "stop the trail": (NOBODY, lambda client, _: client("cloudtrail").stop_logging(Name="probe")),
}


@contextmanager
def credentials(environment: LocalEnvironment, name: str) -> Iterator[Client]:
    """Clients with a session of the role; while they are used, the account's root may assume it."""
    iam = environment.client("iam")
    before = iam.get_role(RoleName=name)["Role"]["AssumeRolePolicyDocument"]
    admit = {"Effect": "Allow", "Principal": {"AWS": ROOT_PRINCIPAL}, "Action": "sts:AssumeRole"}
    during = {**before, "Statement": [*before["Statement"], admit]}
    iam.update_assume_role_policy(RoleName=name, PolicyDocument=json.dumps(during))
    try:
        answer = environment.client("sts").assume_role(
            RoleArn=f"arn:aws:iam::000000000000:role/{name}", RoleSessionName="probe"
        )["Credentials"]
        session = boto3.Session(
            answer["AccessKeyId"], answer["SecretAccessKey"], answer["SessionToken"], region_name="us-east-1"
        )
        clients: dict[str, Any] = {}
        endpoint = environment.settings.endpoint
        yield lambda service: clients.setdefault(
            service,
            session.client(service, endpoint_url=endpoint),  # type: ignore[call-overload]
        )
    finally:
        iam.update_assume_role_policy(RoleName=name, PolicyDocument=json.dumps(before))


def allowed(call: Call, client: Client, names: Names) -> bool:
    """Tell whether IAM lets the call through; what the service says of it afterwards does not matter."""
    try:
        call(client, names)
    except ClientError as error:
        return error.response["Error"]["Code"] not in DENIED
    return True


@pytest.mark.full
def test_a_role_is_refused_what_is_another_roles_business(outpost: Outpost) -> None:
    names, environment = Names(outpost.environment), outpost.environment
    roles = resources(environment, "IAM::Role")
    found: dict[str, set[str]] = {probe: set() for probe in PROBES}
    for role, name in roles.items():
        with credentials(environment, name) as client:
            for probe, (_, call) in PROBES.items():
                if allowed(call, client, names):
                    found[probe].add(role)
    environment.client("s3").delete_object(Bucket=names.artifacts, Key="tenants/probe")

    assert len(roles) >= 10
    assert found == {probe: owners & set(roles) for probe, (owners, _) in PROBES.items()}
