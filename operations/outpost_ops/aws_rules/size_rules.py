"""Sizes: environments of functions, policy documents, names, parameters, whole templates."""

import json
import re
from collections import Counter
from collections.abc import Iterator

from outpost_ops.aws_rules.model import Finding, rule
from outpost_ops.aws_rules.policies import Kind, policies
from outpost_ops.aws_rules.values import document_of, is_literal, text_of
from outpost_ops.templates import Resource, Templates

_IAM_QUOTAS = "IAM User Guide: IAM and AWS STS quotas (2026-11)"

ENVIRONMENT_BYTES = 4096
"""All environment variables of a function, as the JSON object that Lambda measures."""

_POLICY_CHARACTERS = {
    "AWS::IAM::ManagedPolicy": 6144,
    "AWS::S3::BucketPolicy": 20480,
    "AWS::KMS::Key": 32768,
    "AWS::SQS::QueuePolicy": 8192,
    "AWS::SNS::TopicPolicy": 30720,
    "AWS::EFS::FileSystem": 20000,
    "AWS::EC2::VPCEndpoint": 20480,
}
"""Longest document of each type; IAM does not count white space, and these are compact."""

_TRUST_CHARACTERS = 2048
_INLINE_CHARACTERS = 10240
"""All inline policies of a role together."""

_LIMITS = {"Resources": 500, "Outputs": 200, "Parameters": 200, "Mappings": 200}
_TEMPLATE_BYTES = 1_000_000
_PARAMETER_CHARACTERS = {"Standard": 4096, "Advanced": 8192, "Intelligent-Tiering": 8192}

_NAMES = {
    ("AWS::CloudTrail::Trail", "TrailName"): (128, r"[A-Za-z0-9](?!.*[._-]{2})[\w.-]+[A-Za-z0-9]"),
    ("AWS::CloudWatch::Dashboard", "DashboardName"): (255, r"[\w-]+"),
    ("AWS::DynamoDB::Table", "TableName"): (255, r"[\w.-]{3,}"),
    ("AWS::ECS::Cluster", "ClusterName"): (255, r"[\w-]+"),
    ("AWS::ECS::Service", "ServiceName"): (255, r"[\w-]+"),
    ("AWS::ECS::TaskDefinition", "Family"): (255, r"[\w-]+"),
    ("AWS::ElasticLoadBalancingV2::LoadBalancer", "Name"): (32, r"(?!internal-)[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?"),
    ("AWS::ElasticLoadBalancingV2::TargetGroup", "Name"): (32, r"[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?"),
    ("AWS::S3::Bucket", "BucketName"): (
        63,
        r"(?!xn--|sthree-|amzn-s3-demo-)(?!.*(\.\.|-s3alias$|--ol-s3$))[a-z0-9][a-z0-9.-]+[a-z0-9]",
    ),
    ("AWS::SNS::Topic", "TopicName"): (256, r"[\w-]+(\.fifo)?"),
    ("AWS::SQS::Queue", "QueueName"): (80, r"[\w-]+(\.fifo)?"),
    ("AWS::SecretsManager::Secret", "Name"): (512, r"(?!.*-[A-Za-z0-9]{6}$)[\w/+=.@-]+"),
}
"""Longest names and their form, where neither schema nor service model has them: the API reference of each service."""


@rule("function-environment-size", "AWS Lambda Developer Guide: Lambda quotas, environment variables (2026-11)")
def function_environments(templates: Templates) -> Iterator[Finding]:
    """The environment of each function fits into 4 KB."""
    for function in templates.of_type("AWS::Lambda::Function"):
        variables = function.properties.get("Environment", {}).get("Variables", {})
        texts = {name: text_of(value, function) for name, value in variables.items()}
        size = len(json.dumps(texts, separators=(",", ":"), ensure_ascii=False).encode())
        if size > ENVIRONMENT_BYTES:
            name, largest = max(texts.items(), key=lambda each: len(each[1]))
            remedy = f"Allowed: {ENVIRONMENT_BYTES} bytes. The largest is {name}, {len(largest)} characters"
            yield Finding(function, "Environment.Variables", f"{size} bytes", remedy)


