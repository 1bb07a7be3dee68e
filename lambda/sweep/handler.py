"""The sweep's Lambda: started each minute, four passes 15 s apart, so that nothing stays broken for a minute."""

import time
from dataclasses import replace
from functools import cache
from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext

from outpost.domain.ids import now
from outpost.store.agent_settings import load_agents
from outpost.store.artifacts import Artifacts
from outpost.store.database import Database
from outpost.store.departures import Departures
from outpost.store.dispatches import Dispatches
from outpost.store.launches import Launches
from outpost.store.observations import Observations
from outpost.store.recovery import Recovery
from outpost.store.wakeups import Wakeups
from outpost.store.workers import Workers
from sweep.sweep import Sweep
from sweep.tasks import Tasks

logger = Logger(service="sweep")

PASSES = 4
PERIOD_SECONDS = 15.0


@cache
def _sweep() -> Sweep:
    database, agents = Database.from_environment(), load_agents()
    wakeups = Wakeups.from_environment(agents)
    dispatches, launches = Dispatches(database, wakeups), Launches(database)
    workers, recovery = Workers(database, dispatches), Recovery(dispatches, Artifacts.from_environment())
    return Sweep(
        agents=agents,
        dispatches=dispatches,
        workers=workers,
        recovery=recovery,
        departures=Departures(workers, dispatches, recovery, launches),
        launches=launches,
        observations=Observations(database),
        wakeups=wakeups,
        tasks=Tasks.from_environment(settings.family for settings in agents.values()),
        now=now,
    )


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> None:
    """Sweep. Raises what a pass could not heal: the next start tries again, and the alarm sees the error."""
    started = time.monotonic()
    for number in range(PASSES):
        time.sleep(max(0.0, started + number * PERIOD_SECONDS - time.monotonic()))
        sweep = _sweep()
        replace(sweep, tasks=sweep.tasks.afresh()).run()
