"""What would exceed a quota is refused, by the services and by CloudFormation, with the service's own error.

Sources: EC2 API Reference, "Error codes" (AddressLimitExceeded, VpcLimitExceeded, InternetGatewayLimitExceeded,
NatGatewayLimitExceeded, RulesPerSecurityGroupLimitExceeded); ELB API Reference, CreateLoadBalancer
(TooManyLoadBalancers); ECS Developer Guide, "Service event messages" (vCPUs): RunTask returns the reason in `failures`.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from ministack.core.responses import json_response
from ministack.services import alb, ec2, ecs

from outpost_local.extensions.cloudformation.handlers import Properties, Response, with_members
from outpost_local.extensions.patch import around
from outpost_local.extensions.servicequotas.quotas import applied

AFTER = ("cloudformation.document_limits", "ecs.late_tasks")

_VCPU_REASON = "You've reached the limit on the number of vCPUs you can run concurrently"
_RULES = "L-0EA8095F"


@dataclass(frozen=True)
class _Limit:
    """The quota on the number of resources of one type, and how the service refuses one more."""

    kind: str
    action: str
    quota: str
    count: Callable[[str], int]
    """Takes the subnet, empty for what lies in none."""
    code: str
    message: str


def _gateways_beside(subnet: str) -> int:
    """Count the NAT gateways in the availability zone of the subnet."""
    zones = {name: record["AvailabilityZone"] for name, record in ec2._subnets.items()}
    gateways = [gateway for gateway in ec2._nat_gateways.values() if gateway.get("State") != "deleted"]
    return sum(zones.get(gateway["SubnetId"]) == zones.get(subnet) for gateway in gateways)


def refuse_one_more(kind: str, _logical_id: str, props: Properties) -> None:
    """Raise ValueError if the quota of a resource's type is used up."""
    for limit in _LIMITS:
        if limit.kind == kind and limit.count(str(props.get("SubnetId", ""))) >= applied(limit.quota):
            raise ValueError(f"{limit.message} (Status Code: 400, Error Code: {limit.code})")


def refuse_rules(kind: str, _logical_id: str, props: Properties) -> None:
    """Raise ValueError for a security group with too many rules in a direction."""
    lists = [props.get("SecurityGroupIngress"), props.get("SecurityGroupEgress")]
    if kind == "AWS::EC2::SecurityGroup" and max(len(rules or ()) for rules in lists) > applied(_RULES):
        raise ValueError("The maximum number of rules per security group has been reached.")


def _counted(limit: _Limit, refuse: Callable[[str, str, int], Any], call: Callable[..., Any], params: Any) -> Any:
    if limit.count(params.get("SubnetId", [""])[0]) >= applied(limit.quota):
        return refuse(limit.code, limit.message, 400)
    return call(params)


def _run_task(run_task: Callable[[dict[str, Any]], Any], data: dict[str, Any]) -> Any:
    definition = ecs._task_defs.get(ecs._resolve_td_key(data.get("taskDefinition", "")))
    cluster = ecs._clusters.get(ecs._resolve_cluster_name(data.get("cluster", "default")), {})
    if definition is None or (capacity := _capacity(data, cluster)) is None:
        return run_task(data)
    wanted = int(data.get("count", 1))
    units = _units(data.get("overrides", {}).get("cpu") or definition.get("cpu"))
    quota = applied("L-36FBB829" if capacity == "FARGATE_SPOT" else "L-3032A538")
    fitting = min(wanted, int((quota * 1024 - _used(capacity)) // units)) if units else wanted
    if fitting == wanted:
        return run_task(data)
    started = run_task(data | {"count": fitting}) if fitting > 0 else json_response({"tasks": [], "failures": []})
    return _with_failures(started, wanted - max(fitting, 0))


def _capacity(data: dict[str, Any], cluster: dict[str, Any]) -> str | None:
    """Return FARGATE or FARGATE_SPOT, None for tasks elsewhere."""
    launch_type, strategy, error = ecs._launch_choice(data, cluster)
    if error:
        return None
    launch_type, provider = ecs._task_capacity(launch_type, strategy)
    return provider or launch_type if launch_type == "FARGATE" else None


def _used(capacity: str) -> int:
    tasks = [task for task in ecs._tasks.values() if task["lastStatus"] != "STOPPED"]
    return sum(
        _units(task.get("cpu"))
        for task in tasks
        if task.get("launchType") == "FARGATE" and (task.get("capacityProviderName") or "FARGATE") == capacity
    )


def _units(cpu: Any) -> int:
    """CPU units of a task: 1,024 are a vCPU."""
    text = str(cpu or 0).lower().strip()
    return int(float(text.removesuffix("vcpu")) * 1024) if text.endswith("vcpu") else int(text)


def _with_failures(response: Response, count: int) -> Response:
    failures = json.loads(response[2]).get("failures", []) if response[0] < 400 else []
    return with_members(response, {"failures": failures + [{"reason": _VCPU_REASON}] * count})


_LIMITS = (
    _Limit(
        "AWS::EC2::EIP",
        "AllocateAddress",
        "L-0263D0A3",
        lambda _subnet: len(ec2._addresses),
        "AddressLimitExceeded",
        "The maximum number of addresses has been reached.",
    ),
    _Limit(
        "AWS::EC2::VPC",
        "CreateVpc",
        "L-F678F1CE",
        lambda _subnet: len(ec2._vpcs),
        "VpcLimitExceeded",
        "The maximum number of VPCs has been reached.",
    ),
    _Limit(
        "AWS::EC2::InternetGateway",
        "CreateInternetGateway",
        "L-A4707A72",
        lambda _subnet: len(ec2._internet_gateways),
        "InternetGatewayLimitExceeded",
        "The maximum number of internet gateways has been reached.",
    ),
    _Limit(
        "AWS::EC2::NatGateway",
        "CreateNatGateway",
        "L-FE5A380F",
        _gateways_beside,
        "NatGatewayLimitExceeded",
        "The maximum number of NAT gateways has been reached.",
    ),
    _Limit(
        "AWS::ElasticLoadBalancingV2::LoadBalancer",
        "CreateLoadBalancer",
        "L-53DA6B97",
        lambda _subnet: len(alb._lbs),
        "TooManyLoadBalancers",
        "You have reached the maximum number of load balancers",
    ),
)

_GAP = "quotas can be exceeded"

PATCHES = (
    *(
        around(
            f"services.{name}._ACTION_MAP[{limit.action}]",
            partial(_counted, limit, service._error),
            _GAP,
        )
        for limit in _LIMITS
        for name, service in [("alb", alb) if limit.action in alb._ACTION_MAP else ("ec2", ec2)]
    ),
    around("services.ecs._run_task", _run_task, _GAP),
)
