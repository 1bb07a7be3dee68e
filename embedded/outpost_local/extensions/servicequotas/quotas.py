"""The account's quotas, readable through Service Quotas; MiniStack lacks the service and limits nothing.

`realism.new_account` chooses between what AWS gives an account on its first day and what an established one was granted
on request. Sources: AWS General Reference, "Amazon ECS endpoints and quotas" (Fargate: 6 vCPU), "Lambda" (new accounts
have reduced concurrency, 10 as seen in many), "Amazon VPC quotas", "Quotas for your Application Load Balancers".
"""

from dataclasses import dataclass
from functools import partial
from typing import Any

from ministack.core.responses import error_response_json, get_account_id, get_region, json_response

from outpost_local.extensions.patch import Patch
from outpost_local.extensions.serving import Action, new_service
from outpost_local.settings import Settings


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


def applied(code: str) -> float:
    """Return the value of a quota in this account."""
    return _applied[code]


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
        "Value": quota.default if default else applied(quota.code),
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
