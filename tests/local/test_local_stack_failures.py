"""A failed create leaves on the embedded AWS what it leaves on AWS; names and protection stop what they stop there."""

import json
from typing import Any
from uuid import uuid4

import pytest
from botocore.exceptions import ClientError

from outpost_local.environment import LocalEnvironment
from tests.local.accounts import register_job, run_job
from tests.local.conftest import DEMO_IMAGE
from tests.local.stacks import Stack, network, resource

KEY = {"KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}], "BillingMode": "PAY_PER_REQUEST"}
ATTRIBUTES = [{"AttributeName": "pk", "AttributeType": "S"}]
PROTECTED_TABLE = resource(
    "AWS::DynamoDB::Table", AttributeDefinitions=ATTRIBUTES, **KEY, DeletionProtectionEnabled=True
)
BALANCER = resource(
    "AWS::ElasticLoadBalancingV2::LoadBalancer",
    Subnets=[{"Ref": "Subnet"}],
    LoadBalancerAttributes=[{"Key": "deletion_protection.enabled", "Value": "true"}],
)


def failing(after: str) -> dict[str, Any]:
    """A resource that fails once the one it depends on exists."""
    return {"Failing": resource("AWS::SNS::Topic", Surprise=True) | {"DependsOn": after}}


@pytest.fixture
def name() -> str:
    return f"name-{uuid4().hex[:12]}"


def test_protection_stops_the_rollback_of_a_failed_create(aws: LocalEnvironment, stack: Stack) -> None:
    stack.refused(network() | {"Balancer": BALANCER} | failing("Balancer"))

    assert stack.status() == "ROLLBACK_FAILED"
    assert "cannot be deleted because deletion protection is enabled" in stack.failures()
    assert stack.try_delete() == "DELETE_FAILED"
    balancers = aws.client("elbv2")
    arn = stack.physical_id("Balancer")
    with pytest.raises(ClientError, match="OperationNotPermitted"):
        balancers.delete_load_balancer(LoadBalancerArn=arn)
    attributes = [{"Key": "deletion_protection.enabled", "Value": "false"}]
    balancers.modify_load_balancer_attributes(LoadBalancerArn=arn, Attributes=attributes)
    assert stack.try_delete() is None


def test_a_protected_table_is_not_deleted_with_its_stack(aws: LocalEnvironment, stack: Stack) -> None:
    table = stack.deploy({"Table": PROTECTED_TABLE})["Table"]

    assert stack.try_delete() == "DELETE_FAILED"

    aws.client("dynamodb").update_table(TableName=table, DeletionProtectionEnabled=False)
    assert stack.try_delete() is None


@pytest.mark.parametrize(("policy", "remains"), [("Retain", True), ("RetainExceptOnCreate", False)])
def test_what_a_failed_create_retains_has_its_name_at_the_second_try(
    aws: LocalEnvironment, stack: Stack, name: str, policy: str, remains: bool
) -> None:
    secret = resource("AWS::SecretsManager::Secret", Name=name) | {"DeletionPolicy": policy}

    stack.refused({"Secret": secret} | failing("Secret"))
    stack.delete()

    secrets = aws.client("secretsmanager")
    if remains:
        assert f"identifier '{name}' already exists" in stack.refused({"Secret": secret})
        secrets.delete_secret(SecretId=name, ForceDeleteWithoutRecovery=True)
    else:
        stack.deploy({"Secret": secret})
        stack.delete()
        secrets.delete_secret(SecretId=name, ForceDeleteWithoutRecovery=True)  # deployed, it is retained


def test_a_stack_whose_create_failed_can_only_be_deleted(aws: LocalEnvironment, stack: Stack) -> None:
    stack.refused({"Topic": resource("AWS::SNS::Topic")} | failing("Topic"))
    cloudformation = aws.client("cloudformation")
    template = json.dumps({"Resources": {"Topic": resource("AWS::SNS::Topic")}})

    assert stack.status() == "ROLLBACK_COMPLETE"
    with pytest.raises(ClientError, match="AlreadyExistsException"):
        cloudformation.create_stack(StackName=stack.name, TemplateBody=template)
    with pytest.raises(ClientError, match="is in ROLLBACK_COMPLETE state"):
        cloudformation.update_stack(StackName=stack.name, TemplateBody=template)
    with pytest.raises(ClientError, match="is in ROLLBACK_COMPLETE state"):
        cloudformation.create_change_set(
            StackName=stack.name, ChangeSetName="again", ChangeSetType="CREATE", TemplateBody=template
        )
    assert stack.try_delete() is None


def test_a_bucket_with_an_object_is_not_deleted_with_its_stack(aws: LocalEnvironment, stack: Stack) -> None:
    bucket = stack.deploy({"Bucket": resource("AWS::S3::Bucket")})["Bucket"]
    s3 = aws.client("s3")
    s3.put_object(Bucket=bucket, Key="kept", Body=b"")

    assert stack.try_delete() == "DELETE_FAILED"
    assert "The bucket you tried to delete is not empty" in stack.failures()

    s3.delete_object(Bucket=bucket, Key="kept")
    assert stack.try_delete() is None


def test_a_repository_with_an_image_is_not_deleted_with_its_stack(aws: LocalEnvironment, stack: Stack) -> None:
    repository = stack.deploy({"Repository": resource("AWS::ECR::Repository")})["Repository"]
    ecr = aws.client("ecr")
    ecr.put_image(repositoryName=repository, imageManifest="{}", imageTag="kept")

    assert stack.try_delete() == "DELETE_FAILED"

    ecr.batch_delete_image(repositoryName=repository, imageIds=[{"imageTag": "kept"}])
    assert stack.try_delete() is None


def test_a_cluster_with_a_task_is_not_deleted(aws: LocalEnvironment, stack: Stack) -> None:
    cluster = stack.deploy({"Cluster": resource("AWS::ECS::Cluster")})["Cluster"]
    ecs = aws.client("ecs")
    task = run_job(aws, register_job(aws, DEMO_IMAGE), "sleep", "600", cluster=cluster)

    with pytest.raises(ClientError, match="ClusterContainsTasksException"):
        ecs.delete_cluster(cluster=cluster)
    assert stack.try_delete() == "DELETE_FAILED"

    ecs.stop_task(cluster=cluster, task=task)
    ecs.get_waiter("tasks_stopped").wait(cluster=cluster, tasks=[task], WaiterConfig={"Delay": 1})
    assert stack.try_delete() is None


NAMED: dict[str, dict[str, Any]] = {
    "AWS::CloudWatch::Dashboard": {"DashboardName": None, "DashboardBody": "{}"},
    "AWS::CloudWatch::CompositeAlarm": {"AlarmName": None, "AlarmRule": "FALSE"},
    "AWS::DynamoDB::Table": {"TableName": None, "AttributeDefinitions": ATTRIBUTES, **KEY},
    "AWS::Events::Rule": {"Name": None, "ScheduleExpression": "rate(1 day)"},
    "AWS::IAM::Role": {"RoleName": None, "AssumeRolePolicyDocument": {"Version": "2012-10-17", "Statement": []}},
    "AWS::Logs::LogGroup": {"LogGroupName": None},
    "AWS::S3::Bucket": {"BucketName": None},
    "AWS::SNS::Topic": {"TopicName": None},
    "AWS::SQS::Queue": {"QueueName": None},
    "AWS::SecretsManager::Secret": {"Name": None},
}


def test_no_resource_takes_a_name_that_exists(aws: LocalEnvironment, stack: Stack, name: str) -> None:
    def named(prefix: str) -> dict[str, Any]:
        return {
            prefix + kind.replace("::", ""): resource(kind, **{k: name if v is None else v for k, v in props.items()})
            for kind, props in NAMED.items()
        }

    stack.deploy(named("First"))
    for logical_id, second in named("Second").items():
        clash = Stack(aws)
        reasons = clash.refused({logical_id: second})
        assert "already exists" in reasons or "Validation failed" in reasons, logical_id  # S3: before it is created
        clash.delete()


def test_a_deleted_secret_and_a_deleted_queue_keep_their_names(aws: LocalEnvironment, stack: Stack, name: str) -> None:
    secrets, queues = aws.client("secretsmanager"), aws.client("sqs")
    secrets.create_secret(Name=name, SecretString="x")
    secrets.delete_secret(SecretId=name)
    queues.delete_queue(QueueUrl=queues.create_queue(QueueName=name)["QueueUrl"])

    with pytest.raises(ClientError, match="already scheduled for deletion"):
        secrets.create_secret(Name=name, SecretString="x")
    assert "already scheduled for deletion" in stack.refused({"S": resource("AWS::SecretsManager::Secret", Name=name)})
    with pytest.raises(ClientError, match="You must wait 60 seconds"):
        queues.create_queue(QueueName=name)
