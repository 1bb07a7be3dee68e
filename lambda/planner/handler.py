"""The planner's Lambda: invoked at changes of dispatches (fast) and on a schedule (sure); one at a time."""

import os
import time
from datetime import timedelta
from functools import cache
from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext
from pydantic import TypeAdapter

from outpost.domain.agents import Agent
from outpost.domain.ids import now
from outpost.fleet.metrics import emit
from outpost.fleet.store import Store
from outpost.names import Env, Metric
from outpost.store.planner_lock import PlannerLock
from planner.demand import Demand
from planner.launcher import Launcher
from planner.planner import Planner

logger = Logger(service="planner")

RESERVE = timedelta(seconds=15)
"""What one slow round may take beyond the time at which the last one begins."""

_REVISIONS = TypeAdapter(dict[Agent, int])


@cache
def _planner() -> Planner:
    store = Store.from_environment()
    return Planner(
        agents=store.agents,
        demand=Demand(store.rows.live, store.tenants, store.slots, now),
        workers=store.workers,
        launches=store.launches,
        lock=PlannerLock(store.database, now),
        launcher=Launcher.from_environment(store.agents, store.workers, store.launches),
        now=now,
        sleep=time.sleep,
        revisions=_REVISIONS.validate_json(os.environ[Env.REVISIONS]),
    )


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> None:
    """Plan and launch, whatever has changed: the rows say what. `figures` of the event are metrics to emit."""
    for metric, value, dimensions in event.get("figures", ()):
        emit(Metric(metric), value, **dimensions)
    left = timedelta(milliseconds=context.get_remaining_time_in_millis())
    _planner().work(context.aws_request_id, now() + left - RESERVE)
    if "figures" not in event:
        _planner().emit_backlog()
