"""The reconciler's Lambda: started each minute, four passes 15 s apart, so that nothing stays broken for a minute."""

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from functools import cache
from typing import Any

import boto3
from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext
from botocore.config import Config

from outpost.domain.agents import Agent, AgentSettings, worker_family
from outpost.domain.ids import now
from outpost.fleet.store import Store
from outpost.fleet.worker_termination import WorkerTermination
from outpost.names import Env
from outpost.store.heartbeat_snapshot import HeartbeatSnapshot, TakenOverError
from reconciler.parts import Parts
from reconciler.probe import BrokerProbe
from reconciler.reconciler import Reconciler
from reconciler.silence import PERIOD
from reconciler.tasks import Tasks

logger = Logger(service="reconciler")

PASSES = 4
_ECS = Config(connect_timeout=2, read_timeout=5, retries={"mode": "standard", "total_max_attempts": 2})
"""ECS may take a pass's time at most: all that needs it is tried again in the next pass."""


@cache
def _parts() -> Parts:
    store = Store.from_environment()
    return Parts(
        agents=store.agents,
        dispatches=store.dispatches,
        workers=store.workers,
        recovery=store.recovery,
        termination=WorkerTermination(store.workers, store.dispatches, store.recovery, store.launches),
        launches=store.launches,
        snapshot=HeartbeatSnapshot(store.database),
        wakeups=store.wakeups,
        tasks=Tasks(boto3.client("ecs", config=_ECS), os.environ[Env.CLUSTER], _families(store.agents)),
        now=now,
        broker_responds=BrokerProbe.from_environment().responds,
    )


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
    Reconciler(parts, holder).start()
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
