"""The embedded AWS creates nothing whose prerequisites are missing."""

import json
from typing import Any
from uuid import uuid4

import pytest
from botocore.exceptions import ClientError

from outpost_local.environment import LocalEnvironment
from tests.local.stacks import Resources, Stack, network, resource, trail_policy

TRUST = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}],
}
TRAILS = {"Effect": "Allow", "Principal": {"Service": "cloudtrail.amazonaws.com"}, "Resource": "*"}
ROOT = {"Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::000000000000:root"}, "Action": "kms:*", "Resource": "*"}
CONTEXT = {"StringLike": {"kms:EncryptionContext:aws:cloudtrail:arn": "arn:aws:cloudtrail:*:000000000000:trail/*"}}
ENCRYPT = {**TRAILS, "Action": "kms:GenerateDataKey*", "Condition": CONTEXT}


def trail(bucket: str, *statements: dict[str, Any], bucket_key: bool = True) -> Resources:
    """A trail under a key with these statements beside the account's, in a bucket under the same key."""
    key = {"Fn::GetAtt": ["Key", "Arn"]}
    default = {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": key}
    rule = {"ServerSideEncryptionByDefault": default, "BucketKeyEnabled": bucket_key}
    policy = {"Version": "2012-10-17", "Statement": [ROOT, *statements]}
    encryption = {"ServerSideEncryptionConfiguration": [rule]}
    return {
        "Key": resource("AWS::KMS::Key", KeyPolicy=policy),
        "Bucket": resource("AWS::S3::Bucket", BucketName=bucket, BucketEncryption=encryption),
        "Policy": resource("AWS::S3::BucketPolicy", Bucket={"Ref": "Bucket"}, PolicyDocument=trail_policy(bucket)),
        "Trail": resource("AWS::CloudTrail::Trail", S3BucketName={"Ref": "Bucket"}, KMSKeyId=key, IsLogging=False)
        | {"DependsOn": "Policy"},
    }


@pytest.fixture
def bucket() -> str:
    return f"trail-{uuid4().hex[:12]}"


def test_a_trail_needs_three_permissions_of_a_bucket_with_a_bucket_key(stack: Stack, bucket: str) -> None:
    describe = {**TRAILS, "Action": "kms:DescribeKey"}
    decrypt = {**TRAILS, "Action": "kms:Decrypt"}
    for statements in (
        [ENCRYPT, describe],  # no decryption
        [ENCRYPT, decrypt],  # no look at the key
        [{**ENCRYPT, "Action": ["kms:GenerateDataKey*", "kms:DescribeKey"]}, decrypt],  # a look only with a context
    ):
        reasons = stack.refused(trail(bucket, *statements))
        assert "Insufficient permissions to access S3 bucket" in reasons
        assert stack.try_delete() is None
    stack.deploy(trail(bucket, ENCRYPT, describe, decrypt))


def test_a_bucket_without_a_bucket_key_needs_no_decryption(stack: Stack, bucket: str) -> None:
    stack.deploy(trail(bucket, ENCRYPT, {**TRAILS, "Action": "kms:DescribeKey"}, bucket_key=False))


def test_a_trail_needs_a_bucket_that_admits_it(aws: LocalEnvironment, bucket: str) -> None:
    create = aws.client("cloudtrail").create_trail
    with pytest.raises(ClientError, match="S3BucketDoesNotExistException"):
        create(Name=bucket, S3BucketName=bucket)
    aws.client("s3").create_bucket(Bucket=bucket)
    with pytest.raises(ClientError, match="InsufficientS3BucketPolicyException"):
        create(Name=bucket, S3BucketName=bucket)
    aws.client("s3").put_bucket_policy(Bucket=bucket, Policy=json.dumps(trail_policy(bucket)))
    assert create(Name=bucket, S3BucketName=bucket)["Name"] == bucket


def function(*actions: str, timeout: int = 3) -> Resources:
    statement = {"Effect": "Allow", "Action": list(actions) or ["logs:PutLogEvents"], "Resource": "*"}
    policy = {"PolicyName": "p", "PolicyDocument": {"Version": "2012-10-17", "Statement": [statement]}}
    role = {"AssumeRolePolicyDocument": TRUST, "Policies": [policy]}
    runtime = {"Runtime": "python3.12", "Handler": "index.handler", "Timeout": timeout}
    return {
        "Role": resource("AWS::IAM::Role", **role),
        "Function": resource(
            "AWS::Lambda::Function",
            Role={"Fn::GetAtt": ["Role", "Arn"]},
            Code={"ZipFile": "def handler(event, context): pass"},
            **runtime,
        ),
    }


def mapping(source: Any, **properties: Any) -> dict[str, Any]:  # noqa: ANN401 - a template's
    arn = {"Ref": "Function"}
    return resource("AWS::Lambda::EventSourceMapping", FunctionName=arn, EventSourceArn=source, **properties)


def test_a_functions_role_must_read_its_queue_and_its_stream(stack: Stack) -> None:
    queue = {
        "Queue": resource("AWS::SQS::Queue"),
        "Mapping": mapping({"Fn::GetAtt": ["Queue", "Arn"]}),
    }
    table = {
        "Table": resource(
            "AWS::DynamoDB::Table",
            AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
            KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
            BillingMode="PAY_PER_REQUEST",
            StreamSpecification={"StreamViewType": "NEW_IMAGE"},
        ),
        "Stream": mapping({"Fn::GetAtt": ["Table", "StreamArn"]}, StartingPosition="LATEST"),
    }
    for resources, message in ((queue, "permissions to call ReceiveMessage on SQS"), (table, "Cannot access stream")):
        assert message in stack.refused(function() | resources)
        stack.delete()
    reads = [f"dynamodb:{action}" for action in ("DescribeStream", "GetRecords", "GetShardIterator", "ListStreams")]
    takes = ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"]
    stack.deploy(function(*reads, *takes) | queue | table)


def test_a_queue_hides_a_message_as_long_as_its_function_runs(stack: Stack) -> None:
    takes = ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"]
    queue = resource("AWS::SQS::Queue", VisibilityTimeout=30)
    resources = {"Queue": queue, "Mapping": mapping({"Fn::GetAtt": ["Queue", "Arn"]})}

    reasons = stack.refused(function(*takes, timeout=31) | resources)

    assert "Queue visibility timeout: 30 seconds is less than Function timeout: 31 seconds" in reasons


def balanced(listener: dict[str, Any]) -> Resources:
    action = {"Type": "forward", "TargetGroupArn": {"Ref": "Targets"}}
    return network() | {
        "Balancer": resource("AWS::ElasticLoadBalancingV2::LoadBalancer", Subnets=[{"Ref": "Subnet"}]),
        "Targets": resource(
            "AWS::ElasticLoadBalancingV2::TargetGroup", Port=80, Protocol="HTTP", TargetType="ip", VpcId={"Ref": "Vpc"}
        ),
        "Listener": resource(
            "AWS::ElasticLoadBalancingV2::Listener",
            LoadBalancerArn={"Ref": "Balancer"},
            DefaultActions=[action],
            **listener,
        ),
    }


def test_a_listener_needs_a_certificate_of_the_region(aws: LocalEnvironment, stack: Stack) -> None:
    elsewhere = "arn:aws:acm:eu-west-1:000000000000:certificate/00000000-0000-0000-0000-000000000000"
    https = {"Port": 443, "Protocol": "HTTPS"}

    reasons = stack.refused(balanced({**https, "Certificates": [{"CertificateArn": elsewhere}]}))
    assert f"Certificate '{elsewhere}' not found" in reasons
    stack.delete()

    issued = aws.client("acm").request_certificate(DomainName="example.org")["CertificateArn"]
    stack.deploy(balanced({**https, "Certificates": [{"CertificateArn": issued}]}))


def test_a_service_needs_targets_behind_a_load_balancer(stack: Stack) -> None:
    resources = balanced({"Port": 80, "Protocol": "HTTP"})
    container = {"Name": "web", "Image": "none", "PortMappings": [{"ContainerPort": 80}]}
    subnets = {"AwsvpcConfiguration": {"Subnets": [{"Ref": "Subnet"}]}}
    target = {"ContainerName": "web", "ContainerPort": 80, "TargetGroupArn": {"Ref": "Targets"}}
    service = {
        "Cluster": resource("AWS::ECS::Cluster"),
        "Definition": resource(
            "AWS::ECS::TaskDefinition", NetworkMode="awsvpc", Cpu="256", Memory="512", ContainerDefinitions=[container]
        ),
        "Service": resource(
            "AWS::ECS::Service",
            Cluster={"Ref": "Cluster"},
            TaskDefinition={"Ref": "Definition"},
            DesiredCount=0,
            LoadBalancers=[target],
            NetworkConfiguration=subnets,
        ),
    }
    alone = {name: each for name, each in resources.items() if name != "Listener"}

    assert "does not have an associated load balancer" in stack.refused(alone | service)
    stack.delete()
    service["Service"]["DependsOn"] = "Listener"
    stack.deploy(resources | service)


def test_a_firewalls_log_has_a_name_of_its_own(stack: Stack) -> None:
    def logged(name: str) -> Resources:
        visible = {"SampledRequestsEnabled": False, "CloudWatchMetricsEnabled": False, "MetricName": "m"}
        acl = {"Scope": "REGIONAL", "DefaultAction": {"Allow": {}}, "VisibilityConfig": visible}
        return {
            "Acl": resource("AWS::WAFv2::WebACL", **acl),
            "Logs": resource("AWS::Logs::LogGroup", LogGroupName=name),
            "Logging": resource(
                "AWS::WAFv2::LoggingConfiguration",
                ResourceArn={"Fn::GetAtt": ["Acl", "Arn"]},
                LogDestinationConfigs=[{"Fn::GetAtt": ["Logs", "Arn"]}],
            ),
        }

    suffix = uuid4().hex[:8]
    assert "aws-waf-logs-" in stack.refused(logged(f"firewall-{suffix}"))
    stack.delete()
    stack.deploy(logged(f"aws-waf-logs-{suffix}"))
