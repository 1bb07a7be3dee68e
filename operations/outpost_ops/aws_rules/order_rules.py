"""The order within a stack: what AWS looks at when it creates a resource has to be there before."""

import json
import re
from collections.abc import Iterator

from outpost_ops.aws_rules.model import Finding, rule
from outpost_ops.aws_rules.policies import as_list, policies_of
from outpost_ops.aws_rules.values import values_at
from outpost_ops.templates import Resource, Templates

_PAGE = "CloudFormation Template Reference: DependsOn attribute (2026-11)"

_LOGICAL_ID = re.compile(r'"(?:Ref|Fn::GetAtt)": \[?"([^"]+)"')
_ROLES = {
    "AWS::CloudTrail::Trail": ("CloudWatchLogsRoleArn",),
    "AWS::ECS::Service": ("TaskDefinition",),
    "AWS::Lambda::EventSourceMapping": ("FunctionName",),
    "AWS::Pipes::Pipe": ("RoleArn",),
}
"""Types whose create fails when a role lacks its policies, and the property that leads to the role."""
_LOADED = ("Role", "TaskRoleArn", "ExecutionRoleArn")
_BALANCER = "AWS::ElasticLoadBalancingV2::LoadBalancer"


@rule("after-role-policies", _PAGE)
def after_role_policies(templates: Templates) -> Iterator[Finding]:
    """What tries its role at once comes after the policies of the role."""
    for resource in templates.of_type(*_ROLES):
        before = _before(resource, templates)
        for value in (value for name in _ROLES[resource.type] for value in values_at(resource.properties, name)):
            for role in _roles(templates.target(value, resource.stack), templates):
                for policy in policies_of(role, templates):
                    if policy.resource != role and policy.resource.stack == resource.stack:
                        yield from _late(resource, policy.resource, before)


@rule("after-bucket-policy", f"{_PAGE}; CloudTrail User Guide: Amazon S3 bucket policy for CloudTrail (2026-11)")
def after_bucket_policy(templates: Templates) -> Iterator[Finding]:
    """What delivers to a bucket comes after the bucket's policy."""
    policies = templates.of_type("AWS::S3::BucketPolicy")
    for resource in templates.of_type("AWS::CloudTrail::Trail", _BALANCER):
        before = _before(resource, templates)
        values = [resource.properties.get("S3BucketName")]
        values += [
            attribute.get("Value")
            for attribute in resource.properties.get("LoadBalancerAttributes", [])
            if attribute.get("Key") == "access_logs.s3.bucket"
        ]
        buckets = [templates.target(value, resource.stack) for value in values]
        for policy in policies:
            bucket = templates.target(policy.properties.get("Bucket"), policy.stack)
            if bucket is not None and bucket in buckets and policy.stack == resource.stack:
                yield from _late(resource, policy, before)


@rule("after-listener", _PAGE)
def after_listener(templates: Templates) -> Iterator[Finding]:
    """A service comes after the listener of its target group."""
    listeners = templates.of_type("AWS::ElasticLoadBalancingV2::Listener", "AWS::ElasticLoadBalancingV2::ListenerRule")
    for service in templates.of_type("AWS::ECS::Service"):
        groups = list(templates.targets(service.properties.get("LoadBalancers", []), service.stack))
        fitting = [
            listener
            for listener in listeners
            if listener.stack == service.stack
            and any(each in groups for each in templates.targets(listener.properties, listener.stack))
        ]
        before = _before(service, templates)
        if fitting and not any(listener.logical_id in before for listener in fitting):
            yield from _late(service, fitting[0], before)


@rule("after-attachment", _PAGE)
def after_attachment(templates: Templates) -> Iterator[Finding]:
    """A route to an internet gateway comes after the gateway's attachment."""
    for attachment in templates.of_type("AWS::EC2::VPCGatewayAttachment"):
        gateway = templates.target(attachment.properties.get("InternetGatewayId"), attachment.stack)
        for route in templates.of_type("AWS::EC2::Route"):
            same = templates.target(route.properties.get("GatewayId"), route.stack)
            if gateway is not None and same == gateway and route.stack == attachment.stack:
                yield from _late(route, attachment, _before(route, templates))


def _roles(resource: Resource | None, templates: Templates) -> Iterator[Resource]:
    """Yield the roles that a resource is, or runs with."""
    if resource is None:
        return
    if resource.type == "AWS::IAM::Role":
        yield resource
    for name in _LOADED:
        role = templates.target(resource.properties.get(name), resource.stack)
        if role is not None:
            yield role


def _before(resource: Resource, templates: Templates) -> set[str]:
    """Return the logical ids of everything in the stack that is created before a resource."""
    bodies = templates.stacks[resource.stack]["Resources"]
    found: set[str] = set()
    pending = [resource.logical_id]
    while pending:
        body = bodies[pending.pop()]
        named = {*as_list(body.get("DependsOn")), *_LOGICAL_ID.findall(json.dumps(body.get("Properties", {})))}
        new = (named & bodies.keys()) - found
        found |= new
        pending += new
    return found


def _late(resource: Resource, needed: Resource, before: set[str]) -> Iterator[Finding]:
    if needed.logical_id not in before:
        remedy = f"Add {needed.logical_id}: CloudFormation may create it after {resource.logical_id}, which needs it"
        yield Finding(resource, "DependsOn", as_list(resource.attributes.get("DependsOn")), remedy)
