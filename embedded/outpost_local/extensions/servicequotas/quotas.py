"""The account's quotas, readable through Service Quotas; MiniStack lacks the service and limits nothing.

`realism.new_account` chooses between what AWS gives an account on its first day and what an established one was granted
on request. Sources: AWS General Reference, "Amazon ECS endpoints and quotas" (Fargate: 6 vCPU), "Lambda" (new accounts
have reduced concurrency, 10 as seen in many), "Amazon VPC quotas", "Quotas for your Application Load Balancers".

What would exceed a quota is refused, by the services and by CloudFormation, with the service's own error.

Sources: EC2 API Reference, "Error codes" (AddressLimitExceeded, VpcLimitExceeded, InternetGatewayLimitExceeded,
NatGatewayLimitExceeded, RulesPerSecurityGroupLimitExceeded); ELB API Reference, CreateLoadBalancer
(TooManyLoadBalancers); ECS Developer Guide, "Service event messages" (vCPUs): RunTask returns the reason in `failures`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from ministack.core.responses import error_response_json, get_account_id, get_region, json_response
from ministack.services import alb, ec2, ecs

from outpost_local.extensions.cloudformation.handlers import Properties, revised
from outpost_local.extensions.patch import Patch, around
from outpost_local.extensions.serving import Action, new_service
from outpost_local.settings import Settings

AFTER = ("cloudformation.document_limits", "ecs.late_tasks")


@dataclass(frozen=True)
class Quota:
    """One quota: its codes and name as Service Quotas has them, and its value in three cases."""

    service: str
    code: str
    name: str
    default: float
    """What GetAWSDefaultServiceQuota returns."""
    new: float
    """Applied to an account on its first day."""
    established: float
    """Applied to an account that asked for more."""


QUOTAS = (
    Quota("ec2", "L-0263D0A3", "EC2-VPC Elastic IPs", 5, 5, 100),
    Quota("elasticloadbalancing", "L-53DA6B97", "Application Load Balancers per Region", 50, 50, 100),
    Quota("fargate", "L-3032A538", "Fargate On-Demand vCPU resource count", 6, 6, 4000),
    Quota("fargate", "L-36FBB829", "Fargate Spot vCPU resource count", 6, 6, 4000),
    Quota("lambda", "L-B99A9384", "Concurrent executions", 1000, 10, 1000),
    Quota("vpc", "L-0EA8095F", "Inbound or outbound rules per security group", 60, 60, 60),
    Quota("vpc", "L-A4707A72", "Internet gateways per Region", 5, 5, 100),
    Quota("vpc", "L-F678F1CE", "VPCs per Region", 5, 5, 100),
    Quota("vpc", "L-FE5A380F", "NAT gateways per Availability Zone", 5, 5, 100),
)
_BY_CODE = {quota.code: quota for quota in QUOTAS}
_applied: dict[str, float] = {}
"""The values of this account, by code."""


def _list(request: dict[str, Any], *, default: bool = False) -> Any:
    service, code = request.get("ServiceCode"), request.get("QuotaCode")
    found = [quota for quota in QUOTAS if quota.service == service and code in {None, quota.code}]
    return json_response({"Quotas": [_shown(quota, default=default) for quota in found]})


def _get(request: dict[str, Any], *, default: bool = False) -> Any:
    service, code = request.get("ServiceCode"), request.get("QuotaCode")
    quota = _BY_CODE.get(str(code))
    if quota is None or quota.service != service:
        return error_response_json("NoSuchResourceException", f"no quota {code} of {service} here", 400)
    return json_response({"Quota": _shown(quota, default=default)})


def _shown(quota: Quota, *, default: bool) -> dict[str, Any]:
    return {
        "ServiceCode": quota.service,
        "QuotaCode": quota.code,
        "QuotaName": quota.name,
        "QuotaArn": f"arn:aws:servicequotas:{get_region()}:{get_account_id()}:{quota.service}/{quota.code}",
        "Value": quota.default if default else _applied[quota.code],
        "Unit": "None",
        "Adjustable": True,
        "GlobalQuota": False,
    }


def patches(settings: Settings) -> tuple[Patch, ...]:
    """Apply the quotas of a new or an established account, and serve the calls that read them."""
    new = settings.realism.new_account
    _applied.update({quota.code: quota.new if new else quota.established for quota in QUOTAS})
    actions: dict[str, Action] = {
        "ListServiceQuotas": _list,
        "ListAWSDefaultServiceQuotas": partial(_list, default=True),
        "GetServiceQuota": _get,
        "GetAWSDefaultServiceQuota": partial(_get, default=True),
    }
    return new_service("servicequotas", "ServiceQuotasV20190624.", actions, "there are no quotas")


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
        if limit.kind == kind and limit.count(str(props.get("SubnetId", ""))) >= _applied[limit.quota]:
            raise ValueError(f"{limit.message} (Status Code: 400, Error Code: {limit.code})")


def refuse_rules(kind: str, _logical_id: str, props: Properties) -> None:
    """Raise ValueError for a security group with too many rules in a direction."""
    lists = [props.get("SecurityGroupIngress"), props.get("SecurityGroupEgress")]
    if kind == "AWS::EC2::SecurityGroup" and max(len(rules or ()) for rules in lists) > _applied[_RULES]:
        raise ValueError("The maximum number of rules per security group has been reached.")


def _counted(limit: _Limit, refuse: Callable[[str, str, int], Any], call: Callable[..., Any], params: Any) -> Any:
    if limit.count(params.get("SubnetId", [""])[0]) >= _applied[limit.quota]:
        return refuse(limit.code, limit.message, 400)
    return call(params)


def _run_task(run_task: Callable[[dict[str, Any]], Any], data: dict[str, Any]) -> Any:
    definition = ecs._task_defs.get(ecs._resolve_td_key(data.get("taskDefinition", "")))
    cluster = ecs._clusters.get(ecs._resolve_cluster_name(data.get("cluster", "default")), {})
    if definition is None or (capacity := _capacity(data, cluster)) is None:
        return run_task(data)
    wanted = int(data.get("count", 1))
    units = _units(data.get("overrides", {}).get("cpu") or definition.get("cpu"))
    quota = _applied["L-36FBB829" if capacity == "FARGATE_SPOT" else "L-3032A538"]
    fitting = min(wanted, int((quota * 1024 - _used(capacity)) // units)) if units else wanted
    if fitting == wanted:
        return run_task(data)
    started = run_task(data | {"count": fitting}) if fitting > 0 else json_response({"tasks": [], "failures": []})
    failures = [{"reason": _VCPU_REASON}] * (wanted - max(fitting, 0))
    return revised(started, lambda found: found | {"failures": found.get("failures", []) + failures})


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


def _of_ec2(kind: str, action: str, quota: str, count: Callable[[str], int], code: str, what: str) -> _Limit:
    message = f"The maximum number of {what} has been reached."
    return _Limit(f"AWS::EC2::{kind}", action, quota, count, f"{code}LimitExceeded", message)


_LIMITS = (
    _of_ec2("EIP", "AllocateAddress", "L-0263D0A3", lambda _: len(ec2._addresses), "Address", "addresses"),
    _of_ec2("VPC", "CreateVpc", "L-F678F1CE", lambda _: len(ec2._vpcs), "Vpc", "VPCs"),
    _of_ec2(
        "InternetGateway",
        "CreateInternetGateway",
        "L-A4707A72",
        lambda _: len(ec2._internet_gateways),
        "InternetGateway",
        "internet gateways",
    ),
    _of_ec2("NatGateway", "CreateNatGateway", "L-FE5A380F", _gateways_beside, "NatGateway", "NAT gateways"),
    _Limit(
        "AWS::ElasticLoadBalancingV2::LoadBalancer",
        "CreateLoadBalancer",
        "L-53DA6B97",
        lambda _: len(alb._lbs),
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
