"""The control plane's service and the planner: what they are, pausing them, and resuming them."""

from collections.abc import Callable
from typing import Any

from outpost.names import MigrationOutput
from outpost_migration.context import Context
from outpost_migration.monitor.documents import Frozen

_DIMENSION = "ecs:service:DesiredCount"


class Before(Frozen):
    """What the service was before it was paused."""

    desired: int
    minimum: int | None


def before(context: Context) -> Before | None:
    """Return what was noted before the last pause."""
    return context.documents.value(Before, _key(context))


def remember(context: Context) -> Before:
    """Note what the service is, to resume it; after a pause that was cut off, what its first attempt noted stays."""
    stored = before(context)
    if stored and paused(context):
        return stored
    found = Before(desired=service(context)["desiredCount"], minimum=_minimum(context))
    if not context.dry_run:
        context.documents.replace(_key(context), found)
    return found


def _key(context: Context) -> str:
    return f"{context.folder}fleet-before-rollback.json"


def service(context: Context) -> Any:
    """Return the service as ECS describes it."""
    cluster, name = _names(context)
    return context.deployment.client("ecs").describe_services(cluster=cluster, services=[name])["services"][0]


def target_states(context: Context) -> list[str]:
    """Return the states of the load balancer's targets, without those that drain: their tasks are being stopped."""
    targets = context.deployment.client("elbv2").describe_target_health(
        TargetGroupArn=context.deployment[MigrationOutput.TARGET_GROUP]
    )["TargetHealthDescriptions"]
    states = [str(target["TargetHealth"]["State"]) for target in targets]
    return [state for state in states if state != "draining"]


def _minimum(context: Context) -> int | None:
    """Return the scaling minimum, None when the service is not scaled."""
    targets = context.deployment.client("application-autoscaling").describe_scalable_targets(
        ServiceNamespace="ecs", ResourceIds=[_resource(context)], ScalableDimension=_DIMENSION
    )["ScalableTargets"]
    return int(targets[0]["MinCapacity"]) if targets else None


def paused(context: Context) -> bool:
    """Return whether the planner is stopped."""
    response = context.deployment.client("lambda").get_function_concurrency(FunctionName=_planner(context))
    return bool(response.get("ReservedConcurrentExecutions") == 0)


def pause(context: Context) -> None:
    """Stop the planner, then the scaling, then the service's tasks; what is stopped stays so."""
    functions = context.deployment.client("lambda")
    functions.put_function_concurrency(FunctionName=_planner(context), ReservedConcurrentExecutions=0)
    _scale(context, desired=0, minimum=0)


def resume(context: Context, *, desired: int, minimum: int) -> None:
    """Undo `pause`, and wait until the service's tasks run and get requests."""
    _scale(context, desired=desired, minimum=minimum)
    context.deployment.client("lambda").delete_function_concurrency(FunctionName=_planner(context))
    if wait_for(context, desired):
        _wait(context, lambda: (found := target_states(context)).count("healthy") == len(found) >= desired)


def wait_for(context: Context, running: int) -> bool:
    """Wait for at most 300 s until that many tasks run; return whether they do."""
    return _wait(context, lambda: bool(service(context)["runningCount"] == running))


def _wait(context: Context, holds: Callable[[], bool]) -> bool:
    for _ in range(300):
        if holds():
            return True
        context.sleep(1)
    return False


def _scale(context: Context, *, desired: int, minimum: int) -> None:
    context.deployment.client("application-autoscaling").register_scalable_target(
        ServiceNamespace="ecs", ResourceId=_resource(context), ScalableDimension=_DIMENSION, MinCapacity=minimum
    )
    cluster, name = _names(context)
    context.deployment.client("ecs").update_service(cluster=cluster, service=name, desiredCount=desired)


def _planner(context: Context) -> str:
    return context.deployment[MigrationOutput.CAPACITY_FUNCTION]


def _names(context: Context) -> tuple[str, str]:
    """Return the names of cluster and service."""
    return context.deployment[MigrationOutput.CLUSTER], context.deployment[MigrationOutput.SERVICE]


def _resource(context: Context) -> str:
    return "/".join(("service", *_names(context)))
