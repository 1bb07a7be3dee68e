"""What an account uses of its quotas already, apart from what the environment's own stacks hold."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

from outpost_ops.verify.deployed import Account

_DESCRIBED = 100
"""Tasks that one DescribeTasks takes."""


def on_demand_vcpus(account: Account) -> float:
    """Return the vCPUs of on-demand Fargate tasks in clusters other than the environment's."""
    return _vcpus(account, "FARGATE")


def spot_vcpus(account: Account) -> float:
    """Return the vCPUs of Fargate Spot tasks in clusters other than the environment's."""
    return _vcpus(account, "FARGATE_SPOT")


def reserved_executions(account: Account) -> float:
    """Return the concurrency that functions reserve: nothing else can use it."""
    limit = account.client("lambda").get_account_settings()["AccountLimit"]
    reserved: float = limit["ConcurrentExecutions"] - limit["UnreservedConcurrentExecutions"]
    return reserved


def addresses(account: Account) -> float:
    """Return the number of Elastic IP addresses."""
    return len(account.client("ec2").describe_addresses()["Addresses"])


def vpcs(account: Account) -> float:
    """Return the number of VPCs."""
    return sum(1.0 for _ in account.pages("ec2", "describe_vpcs", "Vpcs"))


def nat_gateways(account: Account) -> float:
    """Return the number of NAT gateways in that of the environment's zones that has most."""
    zones = {each["SubnetId"]: each["AvailabilityZone"] for each in account.pages("ec2", "describe_subnets", "Subnets")}
    gateways = account.pages("ec2", "describe_nat_gateways", "NatGateways")
    found = Counter(zones.get(each["SubnetId"]) for each in gateways if each["State"] in {"pending", "available"})
    return max(found[zone] for zone in account.config.zones)


def balancers(account: Account) -> float:
    """Return the number of Application Load Balancers."""
    found = account.pages("elbv2", "describe_load_balancers", "LoadBalancers")
    return sum(1.0 for each in found if each["Type"] == "application")


def _vcpus(account: Account, provider: str) -> float:
    tasks = [each for each in _tasks(account) if provider == (each.get("capacityProviderName") or each["launchType"])]
    return sum(float(each["cpu"]) for each in tasks) / 1024


def _tasks(account: Account) -> Iterator[dict[str, Any]]:
    own = f"/Outpost-{account.config.name}-"
    for cluster in account.pages("ecs", "list_clusters", "clusterArns"):
        if own in cluster:
            continue
        arns = list(account.pages("ecs", "list_tasks", "taskArns", cluster=cluster))
        for start in range(0, len(arns), _DESCRIBED):
            chunk = arns[start : start + _DESCRIBED]
            yield from account.client("ecs").describe_tasks(cluster=cluster, tasks=chunk)["tasks"]
