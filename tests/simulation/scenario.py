"""What is asked of the simulated environment: tenants, agents, dispatches and what their agents will do."""

import random
from dataclasses import dataclass, field, replace

from outpost.domain.agents import Agent, AgentSettings
from tests.launched import TASK_ROLE
from tests.simulation.interpreter import AGENTS
from tests.simulation.workers import Script


@dataclass(frozen=True)
class Order:
    """One dispatch that a client wants, and how it behaves."""

    number: int
    tenant: str
    agent: Agent
    at: float
    retryable: bool
    script: Script
    cancel_after: float | None
    """Seconds from its acceptance to the wish to cancel; None: never."""
    repeats: int
    """Requests with the same idempotency key, at the same time."""
    queue_timeout: int
    in_workspace: bool
    timeout: int
    max_cost: float | None = None
    """US dollars that its model calls may cost."""

    @property
    def label(self) -> str:
        return f"dispatch {self.number}"


@dataclass(frozen=True)
class Suspension:
    """A tenant that the operator suspends for some seconds."""

    tenant: str
    at: float
    seconds: float


@dataclass(frozen=True)
class Scenario:
    """All that is asked for."""

    tenants: dict[str, int]
    """Concurrent dispatches that each may have."""
    daily: dict[str, int]
    """Dispatches of a day that each may have."""
    agents: dict[Agent, AgentSettings]
    orders: list[Order]
    suspension: Suspension | None = None
    budgets: dict[str, float | None] = field(default_factory=dict)
    """US dollars that each tenant's model calls of a month may cost; None: any."""
    budget: float | None = None
    """The same, of all tenants together."""

    def order(self, number: int) -> Order:
        return next(order for order in self.orders if order.number == number)


def make_scenario(seed: int, without: frozenset[str] = frozenset()) -> Scenario:
    """Draw a scenario; dispatches named in `without` are left out."""
    draw = random.Random(f"scenario/{seed}")
    tenants = {f"tenant-{n}": draw.choice((1, 1, 2, 3)) for n in range(draw.choice((1, 2, 2, 3)))}
    names = AGENTS[: draw.choice((1, 1, 1, 2))]
    agents = {
        agent: AgentSettings(
            queue_url=f"https://sqs/{agent}",
            family=f"outpost-{agent}",
            task_role_arn=TASK_ROLE,
            warm=draw.choice((0, 0, 0, 1, 2)),
            limit=draw.choice((2, 3, 4, 10)),
            spot_share=draw.choice((0, 50)),
        )
        for agent in names
    }
    burst = draw.random() < 0.5
    orders = [_order(draw, number, list(tenants), names, burst) for number in range(1, draw.choice((2, 3, 4, 5)) + 1)]
    daily = {tenant: draw.choice((1, 2, 1_000, 1_000, 1_000)) for tenant in tenants}
    limited = random.Random(f"limits/{seed}")
    suspension = _suspension(limited, list(tenants))
    budgets = {tenant: limited.choice((None, None, 2.0, 5.0)) for tenant in tenants}
    orders = [replace(order, max_cost=limited.choice((None, None, 0.7, 3.0))) for order in orders]
    kept = [order for order in orders if order.label not in without]
    return Scenario(tenants, daily, agents, kept, suspension, budgets, limited.choice((None, None, 3.0, 8.0)))


def _suspension(draw: random.Random, tenants: list[str]) -> Suspension | None:
    tenant, at, seconds = draw.choice(tenants), draw.uniform(0, 90), draw.choice((5, 30, 120, 300))
    return Suspension(tenant, at, seconds) if draw.random() < 0.25 else None


def _order(draw: random.Random, number: int, tenants: list[str], agents: tuple[Agent, ...], burst: bool) -> Order:
    running = draw.choice((0.5, 5, 20, 45, 75))
    return Order(
        number=number,
        tenant=draw.choice(tenants),
        agent=draw.choice(agents),
        at=draw.uniform(0, 0.5 if burst else 60),
        retryable=draw.random() < 0.4,
        script=Script(draw.choice((0.1, 2, 8, 30)), running, draw.uniform(0.1, 5), draw.choice((0, 0, 0, 1))),
        cancel_after=draw.uniform(0, 90) if draw.random() < 0.15 else None,
        repeats=draw.choice((1, 1, 1, 2)),
        queue_timeout=draw.choice((120, 3_600, 86_400)),
        in_workspace=draw.random() < 0.3,
        timeout=600,
    )
