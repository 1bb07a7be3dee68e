"""Roles: each trusts the service that assumes it, and allows what AWS demands of it at a create or start."""

from collections.abc import Iterator, Mapping

from outpost_ops.aws_rules.model import Finding, rule
from outpost_ops.aws_rules.policies import Kind, as_list, policies_in, policies_of, statements
from outpost_ops.aws_rules.values import text_of
from outpost_ops.templates import Resource, Templates, values_at

_LAMBDA = "AWS Lambda Developer Guide"

_VPC = ("ec2:CreateNetworkInterface", "ec2:DescribeNetworkInterfaces", "ec2:DeleteNetworkInterface")
_SEND = {"AWS::SQS::Queue": ("sqs:SendMessage",), "AWS::SNS::Topic": ("sns:Publish",)}
_POLL = {
    "AWS::DynamoDB::Table": ("dynamodb:DescribeStream", "dynamodb:GetRecords", "dynamodb:GetShardIterator"),
    "AWS::SQS::Queue": ("sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"),
}
_LOG = {"AWS::Logs::LogGroup": ("logs:CreateLogStream", "logs:PutLogEvents")}
_SECRET = {
    "AWS::SecretsManager::Secret": ("secretsmanager:GetSecretValue",),
    "AWS::SSM::Parameter": ("ssm:GetParameters",),
}
_MANAGED_VPC = "AWSLambdaVPCAccessExecutionRole"
_PASSED = {
    ("AWS::Backup::BackupSelection", "BackupSelection.IamRoleArn"): "backup",
    ("AWS::CloudTrail::Trail", "CloudWatchLogsRoleArn"): "cloudtrail",
    ("AWS::EC2::FlowLog", "DeliverLogsPermissionArn"): "vpc-flow-logs",
    ("AWS::ECS::TaskDefinition", "ExecutionRoleArn"): "ecs-tasks",
    ("AWS::ECS::TaskDefinition", "TaskRoleArn"): "ecs-tasks",
    ("AWS::Events::Rule", "RoleArn"): "events",
    ("AWS::Events::Rule", "Targets.RoleArn"): "events",
    ("AWS::IAM::InstanceProfile", "Roles"): "ec2",
    ("AWS::Lambda::Function", "Role"): "lambda",
    ("AWS::Pipes::Pipe", "RoleArn"): "pipes",
    ("AWS::SNS::Topic", "DeliveryStatusLogging.SuccessFeedbackRoleArn"): "sns",
    ("AWS::Scheduler::Schedule", "Target.RoleArn"): "scheduler",
}
"""Properties that name a role, and the service that assumes it: the page of each type in the template reference."""


@rule("role-trusts-its-service", "IAM User Guide: Create a role to delegate permissions to an AWS service (2026-11)")
def trusted_services(templates: Templates) -> Iterator[Finding]:
    """A role that a resource gives to a service trusts that service."""
    for (kind, path), service in _PASSED.items():
        for resource in templates.of_type(kind):
            for role in resource.all_named(path):
                yield from _untrusted(resource, path, role, service)


@rule("pass-role-names-service", "IAM User Guide: Grant a user permissions to pass a role to an AWS service (2026-11)")
def passed_roles(templates: Templates) -> Iterator[Finding]:
    """A role may be passed to named services only, which it trusts."""
    for statement in statements(templates, Kind.IDENTITY):
        if not statement.allows or "iam:PassRole" not in statement.actions:
            continue
        services = [
            text_of(service, statement.resource).removesuffix(".amazonaws.com")
            for _, key, value in statement.conditions
            if key.lower() == "iam:passedtoservice"
            for service in as_list(value)
        ]
        if not services:
            remedy = "Add the condition iam:PassedToService: any service could be given the role"
            yield Finding(statement.resource, f"{statement.path}.Condition", "iam:PassRole", remedy)
        for role in map(statement.resource.target, statement.resources):
            for service in services:
                yield from _untrusted(statement.resource, f"{statement.path}.Resource", role, service)


@rule(
    "function-network-interfaces", f"{_LAMBDA}: Giving Lambda functions access to resources in an Amazon VPC (2026-11)"
)
def functions_in_networks(templates: Templates) -> Iterator[Finding]:
    """The role of a function in a VPC may make its network interfaces."""
    for function in templates.of_type("AWS::Lambda::Function"):
        role = function.named("Role")
        if role is None or not function.properties.get("VpcConfig"):
            continue
        if _MANAGED_VPC not in str(role.properties.get("ManagedPolicyArns", "")):
            yield from _lacking(role, function, "VpcConfig", _VPC, None)


