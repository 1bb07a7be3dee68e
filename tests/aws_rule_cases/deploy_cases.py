"""Rules on what deploys: references, lifecycle, sizes, values, workloads."""

from tests.aws_rule_cases.case import ACCOUNT, Case, Resources, allow, att, document, function, policy, ref, res, role

KEPT = {"DeletionPolicy": "RetainExceptOnCreate", "UpdateReplacePolicy": "Retain"}


def environment(size: int) -> Resources:
    """A function whose variables are `size` bytes as JSON, 80 of them the URL of a queue that has no name yet."""
    value = {"Fn::Join": ["", [ref("Queue"), "x" * (size - len('{"QUEUE":""}') - QUEUE_URL)]]}
    return {"Queue": res("SQS::Queue"), "Function": function(Environment={"Variables": {"QUEUE": value}})}


QUEUE_URL = len(f"https://sqs.ap-southeast-1.amazonaws.com/{ACCOUNT}/Outpost-prod-App-Queue-") + 12


def scaled(**properties: object) -> Resources:
    target = {"Fn::Join": ["/", ["service", ref("Cluster"), att("Service", "Name")]]}
    return {
        "Cluster": res("ECS::Cluster"),
        "Service": res("ECS::Service", Cluster=ref("Cluster"), **properties),
        "Scaling": res("ApplicationAutoScaling::ScalableTarget", ResourceId=target, MinCapacity=1, MaxCapacity=9),
    }


def inline(count: int) -> Resources:
    statements = [allow("s3:GetObject", f"arn:aws:s3:::{n:050}/*") for n in range(count)]
    return {"Role": role(), "One": policy(*statements), "Two": policy(*statements)}


def buckets(count: int) -> Resources:
    return {f"Bucket{n}": res("S3::Bucket") for n in range(count)}


def balancer(protection: str) -> Resources:
    attributes = [{"Key": "deletion_protection.enabled", "Value": protection}]
    return {"Balancer": res("ElasticLoadBalancingV2::LoadBalancer", LoadBalancerAttributes=attributes)}


def task(**container: object) -> Resources:
    return {"Task": res("ECS::TaskDefinition", ContainerDefinitions=[{"Name": "a", "Image": "b", **container}])}


TAG = {"Key": "owner", "Value": "me"}

