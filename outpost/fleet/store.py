"""The one place where functions and services are connected to the tables, the bucket and the queues.

The control plane's image has it as well, and no library of functions.
"""

from collections.abc import Mapping
from functools import cached_property
from typing import Self

from botocore.config import Config

from outpost.domain.agents import Agent, AgentSettings
from outpost.fleet.agent_settings import load_agents
from outpost.fleet.recovery import Recovery
from outpost.fleet.wakeups import Wakeups
from outpost.store.artifacts import Artifacts
from outpost.store.budgets import Budgets, MonthlyLimits
from outpost.store.claims import Claimer
from outpost.store.database import Database
from outpost.store.dispatch_rows import DispatchRows
from outpost.store.dispatches import Dispatches
from outpost.store.launches import Launches
from outpost.store.slots import TenantSlots
from outpost.store.tenants import Tenants
from outpost.store.usage import UsageCounters
from outpost.store.workers import Workers
from outpost.store.workspaces import Workspaces


class Store:
    """What is stored, and what is done with it.

    The queues, the bucket and the agents' settings are reached when they are first used: reading dispatches needs none
    of them, and a function needs the variables of what it uses only.
    """

    def __init__(self, database: Database, config: Config | None = None) -> None:
        """`config` is of clients of other services than DynamoDB and SQS."""
        self._config = config
        self.database = database
        self.rows = DispatchRows(database)
        self.workers = Workers(database)
        self.slots = TenantSlots(database)
        self.launches = Launches(database)
        self.tenants = Tenants(database)
        self.workspaces = Workspaces(database)
        self.usage = UsageCounters(database)

    @classmethod
    def from_environment(cls, database: Config | None = None, config: Config | None = None) -> Self:
        """Connect as the environment says. Raises `KeyError` naming a variable that is missing."""
        return cls(Database.from_environment(database), config)

    @cached_property
    def agents(self) -> Mapping[Agent, AgentSettings]:
        """The settings of the enabled agents."""
        return load_agents()

    @cached_property
    def wakeups(self) -> Wakeups:
        """The agents' queues."""
        return Wakeups.from_environment(self.agents)

    @cached_property
    def artifacts(self) -> Artifacts:
        """The artifacts bucket."""
        return Artifacts.from_environment(self._config)

    @cached_property
    def dispatches(self) -> Dispatches:
        """The dispatches, whose writes wake workers."""
        return Dispatches(self.database, self.wakeups)

    @cached_property
    def claimer(self) -> Claimer:
        """What gives dispatches to workers."""
        return Claimer(self.database, self.dispatches)

    @cached_property
    def budgets(self) -> Budgets:
        """The monthly budgets, with the limits of the environment."""
        return Budgets(self.database, self.dispatches, MonthlyLimits.from_environment())

    @cached_property
    def recovery(self) -> Recovery:
        """What closes the attempt of a worker that is gone."""
        return Recovery(self.dispatches, self.artifacts)