@rule("function-destinations", f"{_LAMBDA}: Capturing records of asynchronous invocations (2026-11)")
def function_destinations(templates: Templates) -> Iterator[Finding]:
    """The role of a function may send to its destinations and dead-letter queues."""
    paths = {
        "AWS::Lambda::EventInvokeConfig": (
            "DestinationConfig.OnFailure.Destination",
            "DestinationConfig.OnSuccess.Destination",
        ),
        "AWS::Lambda::EventSourceMapping": ("DestinationConfig.OnFailure.Destination",),
        "AWS::Lambda::Function": ("DeadLetterConfig.TargetArn",),
    }
    for resource in templates.of_type(*paths):
        for path in paths[resource.type]:
            yield from _to_targets(resource, path, _role(resource), _SEND)


@rule("function-sources", f"{_LAMBDA}: Event source mappings, execution role permissions (2026-11)")
def polled_sources(templates: Templates) -> Iterator[Finding]:
    """The role of a function may read the stream or queue that is polled for it."""
    for mapping in templates.of_type("AWS::Lambda::EventSourceMapping"):
        yield from _to_targets(mapping, "EventSourceArn", _role(mapping), _POLL)


@rule("task-logs-and-secrets", "ECS Developer Guide: Amazon ECS task execution IAM role (2026-11)")
def task_logs_and_secrets(templates: Templates) -> Iterator[Finding]:
    """The execution role of a task may write its logs and read its secrets."""
    for task in templates.of_type("AWS::ECS::TaskDefinition"):
        role = task.named("ExecutionRoleArn")
        logs = "ContainerDefinitions.LogConfiguration.Options.awslogs-group"
        yield from _to_targets(task, logs, role, _LOG)
        yield from _to_targets(task, "ContainerDefinitions.Secrets.ValueFrom", role, _SECRET)


@rule("key-administered", "KMS API: CreateKey, Policy (2026-11)")
def administered_keys(templates: Templates) -> Iterator[Finding]:
    """The policy of a key lets the account change it."""
    for key in templates.of_type("AWS::KMS::Key"):
        allowed = [
            statement
            for policy in policies_in(key, Kind.RESOURCE)
            for statement in policy.statements
            if statement.allows and statement.covers("kms:PutKeyPolicy") and not statement.body.get("Condition")
            if any(values_at(statement.body, "Principal.AWS"))
        ]
        if "KeyPolicy" in key.properties and not allowed:
            remedy = "Allow kms:PutKeyPolicy to the account: KMS refuses a policy that nobody could change"
            yield Finding(key, "KeyPolicy", "nobody may change it", remedy)


def _untrusted(user: Resource, path: str, role: Resource | None, service: str) -> Iterator[Finding]:
    if role is None or role.type != "AWS::IAM::Role":
        return
    trusting = [each for policy in policies_in(role, Kind.TRUST) for each in policy.statements if each.allows]
    if not any(f"{service}.amazonaws.com" in each.services for each in trusting):
        remedy = f"Its AssumeRolePolicyDocument must allow sts:AssumeRole to {service}.amazonaws.com"
        yield Finding(user, path, role.place, remedy)


def _role(resource: Resource) -> Resource | None:
    """Return the role of a function, or of the function that a mapping or configuration belongs to."""
    function = resource if resource.type == "AWS::Lambda::Function" else resource.named("FunctionName")
    return function and function.named("Role")


def _to_targets(
    user: Resource, path: str, role: Resource | None, needed: Mapping[str, tuple[str, ...]]
) -> Iterator[Finding]:
    for value in values_at(user.properties, path):
        for target in user.targets(value):
            if role is not None and target.type in needed:
                yield from _lacking(role, user, path, needed[target.type], target)


def _lacking(
    role: Resource, user: Resource, path: str, actions: tuple[str, ...], target: Resource | None
) -> Iterator[Finding]:
    lacking = [action for action in actions if not _allows(role, action, target)]
    if lacking:
        what = f"{', '.join(lacking)} on {target.place if target else '*'}"
        yield Finding(user, path, role.place, f"Allow the role {what}: AWS refuses {user.logical_id} without it")


def _allows(role: Resource, action: str, target: Resource | None) -> bool:
    """Return whether a policy of the role allows an action on a resource, or on everything when there is none."""
    return any(
        "*" in statement.resources or (target is not None and target in policy.resource.targets(statement.resources))
        for policy in policies_of(role)
        for statement in policy.statements
        if statement.allows and statement.covers(action)
    )