@rule("policy-size", f"{_IAM_QUOTAS}; pages on quotas of S3, KMS, SQS, SNS, EFS and VPC endpoints (2026-11)")
def policy_sizes(templates: Templates) -> Iterator[Finding]:
    """Each policy document is within the quota of its service."""
    for policy in policies(templates):
        size = len(document_of(policy.document, policy.resource))
        limit = _TRUST_CHARACTERS if policy.kind is Kind.TRUST else _POLICY_CHARACTERS.get(policy.resource.type)
        if limit is not None and size > limit:
            yield _too_long(policy.resource, policy.path, size, limit)
        if policy.resource.type == "AWS::SQS::QueuePolicy" and len(policy.statements) > 20:
            yield Finding(policy.resource, policy.path, f"{len(policy.statements)} statements", "Allowed: 20")


@rule("inline-policy-size", _IAM_QUOTAS)
def inline_policies(templates: Templates) -> Iterator[Finding]:
    """The inline policies of a role are within 10,240 characters together."""
    sizes: Counter[Resource] = Counter()
    for policy in policies(templates, Kind.IDENTITY):
        if policy.resource.type == "AWS::IAM::ManagedPolicy":
            continue
        size = len(document_of(policy.document, policy.resource))
        own = policy.resource.type == "AWS::IAM::Role"
        for role in [policy.resource] if own else policy.resource.all_named("Roles"):
            sizes[role] += size
    for role, size in sizes.items():
        if size > _INLINE_CHARACTERS:
            yield _too_long(role, "Policies", size, _INLINE_CHARACTERS)


@rule("name-form", "API reference of each service (2026-11)")
def names(templates: Templates) -> Iterator[Finding]:
    """Each name has the length and form that its service allows."""
    for (kind, name), (most, pattern) in _NAMES.items():
        for resource in (each for each in templates.of_type(kind) if name in each.properties):
            value = resource.properties[name]
            text = text_of(value, resource)
            if len(text) > most or (is_literal(value) and not re.fullmatch(pattern, text, re.ASCII)):
                yield Finding(resource, name, text, f"Allowed: at most {most} characters that match {pattern}")


@rule("parameter-size", "Systems Manager User Guide: Managing parameter tiers (2026-11)")
def parameters(templates: Templates) -> Iterator[Finding]:
    """Each SSM parameter is within the size of its tier."""
    for parameter in templates.of_type("AWS::SSM::Parameter"):
        size = len(text_of(parameter.properties.get("Value", ""), parameter).encode())
        limit = _PARAMETER_CHARACTERS[parameter.properties.get("Tier", "Standard")]
        if size > limit:
            yield _too_long(parameter, "Value", size, limit)


@rule("stack-limits", "CloudFormation User Guide: Quotas (2026-11)")
def stack_limits(templates: Templates) -> Iterator[Finding]:
    """Each template is within CloudFormation's quotas."""
    for stack, template in templates.stacks.items():
        first = next((each for each in templates.resources if each.stack == stack), None)
        if first is None:
            continue  # CloudFormation requires a resource: its validation names the stack
        for section, limit in _LIMITS.items():
            if len(template.get(section, {})) > limit:
                yield Finding(first, section, len(template[section]), f"Allowed: {limit} in a stack. Split the stack")
        size = len(json.dumps(template, indent=1).encode())
        if size > _TEMPLATE_BYTES:
            yield _too_long(first, "the template", size, _TEMPLATE_BYTES)
        if len(template.get("Description", "").encode()) > 1024:
            yield _too_long(first, "Description", len(template["Description"].encode()), 1024)
        name = f"Outpost-{templates.environment}-{stack}"
        if len(name) > 128:
            yield _too_long(first, "the stack's name", len(name), 128)


def _too_long(resource: Resource, name: str, size: int, limit: int) -> Finding:
    return Finding(resource, name, f"{size} characters", f"Allowed: {limit}. Shorten or divide it")
