"""The reconciler's Lambda: started each minute, four passes 15 s apart, so that nothing stays broken for a minute."""

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from functools import cache, partial
from typing import TYPE_CHECKING, Any

import boto3
from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from outpost.domain.agents import Agent, AgentSettings, worker_family
from outpost.domain.dispatch import Lease
from outpost.domain.ids import now
from outpost.domain.protocol import RenewRequest
from outpost.fleet.store import Store
from outpost.fleet.worker_termination import WorkerTermination
from outpost.names import Env
from outpost.store.heartbeat_snapshot import HeartbeatSnapshot, TakenOverError
from reconciler.progress import Parts
from reconciler.reconciler import Reconciler
from reconciler.silence import PERIOD
from reconciler.tasks import Tasks

if TYPE_CHECKING:
    from types_boto3_lambda.client import LambdaClient

logger = Logger(service="reconciler")

PASSES = 4
_ECS = Config(connect_timeout=2, read_timeout=5, retries={"mode": "standard", "total_max_attempts": 2})
"""ECS may take a pass's time at most: all that needs it is tried again in the next pass."""
_BROKER = Config(connect_timeout=1, read_timeout=3, retries={"total_max_attempts": 1})
"""As impatient as a heartbeat: a broker that is slower than this does not hear the workers in time either."""
_PROBE = RenewRequest(dispatch_id="probe", lease=Lease(worker_id="reconciler", token=0))
"""A heartbeat of nobody: the broker looks for the dispatch's row and refuses it."""


@cache
def _parts() -> Parts:
    store = Store.from_environment()
    return Parts(
        store=store,
        termination=WorkerTermination(store.workers, store.dispatches, store.recovery, store.launches),
        snapshot=HeartbeatSnapshot(store.database),
        tasks=Tasks(boto3.client("ecs", config=_ECS), os.environ[Env.CLUSTER], _families(store.agents)),
        now=now,
        broker_responds=partial(_responds, boto3.client("lambda", config=_BROKER), os.environ[Env.BROKER_FUNCTION]),
    )


def _responds(client: "LambdaClient", broker: str) -> bool:
    """Call the broker as workers do; return whether it handled the request."""
    try:
        response = client.invoke(FunctionName=broker, Payload=_PROBE.model_dump_json().encode())
    except (BotoCoreError, ClientError):
        logger.warning("the broker does not respond", exc_info=True)
        return False
    return "FunctionError" not in response


def _families(agents: Mapping[Agent, AgentSettings]) -> dict[Agent, str]:
    """Return the families of all agents: of one that is not configured any more, the one that it had."""
    former = {agent: worker_family(agent, os.environ[Env.ENVIRONMENT]) for agent in Agent}
    return former | {agent: settings.family for agent, settings in agents.items()}


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> None:
    """Reconcile. Raises what passes could not heal, after all of them: the alarm sees the error."""
    reconcile_for_a_minute(_parts(), context.aws_request_id, time.sleep)


def reconcile_for_a_minute(parts: Parts, holder: str, sleep: Callable[[float], None]) -> None:
    """Make four passes; none begins early, and each has time until the next. Raises `ExceptionGroup`."""
    started: datetime = parts.now()
    failures: list[Exception] = []
    parts.snapshot.take_over(holder)
    for number in range(PASSES):
        begins: timedelta = number * PERIOD - (parts.now() - started)
        sleep(max(0.0, begins.total_seconds()))
        reconciler = Reconciler(replace(parts, tasks=parts.tasks.unread()), holder)
        try:
            reconciler.run(started + (number + 1) * PERIOD)
        except TakenOverError:
            logger.info("a newer invocation has taken over")
            break
        except Exception as error:  # noqa: BLE001 - the later passes may succeed
            failures.append(error)
    if failures:
        raise ExceptionGroup("passes of the reconciler failed", failures)
