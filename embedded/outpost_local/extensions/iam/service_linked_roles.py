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
from ministack.services import alb, ecs, iam

from outpost_local.extensions.cloudformation import resource_checks
from outpost_local.extensions.cloudformation.handlers import Properties
from outpost_local.realism import Realism

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


def install(realism: Realism) -> None:
    """Give an established account its roles; in a new one, create them as the services do."""
    create = iam._create_service_linked_role

    def create_named(params: dict[str, Any]) -> Any:
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

    iam._IAM_HANDLERS["CreateServiceLinkedRole"] = create_named
    if not realism.new_account:
        for service in ROLES:
            _create(service)
        return
    resource_checks.before_create.append(_create_with_resource)
    for action in ("CreateCluster", "CreateService"):
        ecs._ACTION_MAP[action] = _racing(ecs._ACTION_MAP[action])
    alb._ACTION_MAP["CreateLoadBalancer"] = _creating(alb._ACTION_MAP["CreateLoadBalancer"])


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


def _create_with_resource(kind: str, _logical_id: str, _props: Properties) -> None:
    if kind in _MADE_WITH:
        _create(_MADE_WITH[kind])
    if kind in _RACING and _create("ecs.amazonaws.com"):
        action = f"Create{kind.rpartition('::')[2]}"
        raise ValueError(f"Invalid request provided: {action} Invalid Request: {_REFUSED}")


def _racing(call: Callable[..., Any]) -> Callable[..., Any]:
    def first_fails(data: dict[str, Any]) -> Any:
        if _create("ecs.amazonaws.com"):
            return error_response_json("InvalidParameterException", _REFUSED, 400)
        return call(data)

    return first_fails


def _creating(call: Callable[..., Any]) -> Callable[..., Any]:
    def creates(params: dict[str, Any]) -> Any:
        _create("elasticloadbalancing.amazonaws.com")
        return call(params)

    return creates
