"""Pausing v2: nothing is launched, the service has no tasks and is not scaled up again."""

from collections.abc import Callable
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict

from outpost.names import MigrationOutput
from outpost_migration.context import Context

_DIMENSION = "ecs:service:DesiredCount"


class Before(BaseModel):
    """What the service was before it was paused."""

    model_config = ConfigDict(frozen=True)

    desired: int
    minimum: int | None


class Counts(NamedTuple):
    """Tasks of the service."""

    desired: int
    running: int


def before(context: Context) -> Before | None:
    """Return what was noted before the last pause."""
    found = context.documents.read(Before, _key(context))
    return found.value if found else None


def remember(context: Context, found: Before) -> None:
    """Note it for the time after the pause."""
    context.documents.replace(_key(context), found)


def _key(context: Context) -> str:
    return f"{context.folder}fleet-before-rollback.json"


def counts(context: Context) -> Counts:
    """Return how many tasks the service should have, and how many run."""
    deployment = context.deployment
    service = deployment.client("ecs").describe_services(
        cluster=deployment[MigrationOutput.CLUSTER], services=[deployment[MigrationOutput.SERVICE]]
    )["services"][0]
    return Counts(service["desiredCount"], service["runningCount"])


def target_states(context: Context) -> list[str]:
    """Return the states of the load balancer's targets, without those that drain: their tasks are on their way out."""
    targets = context.deployment.client("elbv2").describe_target_health(
        TargetGroupArn=context.deployment[MigrationOutput.TARGET_GROUP]
    )["TargetHealthDescriptions"]
    states = [str(target["TargetHealth"]["State"]) for target in targets]
    return [state for state in states if state != "draining"]


def minimum(context: Context) -> int | None:
    """Return the scaling minimum, None when the service is not scaled."""
    targets = context.deployment.client("application-autoscaling").describe_scalable_targets(
        ServiceNamespace="ecs", ResourceIds=[_resource(context)], ScalableDimension=_DIMENSION
    )["ScalableTargets"]
    return int(targets[0]["MinCapacity"]) if targets else None


def paused(context: Context) -> bool:
    """Return whether the planner is stopped."""
    response = context.deployment.client("lambda").get_function_concurrency(
        FunctionName=context.deployment[MigrationOutput.CAPACITY_FUNCTION]
    )
    return bool(response.get("ReservedConcurrentExecutions") == 0)


def pause(context: Context) -> None:
    """Stop the planner, then the scaling, then the service's tasks; what is stopped stays so."""
    deployment = context.deployment
    deployment.client("lambda").put_function_concurrency(
        FunctionName=deployment[MigrationOutput.CAPACITY_FUNCTION], ReservedConcurrentExecutions=0
    )
    _set_minimum(context, 0)
    _set_desired(context, 0)


def resume(context: Context, *, desired: int, minimum: int) -> None:
    """Undo `pause`, and wait until the service's tasks run and get requests."""
    _set_minimum(context, minimum)
    _set_desired(context, desired)
    context.deployment.client("lambda").delete_function_concurrency(
        FunctionName=context.deployment[MigrationOutput.CAPACITY_FUNCTION]
    )
    if wait_for(context, desired):
        _wait(context, lambda: (found := target_states(context)).count("healthy") == len(found) >= desired)


def wait_for(context: Context, running: int, attempts: int = 300) -> bool:
    """Wait until that many tasks run; return whether they do."""
    return _wait(context, lambda: counts(context).running == running, attempts)


def _wait(context: Context, holds: Callable[[], bool], attempts: int = 300) -> bool:
    """Look once a second until it holds; return whether it does."""
    for _ in range(attempts):
        if holds():
            return True
        context.sleep(1)
    return False


def _set_minimum(context: Context, minimum: int) -> None:
    context.deployment.client("application-autoscaling").register_scalable_target(
        ServiceNamespace="ecs",
        ResourceId=_resource(context),
        ScalableDimension=_DIMENSION,
        MinCapacity=minimum,
    )


def _set_desired(context: Context, desired: int) -> None:
    deployment = context.deployment
    deployment.client("ecs").update_service(
        cluster=deployment[MigrationOutput.CLUSTER],
        service=deployment[MigrationOutput.SERVICE],
        desiredCount=desired,
    )


def _resource(context: Context) -> str:
    return f"service/{context.deployment[MigrationOutput.CLUSTER]}/{context.deployment[MigrationOutput.SERVICE]}"
