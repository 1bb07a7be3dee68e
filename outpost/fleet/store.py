"""The one place where functions and services are connected to the tables, the bucket and the queues."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from botocore.config import Config

from outpost.domain.agents import Agent, AgentSettings
from outpost.fleet.agent_settings import load_agents
from outpost.fleet.recovery import Recovery
from outpost.fleet.wakeups import Wakeups
from outpost.fleet.worker_termination import WorkerTermination
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


@dataclass(frozen=True)
class Store:
    """What is stored, and what is done with it. Each part is connected when it is first used.

    So reading dispatches needs no queues, and a function needs the variables of what it uses only.
    """

    database: Database
    config: Config | None = None
    """Of clients of other services than DynamoDB and SQS."""

    @classmethod
    def from_environment(cls, database: Config | None = None, config: Config | None = None) -> "Store":
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
        return Artifacts.from_environment(self.config)

    @cached_property
    def rows(self) -> DispatchRows:
        """The dispatches, to be read only."""
        return DispatchRows(self.database)

    @cached_property
    def dispatches(self) -> Dispatches:
        """The dispatches, whose writes wake workers."""
        return Dispatches(self.database, self.wakeups)

    @cached_property
    def workers(self) -> Workers:
        """The workers."""
        return Workers(self.database)

    @cached_property
    def slots(self) -> TenantSlots:
        """The tenants' slots."""
        return TenantSlots(self.database)

    @cached_property
    def claimer(self) -> Claimer:
        """What gives dispatches to workers."""
        return Claimer(self.database, self.dispatches)

    @cached_property
    def launches(self) -> Launches:
        """Launches that are intended, and those that failed."""
        return Launches(self.database)

    @cached_property
    def tenants(self) -> Tenants:
        """The tenants."""
        return Tenants(self.database)

    @cached_property
    def workspaces(self) -> Workspaces:
        """The persistent workspaces."""
        return Workspaces(self.database)

    @cached_property
    def usage(self) -> UsageCounters:
        """Counters of what dispatches used."""
        return UsageCounters(self.database)

    @cached_property
    def budgets(self) -> Budgets:
        """The monthly budgets, with the limits of the environment."""
        return Budgets(self.database, self.dispatches, MonthlyLimits.from_environment())

    @cached_property
    def recovery(self) -> Recovery:
        """What closes the attempt of a worker that is gone."""
        return Recovery(self.dispatches, self.artifacts)

    @cached_property
    def termination(self) -> WorkerTermination:
        """What handles the end of workers."""
        return WorkerTermination(self.workers, self.dispatches, self.recovery, self.launches)
