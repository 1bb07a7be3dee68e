"""Application Auto Scaling, which MiniStack lacks, and how many tasks a service has by its template and its range.

Scalable targets and policies are recorded; targets can be read and changed. Nothing scales, but a service is kept in
its range: RegisterScalableTarget "changes the resource's current capacity to a value that is inside of this range"
(Application Auto Scaling API Reference).

CloudFormation sends the template's DesiredCount with every update of a service, whatever scaling made of it meanwhile
(aws/containers-roadmap#493); without one it keeps the count. MiniStack sends it when the template's value changed only.
"""

import uuid
from collections.abc import Callable
from typing import Any

from ministack.core.responses import error_response_json, get_account_id, get_region, json_response
from ministack.services import ecs
from ministack.services.cloudformation import provisioners

from outpost_local.extensions.cloudformation.handlers import (
    Created,
    Properties,
    checked,
    handler,
    new_type,
)
from outpost_local.extensions.patch import around
from outpost_local.extensions.serving import new_service

_recorded: dict[str, Properties] = {}
"""Scalable targets and scaling policies by physical id."""
_PLACE = ("ResourceId", "ScalableDimension", "ServiceNamespace")
"""What identifies a scalable target, in the order of its physical id."""


def _record_target(_logical_id: str, props: Properties, _stack: str) -> Created:
    physical_id = "|".join(str(props[key]) for key in _PLACE)
    _recorded[physical_id] = props
    _keep_in_range(props)
    return physical_id, {"Id": physical_id}


def _record_policy(logical_id: str, props: Properties, stack: str) -> Created:
    name = props.get("PolicyName") or provisioners._physical_name(stack, logical_id)
    arn = f"arn:aws:autoscaling:{get_region()}:{get_account_id()}:scalingPolicy:{uuid.uuid4()}:policyName/{name}"
    _recorded[arn] = props
    return arn, {"Arn": arn}


def _update_policy(physical_id: str, _old: Properties, new: Properties, _stack: str, _logical_id: str) -> Created:
    _recorded[physical_id] = new
    return physical_id, {"Arn": physical_id}


def _forget(physical_id: str, _props: Properties) -> None:
    _recorded.pop(physical_id, None)


def _associate_providers(_logical_id: str, props: Properties, _stack: str) -> Created:
    request = {
        "cluster": props["Cluster"],
        "capacityProviders": props.get("CapacityProviders", []),
        "defaultCapacityProviderStrategy": provisioners._pascal_to_camel(
            props.get("DefaultCapacityProviderStrategy") or []
        ),
    }
    checked(ecs._put_cluster_capacity_providers(request))
    return str(props["Cluster"]), {}


def _dissociate_providers(physical_id: str, _props: Properties) -> None:
    if ecs._resolve_cluster_name(physical_id) in ecs._clusters:
        checked(ecs._put_cluster_capacity_providers({"cluster": physical_id}))


def _describe_targets(request: dict[str, Any]) -> Any:
    wanted = request.get("ResourceIds")
    targets = [
        {
            **{name: target[name] for name in _PLACE},
            "MinCapacity": int(target["MinCapacity"]),
            "MaxCapacity": int(target["MaxCapacity"]),
            "RoleARN": str(target.get("RoleARN", "")),
            "CreationTime": 0,
        }
        for target in _recorded.values()
        if "MinCapacity" in target and (not wanted or target["ResourceId"] in wanted)
    ]
    return json_response({"ScalableTargets": targets})


def _register_target(request: dict[str, Any]) -> Any:
    key = "|".join(request[name] for name in _PLACE)
    known = _recorded.get(key)
    if known is None and not {"MinCapacity", "MaxCapacity"} <= set(request):
        return error_response_json("ValidationException", "MinCapacity and MaxCapacity are needed", 400)
    _recorded[key] = {**(known or {}), **request}
    _keep_in_range(_recorded[key])
    return json_response({})


def _keep_in_range(target: Properties) -> None:
    """Change the count of a scalable target's service to the nearest one in its range; nothing for other resources."""
    _, _, place = str(target["ResourceId"]).partition("service/")
    service = ecs._services.get(place)
    if service is None or service["status"] != "ACTIVE":
        return
    count = min(max(service["desiredCount"], int(target["MinCapacity"])), int(target["MaxCapacity"]))
    if count != service["desiredCount"]:
        cluster, _, name = place.partition("/")
        _set_count(cluster, name, count)


def _update_service(update: Callable[..., Created], arn: str, old: Properties, new: Properties, *rest: Any) -> Created:
    updated = update(arn, old, new, *rest)
    if "DesiredCount" in new:
        _, cluster, service = updated[0].rsplit("/", 2)
        _set_count(cluster, service, int(new["DesiredCount"]))
    return updated


def _set_count(cluster: str, service: str, count: int) -> None:
    checked(ecs._update_service({"cluster": cluster, "service": service, "desiredCount": count}))


PATCHES = (
    new_type("AWS::ApplicationAutoScaling::ScalableTarget", create=_record_target, delete=_forget),
    new_type(
        "AWS::ApplicationAutoScaling::ScalingPolicy", create=_record_policy, delete=_forget, update=_update_policy
    ),
    new_type(
        "AWS::ECS::ClusterCapacityProviderAssociations",
        create=_associate_providers,
        delete=_dissociate_providers,
    ),
    *new_service(
        "application-autoscaling",
        "AnyScaleFrontendService.",
        {"DescribeScalableTargets": _describe_targets, "RegisterScalableTarget": _register_target},
        "Application Auto Scaling is not served",
    ),
    around(
        handler("AWS::ECS::Service", "update"), _update_service, "a service's update skips an unchanged DesiredCount"
    ),
)
