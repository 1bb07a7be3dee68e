"""ECS capacity and Application Auto Scaling resource types CloudFormation lacks in MiniStack (gap 1).

MiniStack has no Application Auto Scaling service: targets and policies are recorded in `recorded`. A target keeps its
service in its range; policies change nothing.
"""

import uuid

from ministack.core.responses import get_account_id, get_region
from ministack.services import ecs

from outpost_local.extensions.cloudformation.handlers import (
    Created,
    Properties,
    add_type,
    camel_case,
    checked,
    generated_name,
)
from outpost_local.extensions.ecs.service_capacity import keep_in_range

recorded: dict[str, Properties] = {}
"""Scalable targets and scaling policies by physical id."""


def install() -> None:
    """Register the types."""
    add_type(
        "AWS::ApplicationAutoScaling::ScalableTarget",
        create=_record_target,
        delete=_forget,
        update=lambda _id, _old, new, stack, logical_id: _record_target(logical_id, new, stack),
    )
    add_type(
        "AWS::ApplicationAutoScaling::ScalingPolicy",
        create=_record_policy,
        delete=_forget,
        update=_update_policy,
    )
    add_type(
        "AWS::ECS::ClusterCapacityProviderAssociations",
        create=_associate_providers,
        delete=_dissociate_providers,
        update=lambda _id, _old, new, stack, logical_id: _associate_providers(logical_id, new, stack),
    )


def _record_target(_logical_id: str, props: Properties, _stack: str) -> Created:
    physical_id = "|".join(str(props[key]) for key in ("ResourceId", "ScalableDimension", "ServiceNamespace"))
    recorded[physical_id] = props
    keep_in_range(props)
    return physical_id, {"Id": physical_id}


def _record_policy(logical_id: str, props: Properties, stack: str) -> Created:
    name = props.get("PolicyName") or generated_name(stack, logical_id)
    arn = f"arn:aws:autoscaling:{get_region()}:{get_account_id()}:scalingPolicy:{uuid.uuid4()}:policyName/{name}"
    recorded[arn] = props
    return arn, {"Arn": arn}


def _update_policy(physical_id: str, _old: Properties, new: Properties, _stack: str, _logical_id: str) -> Created:
    recorded[physical_id] = new
    return physical_id, {"Arn": physical_id}


def _forget(physical_id: str, _props: Properties) -> None:
    recorded.pop(physical_id, None)


def _associate_providers(_logical_id: str, props: Properties, _stack: str) -> Created:
    request = {
        "cluster": props["Cluster"],
        "capacityProviders": props.get("CapacityProviders", []),
        "defaultCapacityProviderStrategy": camel_case(props.get("DefaultCapacityProviderStrategy") or []),
    }
    checked(ecs._put_cluster_capacity_providers(request))
    return str(props["Cluster"]), {}


def _dissociate_providers(physical_id: str, _props: Properties) -> None:
    if ecs._resolve_cluster_name(physical_id) in ecs._clusters:
        checked(ecs._put_cluster_capacity_providers({"cluster": physical_id}))