CASES = [
    Case(
        "no-exported-value",
        {"Queue": res("SQS::Queue", KmsMasterKeyId={"Fn::ImportValue": "Outpost-prod-Data:Key"})},
        {"Queue": res("SQS::Queue", KmsMasterKeyId=ref("KeyParameter"))},
        "Queue",
    ),
    Case(
        "no-exported-value",
        {"Queue": res("SQS::Queue") | {"Condition": {"Fn::Equals": [{"Fn::ImportValue": {"Fn::Sub": "x"}}, 1]}}},
        {"Queue": res("SQS::Queue")},
        "Queue",
    ),
    Case(
        "published-parameter",
        {"Queue": res("SQS::Queue")},
        {
            "Queue": res("SQS::Queue"),
            "Published": res("SSM::Parameter", Name="/outpost/prod/stacks/Data/Key", Value="k"),
        },
        "Queue",
        {"DataKey": {"Type": "AWS::SSM::Parameter::Value<String>", "Default": "/outpost/prod/stacks/Data/Key"}},
    ),
    Case(
        "unique-name",
        {name: res("Logs::LogGroup", LogGroupName="/outpost/prod/api") for name in ("One", "Two")},
        {name: res("Logs::LogGroup", LogGroupName=f"/outpost/prod/{name}") for name in ("One", "Two")},
        "Two",
    ),
    Case("read-only-property", {"Q": res("SQS::Queue", Arn="arn:aws:sqs:::q")}, {"Q": res("SQS::Queue")}, "Q"),
    Case(
        "replaced-under-its-name",
        {"Vpc": res("EC2::VPC"), "Group": res("EC2::SecurityGroup", GroupName="tasks", VpcId=ref("Vpc"))},
        {"Vpc": res("EC2::VPC"), "Group": res("EC2::SecurityGroup", VpcId=ref("Vpc"))},
        "Group",
    ),
    Case(
        "retained-on-create",
        {"Bucket": res("S3::Bucket") | {"DeletionPolicy": "Retain"}},
        {"Bucket": res("S3::Bucket") | KEPT},
        "Bucket",
    ),
    Case(
        "protected-on-create",
        {"Table": res("DynamoDB::Table", DeletionProtectionEnabled=True)},
        {"Table": res("DynamoDB::Table", DeletionProtectionEnabled=False)},
        "Table",
    ),
    Case("protected-on-create", balancer("true"), balancer("false"), "Balancer"),
    Case(
        "named-survivor",
        {"Table": res("DynamoDB::Table", TableName="dispatches") | KEPT},
        {"Table": res("DynamoDB::Table") | KEPT, "Log": res("Logs::LogGroup", LogGroupName="/outpost/prod/api")},
        "Table",
    ),
    Case(
        "named-survivor",
        {"Secret": res("SecretsManager::Secret", Name="outpost/api")},
        {"Secret": res("SecretsManager::Secret")},
        "Secret",
    ),
    Case("scaled-desired-count", scaled(DesiredCount=2), scaled(), "Service"),
    Case("function-environment-size", environment(4097), environment(4096), "Function"),
    Case(
        "policy-size",
        {"Policy": res("SQS::QueuePolicy", PolicyDocument=document(allow("sqs:SendMessage", "x" * 8200)))},
        {"Policy": res("SQS::QueuePolicy", PolicyDocument=document(allow("sqs:SendMessage", "x" * 8000)))},
        "Policy",
    ),
    Case(
        "policy-size",
        {"Policy": res("SQS::QueuePolicy", PolicyDocument=document(*[allow("sqs:SendMessage")] * 21))},
        {"Policy": res("SQS::QueuePolicy", PolicyDocument=document(*[allow("sqs:SendMessage")] * 20))},
        "Policy",
    ),
    Case(
        "policy-size",
        {"Role": res("IAM::Role", AssumeRolePolicyDocument=document({"Effect": "Allow", "Sid": "x" * 2040}))},
        {"Role": role()},
        "Role",
    ),
    Case("inline-policy-size", inline(60), inline(30), "Role"),
    Case(
        "name-form",
        {"Group": res("ElasticLoadBalancingV2::TargetGroup", Name="outpost-production-control-plane1")},
        {"Group": res("ElasticLoadBalancingV2::TargetGroup", Name="outpost-production-control-plane")},
        "Group",
    ),
    Case(
        "name-form",
        {"Balancer": res("ElasticLoadBalancingV2::LoadBalancer", Name="internal-api")},
        {"Balancer": res("ElasticLoadBalancingV2::LoadBalancer", Name="api")},
        "Balancer",
    ),
    Case("name-form", {"Q": res("SQS::Queue", QueueName="a.b")}, {"Q": res("SQS::Queue", QueueName="a.fifo")}, "Q"),
    Case(
        "parameter-size",
        {"Parameter": res("SSM::Parameter", Type="String", Value="x" * 4097)},
        {"Parameter": res("SSM::Parameter", Type="String", Value="x" * 4097, Tier="Advanced")},
        "Parameter",
    ),
    Case("stack-limits", buckets(501), buckets(500), "Bucket0"),
    Case(
        "service-model",
        {"Rule": res("Events::Rule", EventPattern={"source": ["x" * 4096]})},
        {"Rule": res("Events::Rule", EventPattern={"source": ["aws.ecs"]})},
        "Rule",
    ),
    Case(
        "service-model",
        {"Rule": res("Events::Rule", Targets=[{"Id": "1", "Arn": "arn:aws:ecs:::cluster/a", "Input": "x" * 8193}])},
        {"Rule": res("Events::Rule", Targets=[{"Id": "1", "Arn": "arn:aws:ecs:::cluster/a", "Input": "x" * 8192}])},
        "Rule",
    ),
    Case(
        "service-model",
        {"Alarm": res("CloudWatch::Alarm", AlarmActions=["arn:aws:sns:us-east-1:1:a"] * 6)},
        {"Alarm": res("CloudWatch::Alarm", AlarmActions=["arn:aws:sns:us-east-1:1:a"] * 5)},
        "Alarm",
    ),
    Case(
        "service-model",
        {"Group": res("ElasticLoadBalancingV2::TargetGroup", HealthCheckIntervalSeconds=4)},
        {"Group": res("ElasticLoadBalancingV2::TargetGroup", HealthCheckIntervalSeconds=5)},
        "Group",
    ),
    Case(
        "service-model",
        {"Vault": res("Backup::BackupVault", BackupVaultName="a vault")},
        {"Vault": res("Backup::BackupVault", BackupVaultName={"Fn::Join": ["-", ["a", ref("AWS::AccountId")]]})},
        "Vault",
    ),
    Case(
        "service-model",
        {"Service": res("ECS::Service", PropagateTags="TASKS")},
        {"Service": res("ECS::Service", PropagateTags="SERVICE")},
        "Service",
    ),
    Case("tags", {"Q": res("SQS::Queue", Tags=[TAG, TAG])}, {"Q": res("SQS::Queue", Tags=[TAG])}, "Q"),
    Case("tags", {"Q": res("SQS::Queue", Tags=[TAG | {"Value": "x" * 257}])}, {"Q": res("SQS::Queue", Tags={})}, "Q"),
    Case(
        "user-data-size",
        {"Nat": res("EC2::Instance", UserData={"Fn::Base64": "x" * 16_385})},
        {"Nat": res("EC2::Instance", UserData={"Fn::Base64": "x" * 16_384})},
        "Nat",
    ),
    Case("task-containers", task(StopTimeout=121), task(StopTimeout=120), "Task"),
    Case("task-containers", task(Essential=False), task(Essential=True), "Task"),
    Case(
        "event-filters",
        {"Mapping": res("Lambda::EventSourceMapping", FilterCriteria={"Filters": [{"Pattern": "{}"}] * 6})},
        {"Mapping": res("Lambda::EventSourceMapping", FilterCriteria={"Filters": [{"Pattern": "{}"}] * 5})},
        "Mapping",
    ),
]
