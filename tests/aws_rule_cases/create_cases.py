"""Rules on what AWS looks at when it creates a resource: order, permissions of roles, storage."""

from typing import Any

from tests.aws_rule_cases.case import Case, Resources, allow, att, document, function, policy, ref, res, role


def after(*names: str) -> dict[str, list[str]]:
    return {"DependsOn": list(names)}


def mapping(*statements: dict[str, Any], **more: object) -> Resources:
    properties = {"EventSourceArn": att("Table", "StreamArn"), "FunctionName": ref("Function"), **more}
    return {
        "Table": res("DynamoDB::Table"),
        "Dead": res("SQS::Queue"),
        "Role": role(),
        "Policy": policy(*statements),
        "Function": function() | after("Policy"),
        "Mapping": res("Lambda::EventSourceMapping", **properties),
    }


def service(*needed: str) -> Resources:
    groups = [{"ContainerName": "api", "ContainerPort": 8080, "TargetGroupArn": ref("Group")}]
    forward = [{"Type": "forward", "TargetGroupArn": ref("Group")}]
    task = res("ECS::TaskDefinition", ExecutionRoleArn=att("Role"), ContainerDefinitions=[])
    return {
        "Role": role("ecs-tasks"),
        "Policy": policy(allow("ecr:GetAuthorizationToken")),
        "Task": task,
        "Group": res("ElasticLoadBalancingV2::TargetGroup"),
        "Listener": res("ElasticLoadBalancingV2::Listener", DefaultActions=forward),
        "Service": res("ECS::Service", TaskDefinition=ref("Task"), LoadBalancers=groups) | after(*needed),
    }


def trail(*needed: str) -> Resources:
    return {
        "Bucket": res("S3::Bucket"),
        "BucketPolicy": res("S3::BucketPolicy", Bucket=ref("Bucket"), PolicyDocument=document()),
        "Trail": res("CloudTrail::Trail", S3BucketName=ref("Bucket")) | after(*needed),
    }


def route(*needed: str) -> Resources:
    return {
        "Gateway": res("EC2::InternetGateway"),
        "Attachment": res("EC2::VPCGatewayAttachment", InternetGatewayId=ref("Gateway"), VpcId="vpc-1"),
        "Route": res("EC2::Route", GatewayId=ref("Gateway"), RouteTableId="rtb-1") | after(*needed),
    }


def networked(*actions: str) -> Resources:
    return {
        "Role": role(),
        "Policy": policy(allow(list(actions))),
        "Function": function(VpcConfig={"SubnetIds": ["subnet-1"], "SecurityGroupIds": ["sg-1"]}),
    }


def task(*actions: str) -> Resources:
    options = {"awslogs-group": ref("Logs"), "awslogs-region": "us-east-1", "awslogs-stream-prefix": "api"}
    container = {
        "Name": "api",
        "Image": "api",
        "LogConfiguration": {"LogDriver": "awslogs", "Options": options},
        "Secrets": [{"Name": "KEY", "ValueFrom": ref("Secret")}],
    }
    return {
        "Logs": res("Logs::LogGroup"),
        "Secret": res("SecretsManager::Secret"),
        "Role": role("ecs-tasks"),
        "Policy": policy(allow(list(actions), [att("Logs"), ref("Secret")])),
        "Task": res("ECS::TaskDefinition", ExecutionRoleArn=att("Role"), ContainerDefinitions=[container]),
    }


def key(*actions: str, **more: object) -> Resources:
    root = allow(list(actions), Principal={"AWS": "arn:aws:iam::123456789012:root"}, **more)
    return {"Key": res("KMS::Key", KeyPolicy=document(root))}


def moved(*days: tuple[str, int], ends: int = 365) -> Resources:
    transitions = [{"StorageClass": kind, "TransitionInDays": count} for kind, count in days]
    rule = {"Status": "Enabled", "Transitions": transitions, "ExpirationInDays": ends}
    return {"Bucket": res("S3::Bucket", LifecycleConfiguration={"Rules": [rule]})}


def backup(ends: int, done: int = 180) -> Resources:
    lifecycle = {"MoveToColdStorageAfterDays": 30, "DeleteAfterDays": ends}
    rule = {"RuleName": "daily", "Lifecycle": lifecycle, "StartWindowMinutes": 60, "CompletionWindowMinutes": done}
    return {"Plan": res("Backup::BackupPlan", BackupPlan={"BackupPlanName": "Plan", "BackupPlanRule": [rule]})}


def reserved(count: int) -> Resources:
    return {"Role": role(), "Function": function(ReservedConcurrentExecutions=count)}


POLL = allow(["dynamodb:DescribeStream", "dynamodb:GetRecords", "dynamodb:GetShardIterator"], att("Table", "StreamArn"))
LATE = mapping(POLL) | {"Function": function()}
ON_FAILURE = {"DestinationConfig": {"OnFailure": {"Destination": att("Dead")}}}
LOCK = {"ObjectLockEnabled": True, "ObjectLockConfiguration": {"ObjectLockEnabled": "Enabled"}}
IA, GLACIER = "STANDARD_IA", "GLACIER"

CASES = [
    Case("after-role-policies", LATE, mapping(POLL), "Mapping"),
    Case("after-role-policies", service("Listener"), service("Policy"), "Service"),
    Case("after-bucket-policy", trail(), trail("BucketPolicy"), "Trail"),
    Case("after-listener", service("Policy"), service("Listener"), "Service"),
    Case("after-attachment", route(), route("Attachment"), "Route"),
    Case(
        "function-network-interfaces",
        networked("ec2:CreateNetworkInterface"),
        networked("ec2:CreateNetworkInterface", "ec2:Describe*", "ec2:DeleteNetworkInterface"),
        "Function",
    ),
    Case(
        "function-destinations",
        mapping(POLL, **ON_FAILURE),
        mapping(POLL, allow("sqs:SendMessage", att("Dead")), **ON_FAILURE),
        "Mapping",
    ),
    Case(
        "function-sources", mapping(allow("dynamodb:GetRecords", att("Table", "StreamArn"))), mapping(POLL), "Mapping"
    ),
    Case(
        "task-logs-and-secrets",
        task("logs:CreateLogStream", "secretsmanager:GetSecretValue"),
        task("logs:CreateLogStream", "logs:PutLogEvents", "secretsmanager:GetSecretValue"),
        "Task",
    ),
    Case(
        "task-logs-and-secrets",
        task("logs:CreateLogStream", "logs:PutLogEvents"),
        task("logs:*", "secretsmanager:*"),
        "Task",
    ),
    Case("key-administered", key("kms:Decrypt"), key("kms:*"), "Key"),
    Case("key-administered", key("kms:*", Condition={"Bool": {"aws:x": "y"}}), key("kms:Put*"), "Key"),
    Case("bucket-lifecycle", moved((IA, 29)), moved((IA, 30)), "Bucket"),
    Case("bucket-lifecycle", moved((IA, 30), (GLACIER, 59)), moved((IA, 30), (GLACIER, 60)), "Bucket"),
    Case("bucket-lifecycle", moved((IA, 30), ends=30), moved((IA, 30), ends=31), "Bucket"),
    Case(
        "object-lock",
        {"Bucket": res("S3::Bucket", **LOCK)},
        {"Bucket": res("S3::Bucket", **LOCK, VersioningConfiguration={"Status": "Enabled"})},
        "Bucket",
    ),
    Case("backup-lifecycle", backup(119), backup(120), "Plan"),
    Case("backup-lifecycle", backup(120, done=119), backup(120, done=120), "Plan"),
    Case("reserved-concurrency", reserved(901), reserved(900), "Function"),
]
