"""What the role of a function, a mapping or a task has to allow, or AWS refuses to create or start it."""

from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase

from outpost_ops.aws_rules.model import Finding, rule
from outpost_ops.aws_rules.policies import policies_of
from outpost_ops.aws_rules.values import values_at
from outpost_ops.templates import Resource, Templates

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


@rule(
    "function-network-interfaces", f"{_LAMBDA}: Giving Lambda functions access to resources in an Amazon VPC (2026-11)"
)
def functions_in_networks(templates: Templates) -> Iterator[Finding]:
    """The role of a function in a VPC may make its network interfaces."""
    for function in templates.of_type("AWS::Lambda::Function"):
        role = templates.target(function.properties.get("Role"), function.stack)
        if role is None or not function.properties.get("VpcConfig"):
            continue
        if _MANAGED_VPC not in str(role.properties.get("ManagedPolicyArns", "")):
            yield from _lacking(role, function, "VpcConfig", _VPC, None, templates)


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
            yield from _to_targets(resource, path, _role(resource, templates), _SEND, templates)


@rule("function-sources", f"{_LAMBDA}: Event source mappings, execution role permissions (2026-11)")
def polled_sources(templates: Templates) -> Iterator[Finding]:
    """The role of a function may read the stream or queue that is polled for it."""
    for mapping in templates.of_type("AWS::Lambda::EventSourceMapping"):
        yield from _to_targets(mapping, "EventSourceArn", _role(mapping, templates), _POLL, templates)


@rule("task-logs-and-secrets", "ECS Developer Guide: Amazon ECS task execution IAM role (2026-11)")
def task_logs_and_secrets(templates: Templates) -> Iterator[Finding]:
    """The execution role of a task may write its logs and read its secrets."""
    for task in templates.of_type("AWS::ECS::TaskDefinition"):
        role = templates.target(task.properties.get("ExecutionRoleArn"), task.stack)
        logs = "ContainerDefinitions.LogConfiguration.Options.awslogs-group"
        yield from _to_targets(task, logs, role, _LOG, templates)
        yield from _to_targets(task, "ContainerDefinitions.Secrets.ValueFrom", role, _SECRET, templates)


@rule("key-administered", "KMS API: CreateKey, Policy (2026-11)")
def administered_keys(templates: Templates) -> Iterator[Finding]:
    """The policy of a key lets the account change it."""
    for key in templates.of_type("AWS::KMS::Key"):
        allowed = [
            statement
            for statement in values_at(key.properties, "KeyPolicy.Statement")
            if isinstance(statement, dict) and statement.get("Effect") == "Allow"
            if any(values_at(statement, "Principal.AWS")) and not statement.get("Condition")
            if any(fnmatchcase("kms:PutKeyPolicy", str(action)) for action in values_at(statement, "Action"))
        ]
        if "KeyPolicy" in key.properties and not allowed:
            remedy = "Allow kms:PutKeyPolicy to the account: KMS refuses a policy that nobody could change"
            yield Finding(key, "KeyPolicy", "nobody may change it", remedy)


def _role(resource: Resource, templates: Templates) -> Resource | None:
    """Return the role of a function, or of the function that a mapping or configuration belongs to."""
    function = resource
    if resource.type != "AWS::Lambda::Function":
        found = templates.target(resource.properties.get("FunctionName"), resource.stack)
        if found is None:
            return None
        function = found
    return templates.target(function.properties.get("Role"), function.stack)


def _to_targets(
    user: Resource, path: str, role: Resource | None, needed: Mapping[str, tuple[str, ...]], templates: Templates
) -> Iterator[Finding]:
    for value in values_at(user.properties, path):
        for target in templates.targets(value, user.stack) if role is not None else ():
            if role is not None and target.type in needed:
                yield from _lacking(role, user, path, needed[target.type], target, templates)


def _lacking(
    role: Resource, user: Resource, path: str, actions: tuple[str, ...], target: Resource | None, templates: Templates
) -> Iterator[Finding]:
    lacking = [action for action in actions if not _allows(role, action, target, templates)]
    if lacking:
        what = f"{', '.join(lacking)} on {target.place if target else '*'}"
        yield Finding(user, path, role.place, f"Allow the role {what}: AWS refuses {user.logical_id} without it")


def _allows(role: Resource, action: str, target: Resource | None, templates: Templates) -> bool:
    """Return whether a policy of the role allows an action on a resource, or on everything when there is none."""
    return any(
        statement.allows
        and any(fnmatchcase(action.lower(), pattern.lower()) for pattern in statement.actions)
        and any(
            value == "*" or (target is not None and target in templates.targets(value, policy.resource.stack))
            for value in statement.resources
        )
        for policy in policies_of(role, templates)
        for statement in policy.statements
    )
