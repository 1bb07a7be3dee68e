"""The order within a stack: what AWS looks at when it creates a resource has to be there before."""

import json
import re
from collections.abc import Iterator

from outpost_ops.aws_rules.model import Finding, rule
from outpost_ops.aws_rules.policies import as_list, balancer_logs, policies_of
from outpost_ops.templates import Resource, Templates

_PAGE = "CloudFormation Template Reference: DependsOn attribute (2026-11)"

_LOGICAL_ID = re.compile(r'"(?:Ref|Fn::GetAtt)": \[?"([^"]+)"')
_ROLES = {
    "AWS::CloudTrail::Trail": "CloudWatchLogsRoleArn",
    "AWS::ECS::Service": "TaskDefinition",
    "AWS::Lambda::EventSourceMapping": "FunctionName",
    "AWS::Pipes::Pipe": "RoleArn",
}
"""Types whose create fails when a role lacks its policies, and the property that leads to the role."""


@rule("after-role-policies", _PAGE)
def after_role_policies(templates: Templates) -> Iterator[Finding]:
    """What tries its role at once comes after the policies of the role."""
    for resource in templates.of_type(*_ROLES):
        before = _before(resource)
        for target in resource.all_named(_ROLES[resource.type]):
            for role in _roles(target):
                for policy in policies_of(role):
                    if policy.resource != role and policy.resource.stack == resource.stack:
                        yield from _late(resource, policy.resource, before)


@rule("after-bucket-policy", f"{_PAGE}; CloudTrail User Guide: Amazon S3 bucket policy for CloudTrail (2026-11)")
def after_bucket_policy(templates: Templates) -> Iterator[Finding]:
    """What delivers to a bucket comes after the bucket's policy."""
    for resource in templates.of_type("AWS::CloudTrail::Trail", "AWS::ElasticLoadBalancingV2::LoadBalancer"):
        buckets = [*resource.all_named("S3BucketName"), *balancer_logs(resource)]
        for policy in templates.of_type("AWS::S3::BucketPolicy"):
            if policy.named("Bucket") in buckets and policy.stack == resource.stack:
                yield from _late(resource, policy, _before(resource))


@rule("after-listener", _PAGE)
def after_listener(templates: Templates) -> Iterator[Finding]:
    """A service comes after the listener of its target group."""
    listeners = templates.of_type("AWS::ElasticLoadBalancingV2::Listener", "AWS::ElasticLoadBalancingV2::ListenerRule")
    for service in templates.of_type("AWS::ECS::Service"):
        groups = list(service.targets(service.properties.get("LoadBalancers", [])))
        fitting = [
            listener
            for listener in listeners
            if listener.stack == service.stack and any(each in groups for each in listener.targets(listener.properties))
        ]
        before = _before(service)
        if fitting and not any(listener.logical_id in before for listener in fitting):
            yield from _late(service, fitting[0], before)


@rule("after-attachment", _PAGE)
def after_attachment(templates: Templates) -> Iterator[Finding]:
    """A route to an internet gateway comes after the gateway's attachment."""
    for attachment in templates.of_type("AWS::EC2::VPCGatewayAttachment"):
        gateway = attachment.named("InternetGatewayId")
        for route in templates.of_type("AWS::EC2::Route"):
            if gateway and route.named("GatewayId") == gateway and route.stack == attachment.stack:
                yield from _late(route, attachment, _before(route))


def _roles(resource: Resource) -> Iterator[Resource]:
    """Yield the roles that a resource is, or runs with."""
    if resource.type == "AWS::IAM::Role":
        yield resource
    for name in ("Role", "TaskRoleArn", "ExecutionRoleArn"):
        yield from resource.all_named(name)


def _before(resource: Resource) -> set[str]:
    """Return the logical ids of everything in the stack that is created before a resource."""
    bodies = resource.templates.stacks[resource.stack]["Resources"]
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
