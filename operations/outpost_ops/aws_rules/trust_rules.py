"""Roles that are passed to services: each trusts the service that assumes it."""

from collections.abc import Iterator

from outpost_ops.aws_rules.model import Finding, rule
from outpost_ops.aws_rules.policies import Kind, as_list, policies, statements
from outpost_ops.aws_rules.values import text_of, values_at
from outpost_ops.templates import Resource, Templates

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
    for resource in templates.resources:
        for (kind, path), service in _PASSED.items():
            if resource.type == kind:
                for value in values_at(resource.properties, path):
                    yield from _untrusted(resource, path, templates.target(value, resource.stack), service)


@rule("pass-role-names-service", "IAM User Guide: Grant a user permissions to pass a role to an AWS service (2026-11)")
def passed_roles(templates: Templates) -> Iterator[Finding]:
    """A role may be passed to named services only, which it trusts."""
    for statement in statements(templates, Kind.IDENTITY):
        if not statement.allows or "iam:PassRole" not in statement.actions:
            continue
        stack = statement.policy.resource.stack
        services = [
            text_of(service, templates, stack).removesuffix(".amazonaws.com")
            for _, key, value in statement.conditions
            if key.lower() == "iam:passedtoservice"
            for service in as_list(value)
        ]
        if not services:
            remedy = "Add the condition iam:PassedToService: any service could be given the role"
            yield Finding(statement.policy.resource, f"{statement.path}.Condition", "iam:PassRole", remedy)
        for role in (templates.target(each, stack) for each in statement.resources):
            for service in services:
                yield from _untrusted(statement.policy.resource, f"{statement.path}.Resource", role, service)


def _untrusted(user: Resource, path: str, role: Resource | None, service: str) -> Iterator[Finding]:
    if role is None or role.type != "AWS::IAM::Role":
        return
    trusted = {
        name
        for policy in policies(
            Templates("", {role.stack: {"Resources": {role.logical_id: role.attributes}}}), Kind.TRUST
        )
        for statement in policy.statements
        for name in statement.services
        if statement.allows
    }
    if f"{service}.amazonaws.com" not in trusted:
        remedy = f"Its AssumeRolePolicyDocument must allow sts:AssumeRole to {service}.amazonaws.com"
        yield Finding(user, path, role.place, remedy)
