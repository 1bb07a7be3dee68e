"""Rules on who may do what: actions, roles, keys."""

from typing import Any

from tests.aws_rule_cases.case import Case, Resources, allow, att, document, policy, ref, res, role

DYNAMODB = {"StringEquals": {"kms:ViaService": "dynamodb.us-east-1.amazonaws.com"}}
CONTEXT = {"StringLike": {"kms:EncryptionContext:aws:cloudtrail:arn": "arn:aws:cloudtrail:*"}}
TABLE = res("DynamoDB::Table", SSESpecification={"SSEEnabled": True, "KMSMasterKeyId": att("Key")})


def granted(*statements: dict[str, Any]) -> Resources:
    return {"Role": role(), "Policy": policy(*statements), "Table": TABLE, "Key": res("KMS::Key")}


def trusted(service: str) -> Resources:
    task = res("ECS::TaskDefinition", TaskRoleArn=att("Role"), ContainerDefinitions=[{"Name": "a", "Image": "b"}])
    return {"Role": role(service), "Task": task}


def passed(service: str, **more: object) -> Resources:
    return {
        "Role": role(),
        "Task": role("ecs-tasks"),
        "Policy": policy(allow("iam:PassRole", att("Task"), **more)),
    }


def to(service: str) -> dict[str, Any]:
    return {"StringEquals": {"iam:PassedToService": f"{service}.amazonaws.com"}}


def conditioned(operator: str, name: str, value: str = "x") -> Resources:
    return granted(allow("dynamodb:GetItem", att("Table"), Condition={operator: {name: value}}))


def bucket_policy(action: str, resource: object) -> Resources:
    statement = allow(action, resource, Principal={"Service": "logging.s3.amazonaws.com"})
    return {
        "Bucket": res("S3::Bucket"),
        "Other": res("S3::Bucket"),
        "Policy": res("S3::BucketPolicy", Bucket=ref("Bucket"), PolicyDocument=document(statement)),
    }


def key(*statements: dict[str, Any]) -> dict[str, Any]:
    root = allow("kms:*", Principal={"AWS": "arn:aws:iam::123456789012:root"})
    return res("KMS::Key", KeyPolicy=document(root, *statements))


def service(name: str, *actions: str, **more: object) -> dict[str, Any]:
    return allow(list(actions), Principal={"Service": name}, **more)


def notices(*statements: dict[str, Any]) -> Resources:
    allowed = allow("sns:Publish", ref("Topic"), Principal={"Service": "cloudwatch.amazonaws.com"})
    return {
        "Key": key(*statements),
        "Topic": res("SNS::Topic", KmsMasterKeyId=ref("Key")),
        "Policy": res("SNS::TopicPolicy", Topics=[ref("Topic")], PolicyDocument=document(allowed)),
    }


def logs(*statements: dict[str, Any]) -> Resources:
    return {"Key": key(*statements), "Logs": res("Logs::LogGroup", KmsKeyId=att("Key"))}


