"""Values within what the API of the service accepts: lengths, ranges, patterns and enumerations of botocore's models.

CloudFormation's schemas leave many of them out, so its own validation and the CDK's pass what the service refuses.
"""

import re
from collections.abc import Iterator
from functools import cache

from botocore.loaders import create_loader
from botocore.model import ListShape, ServiceModel, Shape, StructureShape

from outpost_ops.aws_rules.model import Finding, rule
from outpost_ops.aws_rules.values import document_of, is_literal, text_of
from outpost_ops.templates import Resource, Templates

_OPERATIONS: dict[str, tuple[str, ...]] = {
    "AWS::ApplicationAutoScaling::ScalableTarget": ("application-autoscaling", "RegisterScalableTarget"),
    "AWS::ApplicationAutoScaling::ScalingPolicy": ("application-autoscaling", "PutScalingPolicy"),
    "AWS::Backup::BackupPlan": ("backup", "CreateBackupPlan"),
    "AWS::Backup::BackupSelection": ("backup", "CreateBackupSelection"),
    "AWS::Backup::BackupVault": ("backup", "CreateBackupVault"),
    "AWS::Budgets::Budget": ("budgets", "CreateBudget"),
    "AWS::CloudTrail::Trail": ("cloudtrail", "CreateTrail"),
    "AWS::CloudWatch::Alarm": ("cloudwatch", "PutMetricAlarm"),
    "AWS::CloudWatch::CompositeAlarm": ("cloudwatch", "PutCompositeAlarm"),
    "AWS::CloudWatch::Dashboard": ("cloudwatch", "PutDashboard"),
    "AWS::DynamoDB::Table": ("dynamodb", "CreateTable"),
    "AWS::ECS::Cluster": ("ecs", "CreateCluster"),
    "AWS::ECS::Service": ("ecs", "CreateService"),
    "AWS::ECS::TaskDefinition": ("ecs", "RegisterTaskDefinition"),
    "AWS::EFS::AccessPoint": ("efs", "CreateAccessPoint"),
    "AWS::EFS::FileSystem": ("efs", "CreateFileSystem"),
    "AWS::ElasticLoadBalancingV2::Listener": ("elbv2", "CreateListener"),
    "AWS::ElasticLoadBalancingV2::LoadBalancer": ("elbv2", "CreateLoadBalancer"),
    "AWS::ElasticLoadBalancingV2::TargetGroup": ("elbv2", "CreateTargetGroup"),
    "AWS::Events::Rule": ("events", "PutRule", "PutTargets"),
    "AWS::IAM::ManagedPolicy": ("iam", "CreatePolicy"),
    "AWS::IAM::Policy": ("iam", "PutRolePolicy"),
    "AWS::IAM::Role": ("iam", "CreateRole"),
    "AWS::KMS::Alias": ("kms", "CreateAlias"),
    "AWS::KMS::Key": ("kms", "CreateKey"),
    "AWS::Lambda::EventInvokeConfig": ("lambda", "PutFunctionEventInvokeConfig"),
    "AWS::Lambda::EventSourceMapping": ("lambda", "CreateEventSourceMapping"),
    "AWS::Lambda::Function": ("lambda", "CreateFunction"),
    "AWS::Lambda::Permission": ("lambda", "AddPermission"),
    "AWS::Logs::LogGroup": ("logs", "CreateLogGroup"),
    "AWS::Logs::MetricFilter": ("logs", "PutMetricFilter"),
    "AWS::Pipes::Pipe": ("pipes", "CreatePipe"),
    "AWS::SNS::Topic": ("sns", "CreateTopic"),
    "AWS::SSM::Parameter": ("ssm", "PutParameter"),
    "AWS::SecretsManager::Secret": ("secretsmanager", "CreateSecret"),
    "AWS::WAFv2::WebACL": ("wafv2", "CreateWebACL"),
}
"""Service and requests that create each type. Their members have the names of the properties, but for the case."""

_DIFFERENT = {"Tags", "SecretStringTemplate"}
"""Properties whose form in a template is not that of the request."""


@rule("service-model", "botocore's service models: min, max, pattern and enum of the request that creates the resource")
def within_service_models(templates: Templates) -> Iterator[Finding]:
    """Every value is one that the service's API model accepts."""
    for resource in templates.of_type(*_OPERATIONS):
        service, *operations = _OPERATIONS[resource.type]
        for operation in operations:
            shape = _input(service, operation)
            for path, value, remedy in _violations(resource.properties, shape, "", resource):
                yield Finding(resource, path, value, remedy)


@cache
def _input(service: str, operation: str) -> Shape:
    model = ServiceModel(create_loader().load_service_model(service, "service-2"))
    shape = model.operation_model(operation).input_shape
    if shape is None:
        raise ValueError(f"{service} {operation} takes no input: name the request that creates the resource")
    return shape


def _violations(value: object, shape: Shape, path: str, resource: Resource) -> Iterator[tuple[str, object, str]]:
    """Yield (path, value, remedy) of what breaks a constraint of a shape, at any depth."""
    if isinstance(value, dict) and isinstance(shape, StructureShape):
        members = {name.lower(): member for name, member in shape.members.items()}
        for name, each in value.items():
            if name.lower() in members and name not in _DIFFERENT:
                below = f"{path}.{name}" if path else name
                yield from _violations(each, members[name.lower()], below, resource)
    elif isinstance(value, list) and isinstance(shape, ListShape):
        yield from _length(len(value), f"{len(value)} items", shape, path)
        for n, each in enumerate(value):
            yield from _violations(each, shape.member, f"{path}[{n}]", resource)
    elif shape.type_name == "string":
        yield from _text(value, shape, path, resource)
    elif shape.type_name in {"integer", "long"} and is_literal(value):
        yield from _length(int(str(value)), value, shape, path)


def _text(value: object, shape: Shape, path: str, resource: Resource) -> Iterator[tuple[str, object, str]]:
    if is_literal(value):
        text = text_of(value, resource)
        enum, pattern = shape.metadata.get("enum"), shape.metadata.get("pattern")
        if enum and text not in enum:
            yield path, text, f"Allowed: {', '.join(enum)}"
        if pattern and not _matches(pattern, text):
            yield path, text, f"It must match {pattern}"
    elif isinstance(value, dict) and len(value) == 1 and next(iter(value)).startswith(("Ref", "Fn::Get", "Fn::Import")):
        return  # a name or an ARN, which the service itself made
    else:
        text = document_of(value, resource)
    yield from _length(len(text), f"{len(text)} characters", shape, path)


def _length(measure: int, value: object, shape: Shape, path: str) -> Iterator[tuple[str, object, str]]:
    least, most = shape.metadata.get("min"), shape.metadata.get("max")
    if (least is not None and measure < least) or (most is not None and measure > most):
        yield path, value, f"Allowed: {least or 0} to {most or 'any number'} (botocore: {shape.name})"


@cache
def _expression(pattern: str) -> re.Pattern[str] | None:
    try:
        return re.compile(pattern)
    except re.error:  # classes of Java that Python does not have: \p{Print}
        return None


def _matches(pattern: str, text: str) -> bool:
    expression = _expression(pattern)
    return expression is None or expression.fullmatch(text) is not None
