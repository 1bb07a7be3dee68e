"""What tests set up in an embedded account: roles, keys of their sessions, task definitions."""

import json
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import boto3
from botocore.exceptions import ClientError

from outpost_local.environment import LocalEnvironment
from tests.eventually import eventually

ROLE_PREFIX = "arn:aws:iam::000000000000:role/"


def create_role(aws: LocalEnvironment, *statements: dict[str, Any], service: str = "ecs-tasks.amazonaws.com") -> str:
    """Create a role with these statements as its only policy, for the service and the account; return its ARN."""
    name = f"role-{uuid4().hex[:12]}"
    principals = [{"Service": service}, {"AWS": "arn:aws:iam::000000000000:root"}]
    trust = [{"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"} for principal in principals]
    iam = aws.client("iam")
    arn: str = iam.create_role(
        RoleName=name,
        AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": trust}),
        MaxSessionDuration=7200,
    )["Role"]["Arn"]
    document = json.dumps({"Version": "2012-10-17", "Statement": list(statements) or [allow("sts:GetCallerIdentity")]})
    iam.put_role_policy(RoleName=name, PolicyName="only", PolicyDocument=document)
    return arn


def allow(*actions: str, resource: str = "*", condition: dict[str, Any] | None = None) -> dict[str, Any]:
    """A policy statement."""
    statement = {"Effect": "Allow", "Action": list(actions), "Resource": resource}
    return statement if condition is None else {**statement, "Condition": condition}


def session_client(aws: LocalEnvironment, credentials: dict[str, Any], service: str) -> Any:  # noqa: ANN401 - as boto3
    """Return a client with the credentials of an AssumeRole response."""
    session = boto3.Session(
        credentials["AccessKeyId"], credentials["SecretAccessKey"], credentials["SessionToken"], "us-east-1"
    )
    return session.client(service, endpoint_url=aws.settings.endpoint)  # type: ignore[call-overload]


def client_as(aws: LocalEnvironment, role_arn: str, service: str, **options: Any) -> Any:  # noqa: ANN401 - as boto3
    """A client with a session of the role; `options` go to AssumeRole."""
    response = aws.client("sts").assume_role(RoleArn=role_arn, RoleSessionName="test", **options)
    return session_client(aws, response["Credentials"], service)


def register_job(aws: LocalEnvironment, image: str, **members: Any) -> str:  # noqa: ANN401 - as boto3
    """A task definition that runs the demonstration's job; `members` go to its container. Answers its family."""
    family = f"job-{uuid4().hex[:12]}"
    task_members = {key: members.pop(key) for key in ("taskRoleArn", "executionRoleArn") if key in members}
    container = {"name": "job", "image": image, "essential": True, **members}
    aws.client("ecs").register_task_definition(
        family=family, networkMode="awsvpc", containerDefinitions=[container], cpu="256", memory="512", **task_members
    )
    return family


def run_job(aws: LocalEnvironment, family: str, *command: str, **options: Any) -> str:  # noqa: ANN401 - as boto3
    """Start one task with this command on the default cluster; return its ARN."""
    overrides = {"containerOverrides": [{"name": "job", "command": list(command)}]}
    response = aws.client("ecs").run_task(taskDefinition=family, overrides=overrides, **options)
    arn: str = response["tasks"][0]["taskArn"]
    return arn


def describe_task(aws: LocalEnvironment, arn: str) -> dict[str, Any]:
    """The task as DescribeTasks shows it, which takes a moment with a new one."""
    ecs, cluster = aws.client("ecs"), arn.split("/")[1]
    (task,) = eventually(lambda: ecs.describe_tasks(cluster=cluster, tasks=[arn])["tasks"])
    return dict(task)


def status_is(aws: LocalEnvironment, arn: str, status: str) -> Callable[[], dict[str, Any] | None]:
    """A condition for `eventually`: the task once it has this status."""

    def condition() -> dict[str, Any] | None:
        task = describe_task(aws, arn)
        return task if task["lastStatus"] == status else None

    return condition


def logged(group: str) -> dict[str, Any]:
    """A container's log configuration; the group is created with its first task."""
    options = {"awslogs-group": group, "awslogs-region": "us-east-1", "awslogs-stream-prefix": "test"}
    return {"logDriver": "awslogs", "options": {**options, "awslogs-create-group": "true"}}


def log_lines(aws: LocalEnvironment, group: str) -> list[str]:
    """The messages in the group so far, oldest first."""
    logs = aws.client("logs")
    try:
        events = logs.filter_log_events(logGroupName=group)["events"]
    except logs.exceptions.ResourceNotFoundException:
        return []
    return [event["message"] for event in events]


def error_of(call: Callable[..., object], **arguments: object) -> dict[str, Any]:
    """Code and message of the error that a call raises; empty without one."""
    try:
        call(**arguments)
    except ClientError as error:
        return dict(error.response["Error"])
    return {}
