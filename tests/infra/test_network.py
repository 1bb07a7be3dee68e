"""Who can reach whom."""

import re

from outpost_ops.config import load
from tests.infra.assembly import Assembly, Resource
from tests.infra.conftest import ROOT, SHIPPED


def rules(assembly: Assembly, environment: str, direction: str) -> set[tuple[str, str, str, int]]:
    """Each rule as (group, ingress/egress, peer, port), by the names that the groups have in the code."""
    found = set()
    groups = {place.split("/")[1]: group for place, group in assembly.of_type("AWS::EC2::SecurityGroup", environment)}
    for logical_id, group in groups.items():
        for rule in group["Properties"].get(f"SecurityGroup{direction}", []):
            found.add((_name(logical_id), direction, rule.get("CidrIp"), rule.get("FromPort", 0)))
    for _, rule in assembly.of_type(f"AWS::EC2::SecurityGroup{direction}", environment):
        properties = rule["Properties"]
        peer = properties["SourceSecurityGroupId" if direction == "Ingress" else "DestinationSecurityGroupId"]
        own, other = (value["Fn::GetAtt"][0] for value in (properties["GroupId"], peer))
        found.add((_name(own), direction, _name(other), properties["FromPort"]))
    return found


def _name(logical_id: str) -> str:
    return re.sub(r"^SecurityGroups|[0-9A-F]{8}$", "", logical_id)


def test_connections_are_exactly_the_intended_ones(assembly: Assembly) -> None:
    assert rules(assembly, "local", "Ingress") == {
        ("LoadBalancer", "Ingress", "127.0.0.0/8", 80),
        ("ControlPlane", "Ingress", "LoadBalancer", 8080),
        ("FileSystem", "Ingress", "Workers", 2049),
        ("FileSystem", "Ingress", "Reaper", 2049),
        ("Endpoints", "Ingress", "ControlPlane", 443),
        ("Endpoints", "Ingress", "Workers", 443),
    }
    assert rules(assembly, "local", "Egress") == {
        ("LoadBalancer", "Egress", "ControlPlane", 8080),
        ("ControlPlane", "Egress", "0.0.0.0/0", 443),
        ("ControlPlane", "Egress", "Endpoints", 443),
        ("Workers", "Egress", "0.0.0.0/0", 443),
        ("Workers", "Egress", "FileSystem", 2049),
        ("Workers", "Egress", "Endpoints", 443),
        ("Reaper", "Egress", "0.0.0.0/0", 443),
        ("Reaper", "Egress", "FileSystem", 2049),
        # What the CDK writes for a group without a rule: it admits nothing.
        ("FileSystem", "Egress", "255.255.255.255/32", 252),
        ("Endpoints", "Egress", "255.255.255.255/32", 252),
    }


def test_every_rule_says_what_it_is_for(assembly: Assembly, environment: str) -> None:
    descriptions = [
        rule.get("Description")
        for kind in ("AWS::EC2::SecurityGroupIngress", "AWS::EC2::SecurityGroupEgress")
        for _, resource in assembly.of_type(kind, environment)
        for rule in (resource["Properties"],)
    ]
    for _, group in assembly.of_type("AWS::EC2::SecurityGroup", environment):
        inline: list[Resource] = group["Properties"].get("SecurityGroupIngress", [])
        descriptions += [rule.get("Description") for rule in inline]

    assert descriptions
    assert all(descriptions)


def test_only_nats_get_public_addresses(assembly: Assembly, environment: str) -> None:
    subnets = [subnet["Properties"] for _, subnet in assembly.of_type("AWS::EC2::Subnet", environment)]
    services = [service["Properties"] for _, service in assembly.of_type("AWS::ECS::Service", environment)]

    zones = load(ROOT / "config" / f"{environment}.toml").zones

    assert len(subnets) == 2 * len(zones)
    assert not any(subnet["MapPublicIpOnLaunch"] for subnet in subnets)
    assert [service["NetworkConfiguration"]["AwsvpcConfiguration"]["AssignPublicIp"] for service in services] == [
        "DISABLED"
    ]


