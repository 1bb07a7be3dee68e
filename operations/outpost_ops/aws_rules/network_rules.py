"""Networks, load balancers and AWS WAF: endpoints, subnets, security groups, health checks, web ACLs."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from ipaddress import ip_network
from typing import Any

from outpost_ops.aws_rules.model import Finding, rule
from outpost_ops.aws_rules.values import arn_of, is_literal, text_of
from outpost_ops.templates import Resource, Templates

_BALANCING = "Elastic Load Balancing: Application Load Balancers"

_GROUP_RULES = 60
_DEFAULT_INTERVAL, _DEFAULT_TIMEOUT = 30, 5

_CAPACITY = 1500
"""Units in the price of a web ACL; up to 5,000 at a charge."""

_GROUPS = {
    "AWSManagedRulesAdminProtectionRuleSet": 100,
    "AWSManagedRulesAmazonIpReputationList": 25,
    "AWSManagedRulesAnonymousIpList": 50,
    "AWSManagedRulesBotControlRuleSet": 50,
    "AWSManagedRulesCommonRuleSet": 700,
    "AWSManagedRulesKnownBadInputsRuleSet": 200,
    "AWSManagedRulesLinuxRuleSet": 200,
    "AWSManagedRulesPHPRuleSet": 100,
    "AWSManagedRulesSQLiRuleSet": 200,
    "AWSManagedRulesUnixRuleSet": 100,
    "AWSManagedRulesWindowsRuleSet": 200,
    "AWSManagedRulesWordPressRuleSet": 100,
}
"""Capacity of AWS's managed rule groups."""

_STATEMENTS = {
    "GeoMatchStatement": 1,
    "IPSetReferenceStatement": 1,
    "LabelMatchStatement": 1,
    "RateBasedStatement": 2,
    "RegexMatchStatement": 3,
    "RegexPatternSetReferenceStatement": 25,
    "SizeConstraintStatement": 1,
    "SqliMatchStatement": 20,
    "XssMatchStatement": 40,
}
"""Base capacity of each statement; a byte match is 2, or 10 when it searches within the text."""

_TRANSFORMATION = 10
_SEARCHING = {"CONTAINS", "CONTAINS_WORD"}


@rule(
    "endpoint-not-public",
    "VPC User Guide: Gateway endpoints; Amazon Linux 2023: package repositories in S3 (2026-11); aws-cdk#36717",
)
def endpoints_of_public_subnets(templates: Templates) -> Iterator[Finding]:
    """A gateway endpoint with a policy is not in the route table of a public subnet."""
    public = templates.public_tables()
    for endpoint in templates.of_type("AWS::EC2::VPCEndpoint"):
        gateway = endpoint.properties.get("VpcEndpointType", "Gateway") == "Gateway"
        if gateway and "PolicyDocument" in endpoint.properties:
            remedy = "Leave it out: the policy would also apply to a NAT instance, and deny its package repositories"
            for table in endpoint.all_named("RouteTableIds"):
                if table in public:
                    yield Finding(endpoint, "RouteTableIds", table.logical_id, remedy)


@rule("group-rules", "VPC User Guide: Quotas (2026-11)")
def group_rules(templates: Templates) -> Iterator[Finding]:
    """A security group has at most 60 rules in each direction."""
    counts: Counter[tuple[Resource, str]] = Counter()
    for group in templates.of_type("AWS::EC2::SecurityGroup"):
        for direction in ("Ingress", "Egress"):
            counts[group, direction] += len(group.properties.get(f"SecurityGroup{direction}", []))
    for direction in ("Ingress", "Egress"):
        for each in templates.of_type(f"AWS::EC2::SecurityGroup{direction}"):
            owner = each.named("GroupId")
            if owner is not None:
                counts[owner, direction] += 1
    for (group, direction), count in counts.items():
        if count > _GROUP_RULES:
            yield Finding(group, f"SecurityGroup{direction}", f"{count} rules", f"Allowed: {_GROUP_RULES}")


@rule("subnet-size", "VPC User Guide: Subnet sizing (2026-11)")
def subnet_sizes(templates: Templates) -> Iterator[Finding]:
    """Each subnet is a /28 or larger."""
    for subnet in templates.of_type("AWS::EC2::Subnet"):
        network = subnet.properties.get("CidrBlock")
        if is_literal(network) and ip_network(str(network)).prefixlen > 28:
            yield Finding(subnet, "CidrBlock", network, "Allowed: /28 or larger")


