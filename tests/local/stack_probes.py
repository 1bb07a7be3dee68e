"""Probes of what CloudFormation's handlers in MiniStack do, and of the services behind them."""

import asyncio
import json
from urllib.parse import quote

from ministack.services import backup, cloudwatch, dynamodb, ecs, iam, lambda_svc, s3
from ministack.services.cloudformation import engine, provisioners, stacks

from tests.local.probing import body_of, create, probe, task_definition


@probe("a service's update skips an unchanged DesiredCount")
def desired_count() -> bool:
    task_definition("served")
    properties = {"Cluster": "c", "ServiceName": "s", "TaskDefinition": "served:1", "DesiredCount": 0}
    handlers = provisioners._RESOURCE_HANDLERS["AWS::ECS::Service"]
    ecs._create_cluster({"clusterName": "c"})
    service = handlers["create"]("Service", properties, "stack")[0]
    ecs._update_service({"cluster": "c", "service": "s", "desiredCount": 1})
    handlers["update"](service, properties, properties | {"PropagateTags": "SERVICE"}, "stack")
    found = body_of(ecs._describe_services({"cluster": "c", "services": ["s"]}))["services"][0]
    ecs._update_service({"cluster": "c", "service": "s", "desiredCount": 0})
    return bool(found["desiredCount"] == 1)


@probe("a stack does not wait for its services")
def services_in_stacks() -> bool:
    return not stacks._runs_on_worker_thread("AWS::ECS::Service")


@probe("functions lose their network")
def function_network() -> bool:
    name = create("AWS::Lambda::Function", "Function", {
        "FunctionName": "placed", "Role": "arn:aws:iam::000000000000:role/r", "Handler": "a.b", "Runtime": "python3.13",
        "Code": {"ZipFile": "x"}, "VpcConfig": {"SubnetIds": ["subnet-1"], "SecurityGroupIds": ["sg-1"]},
    })  # fmt: skip
    return not lambda_svc._functions[name]["config"].get("VpcConfig", {}).get("SubnetIds")


@probe("a stack takes over a log group that exists")
def taken_log_group() -> bool:
    try:
        return [create("AWS::Logs::LogGroup", "Logs", {"LogGroupName": "/taken"}) for _ in range(2)] == ["/taken"] * 2
    except ValueError:
        return False


@probe("a generated secret's name begins with its stack")
def secret_name() -> bool:
    return create("AWS::SecretsManager::Secret", "S", {}).startswith("stack-")


@probe("a secret's Ref is its name")
def secret_reference() -> bool:
    return not create("AWS::SecretsManager::Secret", "S", {"Name": "s"}).startswith("arn:")


@probe("tables lose their encryption")
def table_encryption() -> bool:
    name = create("AWS::DynamoDB::Table", "Table", {
        "TableName": "t", "BillingMode": "PAY_PER_REQUEST", "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
        "AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "S"}],
        "SSESpecification": {"SSEEnabled": True, "SSEType": "KMS"},
    })  # fmt: skip
    return "SSEDescription" not in body_of(dynamodb._describe_table({"TableName": name}))["Table"]


METRIC = {"Namespace": "N", "MetricName": "M", "Statistic": "Sum", "Period": 60}
ALARM = {"ComparisonOperator": "GreaterThanThreshold", "Threshold": 0, "EvaluationPeriods": 1}


@probe("alarms have one metric")
def metric_math() -> bool:
    stat = {"Metric": {"Namespace": "N", "MetricName": "M"}, "Period": 60, "Stat": "Sum"}
    queries = [{"Id": "a", "Expression": "m * 2"}, {"Id": "m", "MetricStat": stat, "ReturnData": False}]
    try:
        create("AWS::CloudWatch::Alarm", "Alarm", ALARM | {"AlarmName": "math", "Metrics": queries})
    except ValueError:
        return True
    return False


@probe("alarms keep their state without data")
def missing_data() -> bool:
    create("AWS::CloudWatch::Alarm", "Alarm", ALARM | METRIC | {"AlarmName": "a", "TreatMissingData": "notBreaching"})
    cloudwatch._alarms["a"]["StateValue"] = "ALARM"
    cloudwatch._evaluate_alarm(cloudwatch._alarms["a"])
    return bool(cloudwatch._alarms["a"]["StateValue"] == "ALARM")


@probe("a condition does not call functions")
def conditions() -> bool:
    template = {"Conditions": {"Empty": {"Fn::Equals": ["", {"Fn::Join": ["", []]}]}}}
    return not engine._evaluate_conditions(template, {})["Empty"]


