"""ECS says that a task stopped: the worker's row ends, and the dispatch that it held is closed within seconds."""

from functools import cache
from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext

from outpost.domain.agents import Agent
from outpost.domain.diagnosis import TaskStop, diagnose
from outpost.domain.ids import now
from outpost.fleet.store import Store
from outpost.fleet.worker_termination import WorkerTermination

logger = Logger(service="task_events")


@cache
def _termination() -> WorkerTermination:
    store = Store.from_environment()
    return WorkerTermination(store.workers, store.dispatches, store.recovery, store.launches)


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> None:
    """Handle one "ECS Task State Change" event. Errors surface: EventBridge tries again, then keeps the event."""
    task = event["detail"]
    stop = TaskStop.of(task)
    worker_id = task["taskArn"].rpartition("/")[2]
    family = task["taskDefinitionArn"].rpartition("/")[2].partition(":")[0]
    # Of all agents, as one may have been disabled since its worker was launched.
    agent = next((agent for agent in Agent if family.endswith(f"-{agent}")), None)
    logger.info("task stopped", extra={"worker": worker_id, "stop": stop, "reason": diagnose(stop).code})
    if agent is not None:  # else it is no worker's task, such as the control plane's
        _termination().handle(agent, worker_id, stop, now())