def encrypted(**more: object) -> dict[str, Any]:
    kms = {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": att("Key")}
    rule = {"BucketKeyEnabled": True, "ServerSideEncryptionByDefault": kms}
    return res("S3::Bucket", BucketEncryption={"ServerSideEncryptionConfiguration": [rule]}, **more)


def trail(*statements: dict[str, Any]) -> Resources:
    return {
        "Key": key(*statements),
        "Bucket": encrypted(),
        "Trail": res("CloudTrail::Trail", KMSKeyId=att("Key"), S3BucketName=ref("Bucket")),
    }


def logged_to(bucket: dict[str, Any]) -> Resources:
    target = {"DestinationBucketName": ref("AccessLogs")}
    return {"Key": key(), "AccessLogs": bucket, "Bucket": res("S3::Bucket", LoggingConfiguration=target)}


GET = allow("dynamodb:GetItem", att("Table"))
STREAM = allow(["dynamodb:GetRecords", "dynamodb:GetShardIterator"], att("Table", "StreamArn"))
BALANCERS = "arn:aws:elasticloadbalancing:us-east-1:123456789012"
CLOUDTRAIL = "cloudtrail.amazonaws.com"
LOGS = "logs.us-east-1.amazonaws.com"
ALL = ("kms:Encrypt*", "kms:Decrypt*", "kms:ReEncrypt*", "kms:GenerateDataKey*", "kms:Describe*")

CASES = [
    Case("iam-action-exists", granted(allow("dynamodb:GetItems", att("Table"))), granted(GET), "Policy"),
    Case(
        "iam-action-exists", granted(allow("dynamo:GetItem")), granted(allow("dynamodb:Get*", att("Table"))), "Policy"
    ),
    Case(
        "iam-action-supports-resource",
        granted(allow("s3:ListBucket", "arn:aws:s3:::bucket/*")),
        granted(allow(["s3:ListBucket", "s3:GetObject"], ["arn:aws:s3:::bucket", "arn:aws:s3:::bucket/*"])),
        "Policy",
    ),
    Case(
        "iam-action-supports-resource",
        granted(allow("dynamodb:GetItem", {"Fn::Join": ["", [att("Table"), "/index/by-name"]]})),
        granted(allow("dynamodb:Query", {"Fn::Join": ["", [att("Table"), "/index/by-name"]]})),
        "Policy",
    ),
    Case(
        "iam-action-supports-resource",
        granted(allow("elasticloadbalancing:CreateTargetGroup", f"{BALANCERS}:loadbalancer/app/api/1")),
        granted(allow("elasticloadbalancing:ModifyLoadBalancerAttributes", f"{BALANCERS}:loadbalancer/app/api/1")),
        "Policy",
    ),
    Case(
        "iam-action-supports-resource",
        granted(allow("ssm:ListCommands", "arn:aws:ec2:us-east-1:123456789012:instance/i-1")),
        granted(allow("ssm:ListCommands")),
        "Policy",
    ),
    Case("iam-resource-named", granted(allow("dynamodb:GetItem")), granted(GET), "Policy"),
    Case(
        "iam-condition-key-exists",
        granted(allow("dynamodb:GetItem", att("Table"), Condition={"ArnEquals": {"ecs:cluster": "x"}})),
        granted(allow("dynamodb:GetItem", att("Table"), Condition={"ArnEquals": {"aws:PrincipalArn": "x"}})),
        "Policy",
    ),
    Case(
        "iam-condition-key-exists",
        {"Key": key(service(CLOUDTRAIL, "kms:DescribeKey", Condition=CONTEXT))},
        {"Key": key(service(CLOUDTRAIL, "kms:GenerateDataKey*", Condition=CONTEXT))},
        "Key",
    ),
    Case(
        "iam-condition-operator",
        conditioned("StringEquals", "s3:TlsVersion"),
        conditioned("NumericLessThan", "s3:TlsVersion"),
        "Policy",
    ),
    Case(
        "iam-condition-operator",
        conditioned("StringEquals", "kms:GrantOperations"),
        conditioned("ForAllValues:StringEquals", "kms:GrantOperations"),
        "Policy",
    ),
    Case(
        "iam-condition-wildcard",
        conditioned("StringEquals", "kms:ViaService", "s3.*.amazonaws.com"),
        conditioned("StringLike", "kms:ViaService", "s3.*.amazonaws.com"),
        "Policy",
    ),
    Case(
        "iam-action-supports-resource",
        bucket_policy("s3:ListBucket", {"Fn::Join": ["", [att("Bucket"), "/*"]]}),
        bucket_policy("s3:*", {"Fn::Join": ["", [att("Bucket"), "/*"]]}),
        "Policy",
    ),
    Case(
        "policy-names-its-resource",
        bucket_policy("s3:ListBucket", att("Other")),
        bucket_policy("s3:ListBucket", att("Bucket")),
        "Policy",
    ),
    Case("iam-service-principal-exists", {"Role": role("lamda")}, {"Role": role("ecs-tasks")}, "Role"),
    Case(
        "iam-service-principal-exists",
        {"Key": key(service("logs", "kms:*"))},
        {"Key": key(service(LOGS, "kms:*"))},
        "Key",
    ),
    Case("role-trusts-its-service", trusted("ecs"), trusted("ecs-tasks"), "Task"),
    Case("pass-role-names-service", passed("x"), passed("x", Condition=to("ecs-tasks")), "Policy"),
    Case(
        "pass-role-names-service", passed("x", Condition=to("lambda")), passed("x", Condition=to("ecs-tasks")), "Policy"
    ),
    Case(
        "role-may-use-key", granted(GET), granted(GET, allow("kms:Decrypt", att("Key"), Condition=DYNAMODB)), "Policy"
    ),
    Case("role-may-use-key", granted(STREAM), granted(STREAM, allow("kms:Decrypt", att("Key"))), "Policy"),
    Case(
        "role-may-use-key",
        {
            "Role": role(),
            "Key": res("KMS::Key"),
            "Queue": res("SQS::Queue", KmsMasterKeyId=att("Key")),
            "Policy": policy(
                allow("sqs:SendMessage", att("Queue")),
                allow(["kms:Decrypt", "kms:GenerateDataKey"], att("Key"), Condition=DYNAMODB),
            ),
        },
        {
            "Role": role(),
            "Key": key(allow(["kms:Decrypt", "kms:GenerateDataKey*"], Principal={"AWS": att("Role")})),
            "Queue": res("SQS::Queue", KmsMasterKeyId=att("Key")),
            "Policy": policy(allow("sqs:SendMessage", att("Queue"))),
        },
        "Policy",
    ),
    Case(
        "service-may-use-key",
        notices(),
        notices(service("cloudwatch.amazonaws.com", "kms:Decrypt", "kms:GenerateDataKey*")),
        "Key",
    ),
    Case(
        "logs-may-use-key",
        logs(service("logs.us-east-1.amazonaws.com", "kms:Decrypt")),
        logs(service(LOGS, *ALL)),
        "Key",
    ),
    Case(
        "trail-may-use-key",
        trail(service(CLOUDTRAIL, "kms:GenerateDataKey*", "kms:DescribeKey", Condition=CONTEXT)),
        trail(
            service(CLOUDTRAIL, "kms:GenerateDataKey*", "kms:Decrypt", Condition=CONTEXT),
            service(CLOUDTRAIL, "kms:DescribeKey"),
        ),
        "Key",
    ),
    Case("log-bucket-without-key", logged_to(encrypted()), logged_to(res("S3::Bucket")), "AccessLogs"),
]
