"""What IAM refuses on the embedded AWS: the calls our roles must not be able to make."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from outpost_local.environment import LocalEnvironment
from tests.local.accounts import ROLE_PREFIX, allow, client_as, create_role, register_job, session_client
from tests.local.conftest import DEMO_IMAGE

CLUSTER = "arn:aws:ecs:us-east-1:000000000000:cluster/"


def denied(call: Callable[..., Any], *, naming: str, **arguments: Any) -> None:  # noqa: ANN401
    with pytest.raises(ClientError) as refusal:
        call(**arguments)
    assert refusal.value.response["Error"]["Code"] in {"AccessDenied", "AccessDeniedException"}
    assert naming in refusal.value.response["Error"]["Message"]


def family_arn(family: str) -> str:
    return f"arn:aws:ecs:us-east-1:000000000000:task-definition/{family}:*"


def test_run_task_is_allowed_on_one_family_only(aws: LocalEnvironment) -> None:
    mine, foreign = register_job(aws, DEMO_IMAGE), register_job(aws, DEMO_IMAGE)
    ecs = client_as(aws, create_role(aws, allow("ecs:RunTask", resource=family_arn(mine))), "ecs")
    overrides = {"containerOverrides": [{"name": "job", "command": ["exit", "0"]}]}
    assert ecs.run_task(taskDefinition=mine, overrides=overrides)["tasks"]
    denied(ecs.run_task, naming="ecs:RunTask", taskDefinition=foreign, overrides=overrides)


def test_run_task_is_allowed_on_one_cluster_only(aws: LocalEnvironment) -> None:
    family = register_job(aws, DEMO_IMAGE)
    only = {"ArnEquals": {"ecs:cluster": CLUSTER + "mine"}}
    ecs = client_as(aws, create_role(aws, allow("ecs:RunTask", "ecs:ListTasks", condition=only)), "ecs")
    for name in ("mine", "foreign"):
        aws.client("ecs").create_cluster(clusterName=name)
    overrides = {"containerOverrides": [{"name": "job", "command": ["exit", "0"]}]}
    assert ecs.run_task(cluster="mine", taskDefinition=family, overrides=overrides)["tasks"]
    assert ecs.list_tasks(cluster=CLUSTER + "mine")["taskArns"] is not None
    denied(ecs.run_task, naming="ecs:RunTask", cluster="foreign", taskDefinition=family, overrides=overrides)
    denied(ecs.list_tasks, naming="ecs:ListTasks", cluster=CLUSTER + "foreign")


def test_a_task_gets_its_roles_only_from_somebody_who_may_pass_them(aws: LocalEnvironment) -> None:
    role = create_role(aws)
    family = register_job(aws, DEMO_IMAGE, taskRoleArn=role, executionRoleArn=role)
    overrides = {"containerOverrides": [{"name": "job", "command": ["exit", "0"]}]}
    without = client_as(aws, create_role(aws, allow("ecs:RunTask")), "ecs")
    denied(without.run_task, naming="iam:PassRole", taskDefinition=family, overrides=overrides)
    to_ecs = {"StringEquals": {"iam:PassedToService": "ecs-tasks.amazonaws.com"}}
    passing = create_role(aws, allow("ecs:RunTask"), allow("iam:PassRole", resource=role, condition=to_ecs))
    allowed = client_as(aws, passing, "ecs")
    assert allowed.run_task(taskDefinition=family, overrides=overrides)["tasks"]
    denied(
        allowed.run_task,
        naming="iam:PassRole",
        taskDefinition=family,
        overrides={**overrides, "taskRoleArn": create_role(aws)},
    )


def test_a_service_gets_its_roles_only_from_somebody_who_may_pass_them(aws: LocalEnvironment) -> None:
    family = register_job(aws, DEMO_IMAGE, taskRoleArn=create_role(aws))
    without = client_as(aws, create_role(aws, allow("ecs:CreateService", "ecs:RegisterTaskDefinition")), "ecs")
    denied(without.create_service, naming="iam:PassRole", serviceName="s", taskDefinition=family, desiredCount=0)
    denied(
        without.register_task_definition,
        naming="iam:PassRole",
        family="stolen",
        taskRoleArn=create_role(aws, allow("*")),
        containerDefinitions=[{"name": "job", "image": DEMO_IMAGE}],
    )


def test_tags_on_a_task_need_a_permission_of_their_own(aws: LocalEnvironment) -> None:
    ecs = client_as(aws, create_role(aws, allow("ecs:RunTask")), "ecs")
    family = register_job(aws, DEMO_IMAGE)
    tags = [{"key": "dispatch", "value": "1"}]
    overrides = {"containerOverrides": [{"name": "job", "command": ["exit", "0"]}]}
    denied(ecs.run_task, naming="ecs:TagResource", taskDefinition=family, tags=tags, overrides=overrides)


def test_stop_task_is_allowed_on_the_tasks_of_one_cluster_only(aws: LocalEnvironment) -> None:
    mine = "arn:aws:ecs:us-east-1:000000000000:task/mine/*"
    ecs = client_as(aws, create_role(aws, allow("ecs:StopTask", resource=mine)), "ecs")
    with pytest.raises(ClientError, match="not found"):
        ecs.stop_task(cluster="mine", task="f" * 32)
    denied(ecs.stop_task, naming="ecs:StopTask", cluster="foreign", task="f" * 32)


def test_a_session_of_a_session_lasts_an_hour_at_most(aws: LocalEnvironment) -> None:
    target = create_role(aws)
    root = aws.client("sts")
    assert root.assume_role(RoleArn=target, RoleSessionName="long", DurationSeconds=7200)
    chained = client_as(aws, create_role(aws, allow("sts:AssumeRole")), "sts")
    trust_all(aws, target)
    assert chained.assume_role(RoleArn=target, RoleSessionName="short", DurationSeconds=3600)
    with pytest.raises(ClientError, match="1 hour session limit"):
        chained.assume_role(RoleArn=target, RoleSessionName="long", DurationSeconds=3601)


def test_no_session_lasts_longer_than_its_role_allows(aws: LocalEnvironment) -> None:
    with pytest.raises(ClientError, match="MaxSessionDuration"):
        aws.client("sts").assume_role(RoleArn=create_role(aws), RoleSessionName="long", DurationSeconds=7201)


def test_a_session_policy_narrows_a_session_to_one_prefix_and_one_secret(aws: LocalEnvironment) -> None:
    s3, secrets = aws.client("s3"), aws.client("secretsmanager")
    s3.create_bucket(Bucket="narrow")
    mine = secrets.create_secret(Name="mine", SecretString="1")["ARN"]
    foreign = secrets.create_secret(Name="foreign", SecretString="2")["ARN"]
    policy = [
        allow("s3:PutObject", resource="arn:aws:s3:::narrow/tenants/a/*"),
        allow("secretsmanager:GetSecretValue", resource=mine),
    ]
    credentials = aws.client("sts").assume_role(
        RoleArn=create_role(aws, allow("s3:*", "secretsmanager:*")),
        RoleSessionName="attempt",
        Policy=json.dumps({"Version": "2012-10-17", "Statement": policy}),
    )["Credentials"]
    narrow_s3 = session_client(aws, credentials, "s3")
    narrow_secrets = session_client(aws, credentials, "secretsmanager")
    narrow_s3.put_object(Bucket="narrow", Key="tenants/a/1", Body=b"")
    denied(narrow_s3.put_object, naming="", Bucket="narrow", Key="tenants/b/1", Body=b"")
    denied(narrow_s3.get_object, naming="", Bucket="narrow", Key="tenants/a/1")
    assert narrow_secrets.get_secret_value(SecretId=mine)["SecretString"] == "1"
    denied(narrow_secrets.get_secret_value, naming="GetSecretValue", SecretId=foreign)


def test_a_write_may_be_allowed_on_condition_that_it_replaces_nothing(aws: LocalEnvironment) -> None:
    unconditional = {"Null": {"s3:if-none-match": "true"}, "Bool": {"s3:ObjectCreationOperation": "true"}}
    deny = {"Effect": "Deny", "Action": "s3:PutObject", "Resource": "*", "Condition": unconditional}
    s3 = client_as(aws, create_role(aws, allow("s3:*"), deny), "s3")
    aws.client("s3").create_bucket(Bucket="written-once")
    at = {"Bucket": "written-once", "Key": "one"}
    s3.put_object(**at, IfNoneMatch="*")
    with pytest.raises(ClientError, match="PreconditionFailed"):
        s3.put_object(**at, IfNoneMatch="*")
    denied(s3.put_object, naming="s3:PutObject", **at)
    denied(s3.copy_object, naming="s3:PutObject", **at, CopySource="written-once/one")
    upload = {"Bucket": "written-once", "Key": "two"}
    upload["UploadId"] = s3.create_multipart_upload(**upload)["UploadId"]
    part = s3.upload_part(**upload, PartNumber=1, Body=b"x")
    parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    denied(s3.complete_multipart_upload, naming="s3:PutObject", **upload, MultipartUpload=parts)
    s3.complete_multipart_upload(**upload, MultipartUpload=parts, IfNoneMatch="*")


def test_a_bucket_that_insists_on_tls_admits_loopback_calls(aws: LocalEnvironment) -> None:
    s3 = aws.client("s3")
    s3.create_bucket(Bucket="tls-only")
    statement = {
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:*",
        "Resource": ["arn:aws:s3:::tls-only", "arn:aws:s3:::tls-only/*"],
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }
    s3.put_bucket_policy(Bucket="tls-only", Policy=json.dumps({"Version": "2012-10-17", "Statement": [statement]}))
    role = create_role(aws, allow("s3:*"))
    client_as(aws, role, "s3").put_object(Bucket="tls-only", Key="a", Body=b"")


def test_describing_one_repository_needs_no_more_than_that_repository(aws: LocalEnvironment) -> None:
    for name in ("mine", "foreign"):
        aws.client("ecr").create_repository(repositoryName=name)
    only = allow("ecr:DescribeRepositories", resource="arn:aws:ecr:us-east-1:000000000000:repository/mine")
    ecr = client_as(aws, create_role(aws, only), "ecr")
    assert ecr.describe_repositories(repositoryNames=["mine"])["repositories"]
    denied(ecr.describe_repositories, naming="ecr:DescribeRepositories", repositoryNames=["foreign"])
    denied(ecr.describe_repositories, naming="ecr:DescribeRepositories")


def test_the_credential_endpoint_responds_to_nobody_without_the_token_of_the_container(aws: LocalEnvironment) -> None:
    import urllib.error  # noqa: PLC0415
    import urllib.request  # noqa: PLC0415

    with pytest.raises(urllib.error.HTTPError, match="403") as refusal:
        urllib.request.urlopen(f"{aws.settings.endpoint}/v2/credentials/guessed")  # noqa: S310
    refusal.value.close()


def test_a_refused_call_is_in_the_servers_log(aws: LocalEnvironment) -> None:
    role = create_role(aws)
    denied(client_as(aws, role, "sqs").create_queue, naming="sqs:CreateQueue", QueueName="q")
    assert "denied sqs:CreateQueue on" in aws.settings.server_log.read_text()


def trust_all(aws: LocalEnvironment, role_arn: str) -> None:
    trust = {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}
    aws.client("iam").update_assume_role_policy(
        RoleName=role_arn.removeprefix(ROLE_PREFIX),
        PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [trust]}),
    )
