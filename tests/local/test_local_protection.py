"""What templates ask for in protection is there on the embedded AWS: a table's key and recovery, a trail's files.

Deletion protection too, though the policy of the function that sets it takes effect late.
"""

import gzip
import json
import time
from types import SimpleNamespace
from uuid import uuid4

import boto3
import pytest

from deletion_protection import handler as deletion_protection
from outpost_local.environment import LocalEnvironment
from tests.local.accounts import allow, create_role
from tests.local.stacks import Stack, resource, trail_policy

KEY = {"KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}], "BillingMode": "PAY_PER_REQUEST"}
ATTRIBUTES = [{"AttributeName": "pk", "AttributeType": "S"}]


def test_a_table_is_encrypted_and_recoverable_as_its_template_says(aws: LocalEnvironment, stack: Stack) -> None:
    dynamodb = aws.client("dynamodb")
    plain = resource("AWS::DynamoDB::Table", AttributeDefinitions=ATTRIBUTES, **KEY)
    protection = {
        "SSESpecification": {"SSEEnabled": True, "SSEType": "KMS", "KMSMasterKeyId": "arn:aws:kms:::key/1"},
        "PointInTimeRecoverySpecification": {"PointInTimeRecoveryEnabled": True},
    }
    protected = {**plain, "Properties": {**plain["Properties"], **protection}}

    def state(name: str) -> tuple[str | None, str]:
        sse = dynamodb.describe_table(TableName=name)["Table"].get("SSEDescription") or {}
        backups = dynamodb.describe_continuous_backups(TableName=name)["ContinuousBackupsDescription"]
        return sse.get("KMSMasterKeyArn"), backups["PointInTimeRecoveryDescription"]["PointInTimeRecoveryStatus"]

    first = stack.deploy({"Created": protected, "Changed": plain})
    assert state(first["Created"]) == ("arn:aws:kms:::key/1", "ENABLED")
    assert state(first["Changed"]) == (None, "DISABLED")

    second = stack.deploy({"Created": protected, "Changed": protected})
    assert state(second["Changed"]) == ("arn:aws:kms:::key/1", "ENABLED")


def test_deletion_protection_is_set_though_the_policy_for_it_takes_effect_late(
    aws: LocalEnvironment, stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    iam, dynamodb, role = aws.client("iam"), aws.client("dynamodb"), create_role(aws)
    name = stack.deploy({"Table": resource("AWS::DynamoDB::Table", AttributeDefinitions=ATTRIBUTES, **KEY)})["Table"]
    arn = dynamodb.describe_table(TableName=name)["Table"]["TableArn"]
    policy = {"Version": "2012-10-17", "Statement": [allow("dynamodb:DescribeTable", "dynamodb:UpdateTable")]}
    pauses: list[float] = []

    def take_effect(seconds: float) -> None:
        pauses.append(seconds)
        iam.put_role_policy(RoleName=role.rpartition("/")[2], PolicyName="late", PolicyDocument=json.dumps(policy))

    session = aws.client("sts").assume_role(RoleArn=role, RoleSessionName="test")["Credentials"]
    for variable, value in {
        "AWS_ACCESS_KEY_ID": session["AccessKeyId"],
        "AWS_SECRET_ACCESS_KEY": session["SecretAccessKey"],
        "AWS_SESSION_TOKEN": session["SessionToken"],
        "AWS_ENDPOINT_URL": aws.settings.endpoint,
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(variable, value)
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)
    monkeypatch.setattr(deletion_protection, "time", SimpleNamespace(monotonic=time.monotonic, sleep=take_effect))

    deletion_protection.change({"RequestType": "Create", "ResourceProperties": {"Protected": [arn]}})

    assert pauses == [deletion_protection.PAUSE_SECONDS]
    assert dynamodb.describe_table(TableName=name)["Table"]["DeletionProtectionEnabled"]
    dynamodb.update_table(TableName=name, DeletionProtectionEnabled=False)


def test_a_trail_writes_what_was_called_into_its_bucket_and_says_when_it_cannot(aws: LocalEnvironment) -> None:
    s3, cloudtrail = aws.client("s3"), aws.client("cloudtrail")
    bucket = name = f"trail-{uuid4().hex[:8]}"
    s3.create_bucket(Bucket=bucket)
    s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps(trail_policy(bucket)))
    cloudtrail.create_trail(Name=name, S3BucketName=bucket)
    cloudtrail.start_logging(Name=name)

    status = cloudtrail.get_trail_status(Name=name)
    (file,) = s3.list_objects_v2(Bucket=bucket, Prefix="AWSLogs/000000000000/CloudTrail/us-east-1/")["Contents"]
    records = json.loads(gzip.decompress(s3.get_object(Bucket=bucket, Key=file["Key"])["Body"].read()))["Records"]

    assert "LatestDeliveryError" not in status
    assert status["LatestDeliveryTime"]
    assert "CreateBucket" in {record["eventName"] for record in records}

    s3.delete_bucket_policy(Bucket=bucket)

    assert cloudtrail.get_trail_status(Name=name)["LatestDeliveryError"] == "AccessDenied"


def test_an_alarm_without_data_is_ok_when_that_is_no_breach(aws: LocalEnvironment, stack: Stack) -> None:
    cloudwatch, namespace = aws.client("cloudwatch"), f"test-{uuid4().hex[:8]}"
    alarm = resource(
        "AWS::CloudWatch::Alarm",
        Namespace=namespace,
        MetricName="Errors",
        Statistic="Sum",
        Period=60,
        ComparisonOperator="GreaterThanThreshold",
        EvaluationPeriods=1,
        Threshold=5,
        TreatMissingData="notBreaching",
    )
    name = stack.deploy({"Alarm": alarm})["Alarm"]
    cloudwatch.put_metric_data(Namespace=f"{namespace}-other", MetricData=[{"MetricName": "Errors", "Value": 9}])
    assert cloudwatch.describe_alarms(AlarmNames=[name])["MetricAlarms"][0]["StateValue"] == "OK"
    cloudwatch.put_metric_data(Namespace=namespace, MetricData=[{"MetricName": "Errors", "Value": 9}])
    assert cloudwatch.describe_alarms(AlarmNames=[name])["MetricAlarms"][0]["StateValue"] == "ALARM"


def test_an_alarm_on_several_metrics_is_deployed_and_rings(aws: LocalEnvironment, stack: Stack) -> None:
    cloudwatch, namespace = aws.client("cloudwatch"), f"test-{uuid4().hex[:8]}"
    statistics = [
        {
            "Id": f"m{number}",
            "ReturnData": False,
            "MetricStat": {
                "Metric": {
                    "Namespace": namespace,
                    "MetricName": f"Depth{number}",
                    "Dimensions": [{"Name": "Agent", "Value": agent}],
                },
                "Period": 60,
                "Stat": "Maximum",
            },
        }
        for number, agent in enumerate(("one", "two"))
    ]
    alarm = resource(
        "AWS::CloudWatch::Alarm",
        Metrics=[{"Id": "all", "Expression": "MAX([m0, m1])"}, *statistics],
        ComparisonOperator="GreaterThanThreshold",
        EvaluationPeriods=1,
        Threshold=5,
    )
    name = stack.deploy({"Alarm": alarm})["Alarm"]

    dimensions = [{"Name": "Agent", "Value": "two"}]
    cloudwatch.put_metric_data(
        Namespace=namespace, MetricData=[{"MetricName": "Depth1", "Value": 9, "Dimensions": dimensions}]
    )

    assert cloudwatch.describe_alarms(AlarmNames=[name])["MetricAlarms"][0]["StateValue"] == "ALARM"