def test_subnets_lie_in_two_zones(assembly: Assembly, environment: str) -> None:
    zones = {
        subnet["Properties"]["AvailabilityZone"] for _, subnet in assembly.of_type("AWS::EC2::Subnet", environment)
    }

    assert len(zones) >= 2


def test_the_network_logs_all_its_flows(assembly: Assembly, environment: str) -> None:
    (flow_log,) = (resource["Properties"] for _, resource in assembly.of_type("AWS::EC2::FlowLog", environment))

    assert flow_log["TrafficType"] == "ALL"
    assert flow_log["LogDestinationType"] == "cloud-watch-logs"


def test_s3_and_dynamodb_are_reached_without_leaving_the_network(assembly: Assembly, environment: str) -> None:
    endpoints = [endpoint["Properties"] for _, endpoint in assembly.of_type("AWS::EC2::VPCEndpoint", environment)]
    gateways = {str(e["ServiceName"]) for e in endpoints if e["VpcEndpointType"] == "Gateway"}

    assert any("s3" in name for name in gateways)
    assert any("dynamodb" in name for name in gateways)


def test_gateway_endpoints_admit_our_account_and_image_layers_only(assembly: Assembly, environment: str) -> None:
    account = load(ROOT / "config" / f"{environment}.toml").account
    for _, endpoint in assembly.of_type("AWS::EC2::VPCEndpoint", environment):
        if endpoint["Properties"]["VpcEndpointType"] == "Gateway":
            for statement in endpoint["Properties"]["PolicyDocument"]["Statement"]:
                ours = statement.get("Condition") == {"StringEquals": {"aws:ResourceAccount": account}}
                assert ours or statement["Resource"] == "arn:aws:s3:::prod-us-east-1-starport-layer-bucket/*"


def test_workers_reach_the_configured_networks_only(other_dev: Assembly) -> None:
    out = {
        (peer, port) for name, _, peer, port in rules(other_dev, "dev", "Egress") if name == "Workers" and "/" in peer
    }
    assert out == {("203.0.113.0/24", 443), ("198.51.100.7/32", 443)}


def test_the_load_balancer_is_public_only_where_public_networks_may_connect(
    assembly: Assembly, environment: str
) -> None:
    (balancer,) = (
        b["Properties"] for _, b in assembly.of_type("AWS::ElasticLoadBalancingV2::LoadBalancer", environment)
    )
    private = load(ROOT / "config" / f"{environment}.toml").ingress.private

    assert private is (environment in {"local", "dev"}) or environment not in SHIPPED
    assert balancer["Scheme"] == ("internal" if private else "internet-facing")
    assert all(("PrivateSubnet" in str(subnet)) is private for subnet in balancer["Subnets"])


def test_the_default_group_is_closed_by_a_function_that_may_do_nothing_else(
    assembly: Assembly, environment: str
) -> None:
    (closed,) = (each["Properties"] for _, each in assembly.of_type("Custom::ClosedDefaultGroup", environment))
    (policy,) = (
        p["Properties"]
        for place, p in assembly.of_type("AWS::IAM::Policy", environment)
        if "DefaultGroupFunction" in place
    )
    logs, revoke = (s for s in policy["PolicyDocument"]["Statement"] if s["Action"] != "kms:Decrypt")

    assert closed["GroupId"]["Fn::GetAtt"][1] == "DefaultSecurityGroup"
    assert set(logs["Action"]) == {"logs:CreateLogStream", "logs:PutLogEvents"}
    assert set(revoke["Action"]) == {"ec2:RevokeSecurityGroupEgress", "ec2:RevokeSecurityGroupIngress"}
    assert closed["GroupId"] in revoke["Resource"]["Fn::Join"][1]


def test_the_load_balancer_is_hardened(assembly: Assembly, environment: str) -> None:
    (balancer,) = (
        b["Properties"] for _, b in assembly.of_type("AWS::ElasticLoadBalancingV2::LoadBalancer", environment)
    )
    attributes = {attribute["Key"]: attribute["Value"] for attribute in balancer["LoadBalancerAttributes"]}

    assert attributes["routing.http.drop_invalid_header_fields.enabled"] == "true"
    assert attributes["routing.http.desync_mitigation_mode"] == "strictest"
    assert attributes["access_logs.s3.enabled"] == "true"
