"""The controls of the network: flow logs, security groups, tasks without a public side."""

from collections.abc import Iterator
from typing import Any

from outpost.names import Env
from outpost_ops.controls.policies import outside
from outpost_ops.templates import Resource, Templates

Found = Iterator[tuple[Resource, str]]


def flow_logs(templates: Templates) -> Found:
    """Each VPC has a flow log of all traffic that goes to CloudWatch."""
    logs = templates.of_type("AWS::EC2::FlowLog")
    for vpc in templates.of_type("AWS::EC2::VPC"):
        if vpc not in [log.named("ResourceId") for log in logs]:
            yield vpc, "has no flow log"
    for log in logs:
        if log.properties.get("TrafficType") != "ALL":
            yield log, "TrafficType is not ALL"
        if log.properties.get("LogDestinationType", "cloud-watch-logs") != "cloud-watch-logs":
            yield log, "LogDestinationType is not cloud-watch-logs"


def security_groups(templates: Templates) -> Found:
    """Outside networks reach load balancers alone; service and files know their clients, workers nobody."""
    vpcs = templates.of_type("AWS::EC2::VPC")
    closed = [each.named("GroupId") for each in templates.of_type("Custom::ClosedDefaultGroup")]
    yield from ((vpc, "leaves its default security group open") for vpc in vpcs if vpc not in closed)
    networks = [str(vpc.properties.get("CidrBlock")) for vpc in vpcs]
    balancers = _groups_of(templates, "AWS::ElasticLoadBalancingV2::LoadBalancer")
    services = _groups_of(templates, "AWS::ECS::Service")
    files = _groups_of(templates, "AWS::EFS::MountTarget")
    workers, mounting = _function_groups(templates)
    clients = [*workers, *mounting]
    for rule, group, source in _ingress(templates, networks):
        sender = rule.target(source)
        if isinstance(source, str):
            if group not in balancers and outside(source, networks):
                yield rule, f"admits {source} from outside"
            elif group in [*services, *workers, *files]:
                yield rule, f"admits {source}, not a security group"
        elif group in workers:
            yield rule, "admits somebody to the workers"
        elif group in services and sender not in balancers:
            yield rule, "admits somebody else than the load balancer to the service"
        elif group in files and sender not in clients:
            yield rule, "admits somebody who does not mount it to the file system"


def private_tasks(templates: Templates) -> Found:
    """Services have no public addresses; they and workers run in subnets without a route to an internet gateway."""
    public = _public_subnets(templates)
    for service in templates.of_type("AWS::ECS::Service"):
        network = service.properties.get("NetworkConfiguration", {}).get("AwsvpcConfiguration", {})
        if network.get("AssignPublicIp") != "DISABLED":
            yield service, "AssignPublicIp is not DISABLED"
        if any(subnet in public for subnet in service.targets(network.get("Subnets", []))):
            yield service, "runs in a subnet with a route to an internet gateway"
    for function in templates.of_type("AWS::Lambda::Function"):
        subnets = function.targets(_variable(function, Env.WORKER_SUBNETS))
        if any(subnet in public for subnet in subnets):
            yield function, "launches workers in a subnet with a route to an internet gateway"


def _ingress(templates: Templates, networks: list[str]) -> Iterator[tuple[Resource, Resource | None, Any]]:
    """Yield each ingress rule as (resource that states it, its group, a network's text or a group's reference)."""
    for group in templates.of_type("AWS::EC2::SecurityGroup"):
        for rule in group.properties.get("SecurityGroupIngress", []):
            yield group, group, _source(rule, group, networks)
    for ingress in templates.of_type("AWS::EC2::SecurityGroupIngress"):
        yield ingress, ingress.named("GroupId"), _source(ingress.properties, ingress, networks)


def _source(rule: Any, resource: Resource, networks: list[str]) -> Any:  # noqa: ANN401 - JSON
    if "SourceSecurityGroupId" in rule:
        return rule["SourceSecurityGroupId"]
    source = rule.get("CidrIp", rule.get("CidrIpv6", "0.0.0.0/0"))  # a prefix list may hold anything
    referred = resource.target(source)
    if referred is not None and referred.type == "AWS::EC2::VPC":
        return networks[0]
    return source if isinstance(source, str) else "0.0.0.0/0"


def _groups_of(templates: Templates, kind: str) -> list[Resource]:
    return [
        group
        for resource in templates.of_type(kind)
        for group in resource.targets(resource.properties)
        if group.type == "AWS::EC2::SecurityGroup"
    ]


def _function_groups(templates: Templates) -> tuple[list[Resource], list[Resource]]:
    """Return the groups of the workers that functions launch, and those of functions that mount a file system."""
    functions = templates.of_type("AWS::Lambda::Function")
    workers = [group for each in functions for group in each.targets(_variable(each, Env.WORKER_SECURITY_GROUP))]
    mounting = [each for each in functions if each.properties.get("FileSystemConfigs")]
    return workers, [group for each in mounting for group in each.all_named("VpcConfig.SecurityGroupIds")]


def _variable(function: Resource, name: str) -> Any:  # noqa: ANN401 - JSON
    return function.properties.get("Environment", {}).get("Variables", {}).get(name)


def _public_subnets(templates: Templates) -> list[Resource]:
    tables = templates.public_tables()
    return [
        subnet
        for link in templates.of_type("AWS::EC2::SubnetRouteTableAssociation")
        for subnet in link.all_named("SubnetId")
        if link.named("RouteTableId") in tables
    ]
