"""Service-linked roles: an established account has those we need, a new one has none and its first cluster fails.

A service creates its role with the first resource. ECS assumes it at once, which IAM's delay often defeats: the first
CreateCluster (or CreateService) of an account fails, the second succeeds. With `realism.new_account` it always fails,
as the worst case. MiniStack knows no such roles and gives wrong names to those that are asked for. Sources: IAM User
Guide, "AWS services that work with IAM"; the "Using service-linked roles" page of each service;
cloudformation-coverage-roadmap#818; 1Password/scim-examples#356 (the race).
"""

from collections.abc import Callable
from typing import Any

from ministack.core.responses import error_response_json
from ministack.services import iam

from outpost_local.extensions.cloudformation.handlers import Properties
from outpost_local.extensions.patch import Patch, around
from outpost_local.settings import Settings

AFTER = ("servicequotas.quotas",)
_GAP = "no role is there for ECS"

ROLES = {
    "backup.amazonaws.com": "AWSServiceRoleForBackup",
    "ecs.amazonaws.com": "AWSServiceRoleForECS",
    "ecs.application-autoscaling.amazonaws.com": "AWSServiceRoleForApplicationAutoScaling_ECSService",
    "elasticfilesystem.amazonaws.com": "AWSServiceRoleForAmazonElasticFileSystem",
    "elasticloadbalancing.amazonaws.com": "AWSServiceRoleForElasticLoadBalancing",
    "spot.amazonaws.com": "AWSServiceRoleForEC2Spot",
    "wafv2.amazonaws.com": "AWSServiceRoleForWAFV2Logging",
}
"""The role of each service that we cause to need one."""

_MADE_WITH = {
    "AWS::ApplicationAutoScaling::ScalableTarget": "ecs.application-autoscaling.amazonaws.com",
    "AWS::Backup::BackupSelection": "backup.amazonaws.com",
    "AWS::EFS::FileSystem": "elasticfilesystem.amazonaws.com",
    "AWS::ElasticLoadBalancingV2::LoadBalancer": "elasticloadbalancing.amazonaws.com",
    "AWS::WAFv2::LoggingConfiguration": "wafv2.amazonaws.com",
}
_RACING = {"AWS::ECS::Cluster", "AWS::ECS::Service"}
_REFUSED = "Unable to assume the service linked role. Please verify that the ECS service linked role exists."


def patches(settings: Settings) -> tuple[Patch, ...]:
    """Give an established account its roles; in a new one, create them as the services do."""
    named = around("services.iam._IAM_HANDLERS[CreateServiceLinkedRole]", _create_named, _GAP)
    if not settings.realism.new_account:
        return named, Patch("services.iam._roles", _with_roles, _GAP)
    return (
        named,
        *(
            around(f"services.ecs._ACTION_MAP[{action}]", _first_fails, "the first cluster of an account succeeds")
            for action in ("CreateCluster", "CreateService")
        ),
        around("services.alb._ACTION_MAP[CreateLoadBalancer]", _create_load_balancer, _GAP),
    )


def _with_roles(roles: Any) -> Any:
    for service in ROLES:
        _create(service)
    return roles


def _create_named(create: Callable[..., Any], params: dict[str, Any]) -> Any:
    service = iam._p(params, "AWSServiceName")
    if service not in ROLES:
        return create(params)
    if ROLES[service] in iam._roles:
        taken = f"Service role name {ROLES[service]} has been taken in this account, please try a different suffix."
        return iam._error(400, "InvalidInput", taken, ns="iam")
    _create(service)
    role = iam._role_xml(ROLES[service])
    result = f"<CreateServiceLinkedRoleResult><Role>{role}</Role></CreateServiceLinkedRoleResult>"
    return iam._xml(200, "CreateServiceLinkedRoleResponse", result, ns="iam")


def _create(service: str) -> bool:
    """Create the role of the service; return whether it was missing."""
    name = ROLES[service]
    if name in iam._roles:
        return False
    iam._create_service_linked_role({"AWSServiceName": [service]})
    suffix = service.split(".", maxsplit=1)[0]
    record = iam._roles.pop(f"AWSServiceRoleFor{suffix.capitalize()}")
    record |= {"RoleName": name, "Arn": record["Arn"].rpartition("/")[0] + "/" + name}
    iam._roles[name] = record
    return True


def create_with_resource(kind: str, _logical_id: str, _props: Properties) -> None:
    """Create the role that a new account lacks for a resource; raises ValueError where ECS cannot use it yet."""
    if kind in _MADE_WITH:
        _create(_MADE_WITH[kind])
    if kind in _RACING and _create("ecs.amazonaws.com"):
        action = f"Create{kind.rpartition('::')[2]}"
        raise ValueError(f"Invalid request provided: {action} Invalid Request: {_REFUSED}")


def _first_fails(create: Callable[..., Any], data: dict[str, Any]) -> Any:
    if _create("ecs.amazonaws.com"):
        return error_response_json("InvalidParameterException", _REFUSED, 400)
    return create(data)


def _create_load_balancer(create: Callable[..., Any], params: dict[str, Any]) -> Any:
    _create("elasticloadbalancing.amazonaws.com")
    return create(params)
