"""Service quotas against what the configuration needs: at rest, and at its limits.

Codes: the console of Service Quotas; AWS General Reference, "Service endpoints and quotas" of each service. Not looked
at because no configuration comes near them: interface endpoints of a VPC (50), rules of a security group, queues.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from outpost.domain.agents import CATALOGUE
from outpost_ops.config import EnvironmentConfig
from outpost_ops.doctor.finding import Finding, Level
from outpost_ops.doctor.leftovers import holds_resources
from outpost_ops.templates import Templates
from outpost_ops.verify.deployed import Account


@dataclass(frozen=True)
class Need:
    """What an environment takes of a quota."""

    service: str
    code: str
    """The quota's code in Service Quotas."""
    name: str
    at_rest: float
    at_limits: float
    used: Callable[[Account], float]
    """Reads what the account uses already."""
    stack: str = ""
    """The stack that holds what is needed at rest, where `used` counts it too once that stack is deployed."""


def needs(config: EnvironmentConfig, templates: Templates) -> list[Need]:
    """Return what the environment takes of each quota."""
    eips = len(templates.of_type("AWS::EC2::EIP"))
    nats = -(-len(templates.of_type("AWS::EC2::NatGateway")) // len(config.zones))
    load_balancers = ("elasticloadbalancing", "L-53DA6B97", "Application Load Balancers")
    return [
        *_task_needs(config),
        _function_need(config, templates),
        Need("ec2", "L-0263D0A3", "Elastic IP addresses", eips, eips, _addresses, "Network"),
        Need("vpc", "L-F678F1CE", "VPCs", 1, 1, _vpcs, "Network"),
        Need("vpc", "L-FE5A380F", "NAT gateways in a zone", nats, nats, _nat_gateways, "Network"),
        Need(*load_balancers, 1, 1, _balancers, "ControlPlane"),
    ]


def _task_needs(config: EnvironmentConfig) -> Iterator[Need]:
    """Yield the vCPUs of tasks; those on demand include Spot's, which falls back to them."""
    size, agents = config.control_plane, config.enabled_agents
    vcpus = {agent: (settings.cpu or CATALOGUE[agent].cpu) / 1024 for agent, settings in agents.items()}
    warm = sum(vcpus[agent] * settings.warm for agent, settings in agents.items())
    most = sum(vcpus[agent] * settings.limit for agent, settings in agents.items())
    spot = sum(vcpus[agent] * settings.limit * settings.spot_share / 100 for agent, settings in agents.items())
    rest, limits = size.minimum * size.cpu / 1024 + warm, size.maximum * size.cpu / 1024 + most
    yield Need("fargate", "L-3032A538", "Fargate on-demand vCPUs", rest, limits, _on_demand_vcpus)
    yield Need("fargate", "L-36FBB829", "Fargate Spot vCPUs", 0, spot, _spot_vcpus)


def _function_need(config: EnvironmentConfig, templates: Templates) -> Need:
    """Return the functions that run at once: at the limits each one, and the broker for every worker."""
    functions = len(templates.of_type("AWS::Lambda::Function"))
    workers = sum(settings.limit for settings in config.enabled_agents.values())
    name = "Lambda concurrent executions"
    return Need("lambda", "L-B99A9384", name, 1, functions + workers, _reserved_executions)


def check_quotas(account: Account, needed: list[Need], states: Mapping[str, str]) -> Iterator[Finding]:
    """Compare each quota with the need; `states` are the environment's stacks, whose share is not used by others."""
    for need in needed:
        if need.at_limits:
            stack = f"Outpost-{account.config.name}-{need.stack}"
            own = need.at_rest if need.stack and holds_resources(states.get(stack)) else 0
            yield evaluate_quota(need, _quota(account, need), max(need.used(account) - own, 0))


def evaluate_quota(need: Need, quota: float, used: float) -> Finding:
    """Return a failure when the environment at rest does not fit, a warning when its limits do not."""
    free = quota - used
    message = (
        f"{need.name}: {quota:g}, {used:g} used by others; {need.at_rest:g} needed at rest, "
        f"{need.at_limits:g} at the limits"
    )
    if need.at_limits <= free:
        return Finding("quotas", Level.OK, message)
    remedy = (
        f"aws service-quotas request-service-quota-increase --service-code {need.service} "
        f"--quota-code {need.code} --desired-value {-(-(need.at_limits + used) // 1):g}"
    )
    return Finding("quotas", Level.FAILURE if need.at_rest > free else Level.WARNING, message, remedy)


def _quota(account: Account, need: Need) -> float:
    """Return the quota of the account, or AWS's default where none was ever applied to it."""
    quotas, arguments = account.client("service-quotas"), {"ServiceCode": need.service, "QuotaCode": need.code}
    try:
        value: float = quotas.get_service_quota(**arguments)["Quota"]["Value"]
    except quotas.exceptions.NoSuchResourceException:
        value = quotas.get_aws_default_service_quota(**arguments)["Quota"]["Value"]
    return value


def _on_demand_vcpus(account: Account) -> float:
    """Return the vCPUs of on-demand Fargate tasks in clusters other than the environment's."""
    return _vcpus(account, "FARGATE")


def _spot_vcpus(account: Account) -> float:
    """Return the vCPUs of Fargate Spot tasks in clusters other than the environment's."""
    return _vcpus(account, "FARGATE_SPOT")


def _reserved_executions(account: Account) -> float:
    """Return the concurrency that functions reserve: nothing else can use it."""
    limit = account.client("lambda").get_account_settings()["AccountLimit"]
    reserved: float = limit["ConcurrentExecutions"] - limit["UnreservedConcurrentExecutions"]
    return reserved


def _addresses(account: Account) -> float:
    """Return the number of Elastic IP addresses."""
    return len(account.client("ec2").describe_addresses()["Addresses"])


def _vpcs(account: Account) -> float:
    """Return the number of VPCs."""
    return sum(1.0 for _ in account.pages("ec2", "describe_vpcs", "Vpcs"))


def _nat_gateways(account: Account) -> float:
    """Return the number of NAT gateways in that of the environment's zones that has most."""
    zones = {each["SubnetId"]: each["AvailabilityZone"] for each in account.pages("ec2", "describe_subnets", "Subnets")}
    gateways = account.pages("ec2", "describe_nat_gateways", "NatGateways")
    found = Counter(zones.get(each["SubnetId"]) for each in gateways if each["State"] in {"pending", "available"})
    return max(found[zone] for zone in account.config.zones)


def _balancers(account: Account) -> float:
    """Return the number of Application Load Balancers."""
    found = account.pages("elbv2", "describe_load_balancers", "LoadBalancers")
    return sum(1.0 for each in found if each["Type"] == "application")


def _vcpus(account: Account, provider: str) -> float:
    own = f"/Outpost-{account.config.name}-"
    clusters = [each for each in account.pages("ecs", "list_clusters", "clusterArns") if own not in each]
    tasks = (task for cluster in clusters for task in account.tasks(cluster))
    found = (each for each in tasks if provider == (each.get("capacityProviderName") or each["launchType"]))
    return sum(float(each["cpu"]) for each in found) / 1024