@probe("create-only properties change in place")
def create_only() -> bool:
    return bool(provisioners._property_recreation("AWS::EC2::SecurityGroup", "GroupDescription") != "Always")


@probe("a bucket with an object can be deleted by its stack")
def full_bucket() -> bool:
    s3._buckets["full"] = {"name": "full", "objects": {"kept": {}}}
    try:
        provisioners._delete_resource("AWS::S3::Bucket", "full", {})
    except ValueError:
        return False
    return "full" not in s3._buckets


@probe("a bucket's access logs are dropped")
def bucket_logs() -> bool:
    create("AWS::S3::Bucket", "Logged", {
        "BucketName": "logged", "LoggingConfiguration": {"DestinationBucketName": "logged"},
    })  # fmt: skip
    return "TargetBucket" not in str(s3._get_bucket_logging("logged")[2])


@probe("access logs have no records")
def log_records() -> bool:
    create("AWS::S3::Bucket", "Emptied", {
        "BucketName": "emptied", "LoggingConfiguration": {"DestinationBucketName": "emptied"},
    })  # fmt: skip
    s3._put_object("emptied", "gone", b"x", {})
    s3._delete_objects("emptied", b"<Delete><Object><Key>gone</Key></Object></Delete>")
    return not s3._buckets["emptied"]["objects"]


@probe("a bucket's encryption is dropped")
def bucket_encryption() -> bool:
    rules = [{"ServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": "k"}}]
    properties = {"BucketName": "sealed", "BucketEncryption": {"ServerSideEncryptionConfiguration": rules}}
    create("AWS::S3::Bucket", "Sealed", properties)
    return "aws:kms" not in str(s3._get_bucket_encryption("sealed")[2])


RECOVERED = {
    "ResourceArn": "arn:aws:dynamodb:us-east-1:000000000000:table/t",
    "IamRoleArn": "arn:aws:iam::000000000000:role/backup",
}


@probe("a vault lists no recovery points")
def recovery_points() -> bool:
    backup._create_vault("v", {})
    backup._start_job({"BackupVaultName": "v", **RECOVERED})
    return b"RecoveryPointArn" not in backup._list_recovery_points_by_vault("v", {})[2]


@probe("a vault with recovery points can be deleted")
def full_vault() -> bool:
    recovery_points()
    return bool(backup._delete_vault("v")[0] == 200)


@probe("recovery points cannot be deleted")
def recovery_point_kept() -> bool:
    backup._create_vault("w", {})
    started = body_of(backup._start_job({"BackupVaultName": "w", **RECOVERED}))
    path = f"/backup-vaults/w/recovery-points/{quote(started['RecoveryPointArn'], safe='')}"
    return bool(asyncio.run(backup.handle_request("DELETE", path, {}, b"", {}))[0] >= 400)


@probe("what is protected or in use can be deleted")
def cluster_with_tasks() -> bool:
    ecs._create_cluster({"clusterName": "used"})
    task_definition("using")
    ecs._run_task({"cluster": "used", "taskDefinition": "using:1"})
    return bool(ecs._ACTION_MAP["DeleteCluster"]({"cluster": "used"})[0] == 200)


@probe("a template with the type is refused")
def missing_type() -> bool:
    return "AWS::EC2::EIP" not in provisioners._RESOURCE_HANDLERS


@probe("task definitions lose members")
def task_definition_members() -> bool:
    container = {"Name": "job", "Image": "i", "Ulimits": [{"Name": "nofile", "SoftLimit": 1, "HardLimit": 2}]}
    arn = create("AWS::ECS::TaskDefinition", "Task", {"Family": "whole", "ContainerDefinitions": [container]})
    (found,) = ecs._task_defs[ecs._resolve_td_key(arn)]["containerDefinitions"]
    return bool(found.get("ulimits") != [{"name": "nofile", "softLimit": 1, "hardLimit": 2}])


@probe("no role is there for ECS")
def linked_roles() -> bool:
    return "AWSServiceRoleForECS" not in iam._roles


@probe("a role's policies may have any size")
def policy_size() -> bool:
    iam._roles["large"] = {"InlinePolicies": {}}
    statement = {"Sid": "a" * 11_000, "Effect": "Allow", "Action": "*", "Resource": "*"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    request = {"RoleName": ["large"], "PolicyName": ["p"], "PolicyDocument": [policy]}
    return bool(iam._IAM_HANDLERS["PutRolePolicy"](request)[0] == 200)


@probe("unknown properties are ignored")
def unknown_properties() -> bool:
    try:
        properties = {"DispalyName": "typo"}
        return bool(provisioners._provision_resource("AWS::SNS::Topic", "Topic", properties, "stack"))
    except ValueError:
        return False
