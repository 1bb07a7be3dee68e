"""Live checks of the controls on who reaches what: flow logs, security groups, tasks."""

from collections.abc import Iterator
from typing import Any

from outpost.names import Env
from outpost_ops.controls.policies import outside
from outpost_ops.templates import values_at
from outpost_ops.verify.deployed import Deployed
from outpost_ops.verify.evidence import Evidence

_SERVICE_GROUPS = "networkConfiguration.awsvpcConfiguration.securityGroups"


def flow_logs(deployed: Deployed, evidence: Evidence) -> None:
    """Read the flow logs of each VPC: one active, of all traffic, to CloudWatch, delivered."""
    for vpc in deployed.of_type("AWS::EC2::VPC"):
        of_vpc = [{"Name": "resource-id", "Values": [vpc]}]
        logs = deployed.client("ec2").describe_flow_logs(Filters=of_vpc)["FlowLogs"]
        good = [log["FlowLogId"] for log in logs if not _faults(log)]
        for log in logs:
            evidence.note(f"{vpc}: {log['FlowLogId']} {', '.join(_faults(log)) or 'active'}")
        evidence.demand(f"{vpc}: an active flow log of all traffic to CloudWatch", bool(good))


def _faults(log: dict[str, Any]) -> list[str]:
    wanted = {"FlowLogStatus": "ACTIVE", "TrafficType": "ALL", "LogDestinationType": "cloud-watch-logs"}
    faults = [f"{name} {log.get(name)}" for name, value in wanted.items() if log.get(name) != value]
    if log.get("DeliverLogsStatus", "SUCCESS") != "SUCCESS":
        faults.append(f"delivery {log.get('DeliverLogsErrorMessage', 'failed')}")
    return faults


def security_groups(deployed: Deployed, evidence: Evidence) -> None:
    """Read every rule of every group in the VPC, and who wears which group."""
    ec2 = deployed.client("ec2")
    vpcs = [{"Name": "vpc-id", "Values": deployed.of_type("AWS::EC2::VPC")}]
    networks = [vpc["CidrBlock"] for vpc in ec2.describe_vpcs(VpcIds=vpcs[0]["Values"])["Vpcs"]]
    admitted = _admitted(deployed)
    for group in ec2.describe_security_groups(Filters=vpcs)["SecurityGroups"]:
        name = group["GroupId"]
        if group["GroupName"] == "default":
            closed = not group["IpPermissions"] and not group["IpPermissionsEgress"]
            evidence.demand(f"{name} (the default group): no rules", closed)
        allowed, senders = admitted.get(name, (networks, None))
        for source in _sources(group["IpPermissions"]):
            what = f"{name} ({group['Description']}) admits {source}"
            if "/" in source or source.startswith("pl-"):
                evidence.demand(what, "/" in source and not outside(source, allowed))
            else:
                evidence.demand(what, senders is None or source in senders)
        evidence.note(f"{name} ({group['Description']}): {len(group['IpPermissions'])} ingress rules read")


def _admitted(deployed: Deployed) -> dict[str, tuple[list[str], set[str] | None]]:
    """Return the networks and the groups (None: any) that each group with a role may admit; the others: the VPC."""
    arns = deployed.of_type("AWS::ElasticLoadBalancingV2::LoadBalancer")
    described = deployed.client("elbv2").describe_load_balancers(LoadBalancerArns=arns)["LoadBalancers"]
    balancers = set(values_at(described, "SecurityGroups"))
    workers = set(deployed.variables(Env.WORKER_SECURITY_GROUP))
    clients = [str(network) for network in deployed.config.ingress.cidrs]
    mounting = {
        group
        for function in deployed.functions
        if function.get("FileSystemConfigs")
        for group in function["VpcConfig"]["SecurityGroupIds"]
    }
    return {
        **dict.fromkeys(balancers, (clients, None)),
        **dict.fromkeys(values_at(deployed.services(), _SERVICE_GROUPS), ([], balancers)),
        **dict.fromkeys(_file_groups(deployed), ([], workers | mounting)),
        **dict.fromkeys(workers, ([], set())),
    }


def private_tasks(deployed: Deployed, evidence: Evidence) -> None:
    """Read where services, running tasks and the workers to come are, and whether anything has a public address."""
    public = _public_subnets(deployed)
    for service in deployed.services():
        network = service["networkConfiguration"]["awsvpcConfiguration"]
        name = service["serviceName"]
        evidence.demand(f"{name}: assignPublicIp DISABLED", network.get("assignPublicIp", "DISABLED") == "DISABLED")
        evidence.demand(f"{name}: private subnets", not public & set(network["subnets"]))
    for task in deployed.running_tasks():
        name = task["taskArn"].rpartition("/")[2]
        subnets, interfaces = _attached(task, "subnetId"), _attached(task, "networkInterfaceId")
        evidence.demand(f"task {name}: a private subnet", not public & set(subnets))
        evidence.demand(f"task {name}: no public address", not _public_addresses(deployed, interfaces))
    for listed in deployed.variables(Env.WORKER_SUBNETS):
        evidence.demand(f"workers to come: private subnets of {listed}", not public & set(listed.split(",")))


def _public_subnets(deployed: Deployed) -> set[str]:
    """Return the VPC's subnets whose route table leads to an internet gateway."""
    ec2 = deployed.client("ec2")
    vpcs = [{"Name": "vpc-id", "Values": deployed.of_type("AWS::EC2::VPC")}]
    tables = ec2.describe_route_tables(Filters=vpcs)["RouteTables"]
    associated = {link.get("SubnetId"): table for table in tables for link in table["Associations"]}
    main = next(table for table in tables if any(link.get("Main") for link in table["Associations"]))
    subnets = [subnet["SubnetId"] for subnet in ec2.describe_subnets(Filters=vpcs)["Subnets"]]
    return {
        subnet
        for subnet in subnets
        if any(
            route.get("GatewayId", "").startswith("igw-") for route in associated.get(subnet, main).get("Routes", [])
        )
    }


def _public_addresses(deployed: Deployed, interfaces: list[str]) -> list[str]:
    if not interfaces:
        return []
    described = deployed.client("ec2").describe_network_interfaces(NetworkInterfaceIds=interfaces)
    return list(values_at(described["NetworkInterfaces"], "Association.PublicIp"))


def _attached(task: dict[str, Any], name: str) -> list[str]:
    return [
        detail["value"]
        for attachment in task.get("attachments", [])
        for detail in attachment["details"]
        if detail["name"] == name
    ]


def _sources(permissions: list[dict[str, Any]]) -> Iterator[str]:
    for path in ("IpRanges.CidrIp", "Ipv6Ranges.CidrIpv6", "PrefixListIds.PrefixListId", "UserIdGroupPairs.GroupId"):
        yield from values_at(permissions, path)


def _file_groups(deployed: Deployed) -> set[str]:
    efs = deployed.client("efs")
    return {
        group
        for file_system in deployed.of_type("AWS::EFS::FileSystem")
        for mount in efs.describe_mount_targets(FileSystemId=file_system)["MountTargets"]
        for group in efs.describe_mount_target_security_groups(MountTargetId=mount["MountTargetId"])["SecurityGroups"]
    }
