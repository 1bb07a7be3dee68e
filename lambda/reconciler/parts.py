"""What the reconciler works with."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from outpost.domain.agents import Agent, AgentSettings
from outpost.fleet.recovery import Recovery
from outpost.fleet.wakeups import Wakeups
from outpost.fleet.worker_termination import WorkerTermination
from outpost.store.dispatches import Dispatches
from outpost.store.heartbeat_snapshot import HeartbeatSnapshot
from outpost.store.launches import Launches
from outpost.store.workers import Workers
from reconciler.tasks import Tasks


@dataclass(frozen=True)
class Parts:
    """The store, the cluster's tasks and a clock."""

    agents: Mapping[Agent, AgentSettings]
    dispatches: Dispatches
    workers: Workers
    recovery: Recovery
    termination: WorkerTermination
    launches: Launches
    snapshot: HeartbeatSnapshot
    wakeups: Wakeups
    tasks: Tasks
    now: Callable[[], datetime]
    broker_responds: Callable[[], bool]
    """Calls the broker as workers do; returns whether it responded."""