@rule("private-names", "VPC User Guide: DNS attributes for your VPC (2026-11)")
def names_in_network(templates: Templates) -> Iterator[Finding]:
    """A VPC with private names of endpoints or file systems resolves them."""
    needing = [*templates.of_type("AWS::EC2::VPCEndpoint"), *templates.of_type("AWS::EFS::MountTarget")]
    named = [each for each in needing if each.properties.get("PrivateDnsEnabled") or "Mount" in each.type]
    for vpc in templates.of_type("AWS::EC2::VPC") if named else ():
        for switch in ("EnableDnsSupport", "EnableDnsHostnames"):
            if vpc.properties.get(switch, switch == "EnableDnsSupport") is not True:
                yield Finding(vpc, switch, vpc.properties.get(switch), f"Set it: {named[0].place} is found by a name")


@rule("balancer-zones", f"{_BALANCING} (2026-11)")
def balancer_zones(templates: Templates) -> Iterator[Finding]:
    """The subnets of a load balancer are in different zones."""
    for balancer in templates.of_type("AWS::ElasticLoadBalancingV2::LoadBalancer"):
        zones = Counter(str(each.properties.get("AvailabilityZone")) for each in balancer.all_named("Subnets"))
        for zone, count in zones.items():
            if count > 1:
                yield Finding(balancer, "Subnets", f"{count} in {zone}", "Allowed: one subnet of each zone")


@rule("health-check-timeout", f"{_BALANCING}: Health checks (2026-11)")
def health_checks(templates: Templates) -> Iterator[Finding]:
    """The health check of a target group ends before the next one begins."""
    for group in templates.of_type("AWS::ElasticLoadBalancingV2::TargetGroup"):
        interval = int(group.properties.get("HealthCheckIntervalSeconds", _DEFAULT_INTERVAL))
        timeout = int(group.properties.get("HealthCheckTimeoutSeconds", _DEFAULT_TIMEOUT))
        if timeout >= interval:
            yield Finding(group, "HealthCheckTimeoutSeconds", timeout, f"Allowed: less than the interval, {interval}")


@rule("firewall-priorities", "AWS WAF API: Rule (2026-11)")
def priorities(templates: Templates) -> Iterator[Finding]:
    """The rules of a web ACL have priorities and names of their own."""
    for acl in templates.of_type("AWS::WAFv2::WebACL"):
        for name in ("Priority", "Name"):
            for value, count in Counter(each.get(name) for each in acl.properties.get("Rules", [])).items():
                if count > 1:
                    yield Finding(acl, f"Rules.{name}", value, f"{count} rules have it; each needs its own")


@rule("firewall-capacity", "AWS WAF Developer Guide: Web ACL capacity units; AWS managed rule groups list (2026-11)")
def capacity(templates: Templates) -> Iterator[Finding]:
    """The rules of a web ACL are within its 1,500 capacity units."""
    for acl in templates.of_type("AWS::WAFv2::WebACL"):
        used = sum(_units(each.get("Statement", {})) for each in acl.properties.get("Rules", []))
        if used > _CAPACITY:
            yield Finding(acl, "Rules", f"{used} units", f"Allowed: {_CAPACITY}; leave a rule group out")


@rule("firewall-log-name", "AWS WAF Developer Guide: Logging destinations (2026-11)")
def log_groups(templates: Templates) -> Iterator[Finding]:
    """The destination of a web ACL's logs has a name that begins with aws-waf-logs-."""
    for logging in templates.of_type("AWS::WAFv2::LoggingConfiguration"):
        for value in logging.properties.get("LogDestinationConfigs", []):
            target = logging.target(value)
            arn = arn_of(target) if target else text_of(value, logging)
            if not re.search(r"(:::|:log-group:|:deliverystream/)aws-waf-logs-", arn):
                yield Finding(logging, "LogDestinationConfigs", arn, "Begin its name with aws-waf-logs-")


def _units(statement: Mapping[str, Any]) -> int:
    """Return the capacity of a statement with everything that is nested in it."""
    total = 0
    for kind, body in statement.items():
        if kind == "ManagedRuleGroupStatement":
            total += _GROUPS.get(body["Name"], 0)
        elif kind == "ByteMatchStatement":
            total += 10 if body.get("PositionalConstraint") in _SEARCHING else 2
        total += _STATEMENTS.get(kind, 0)
        total += sum(_TRANSFORMATION for each in body.get("TextTransformations", []) if each["Type"] != "NONE")
        nested = [*body.get("Statements", []), body.get("Statement", {}), body.get("ScopeDownStatement", {})]
        total += sum(_units(each) for each in nested)
    return total
