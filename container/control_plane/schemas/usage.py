"""What GET /usage takes and shows."""

from collections.abc import Sequence
from datetime import date
from typing import Literal, Self

from pydantic import Field

from control_plane.envelope import Body, Day, View
from outpost.domain.agents import Agent
from outpost.domain.budgets import to_usd
from outpost.domain.usage_event import MILLI, Totals

Group = Literal["day", "tenant", "agent", "model"]

MOST_DAYS = 400


class UsageQuery(Body):
    """Which dispatches to add up, and by what."""

    since: Day | None = Field(default=None, description="First day (UTC). Default: the first of the month of `until`.")
    until: Day | None = Field(default=None, description="Last day (UTC), included; not after today, the default.")
    group_by: list[Group] = Field(
        default=["day"], max_length=4, description="A row for each value of these; may be given more than once."
    )
    tag: str | None = Field(
        default=None,
        min_length=1,
        max_length=64,
        description="Key of a tag: only dispatches that have it, with a row for each of its values.",
    )
    tenant: str | None = Field(
        default=None, max_length=40, description="Operator only: another tenant, or `*` for all of them together."
    )


class UsageFigures(View):
    """Sums over dispatches that have ended."""

    dispatches: int = Field(description="How many dispatches ended, promotions included.")
    unpriced_dispatches: int = Field(description="Those with a model whose price is not known: their cost is missing.")
    input_tokens: int = Field(description="Tokens that models read.")
    cached_input_tokens: int = Field(description="Of these: from the providers' caches.")
    output_tokens: int = Field(description="Tokens that models wrote.")
    model_calls: int = Field(description="Calls of models.")
    cost_usd: float = Field(description="US dollars that model calls are charged, by the providers' list prices.")
    duration_seconds: float = Field(description="Run time of agents.")
    vcpu_seconds: float = Field(description="vCPUs of workers, times seconds.")
    gb_seconds: float = Field(description="Memory of workers in GB, times seconds.")

    @classmethod
    def of(cls, totals: Totals, /, **more: object) -> Self:
        """Show totals."""
        return cls.showing(
            totals,
            unpriced_dispatches=totals.unpriced,
            cost_usd=to_usd(totals.cost_micros),
            duration_seconds=totals.run_millis / MILLI,
            vcpu_seconds=totals.vcpu_millis / MILLI,
            gb_seconds=totals.gb_millis / MILLI,
            **more,
        )


class UsageRow(UsageFigures):
    """The sums of one group; what it is not grouped by is null."""

    day: date | None = Field(description="The day on which the dispatches ended (UTC).")
    tenant: str | None = Field(description="The tenant.")
    agent: Agent | None = Field(description="The agent.")
    model: str | None = Field(description="The model's id; null as well for agents without one.")
    tag: str | None = Field(description="The value of the tag that the request names.")


GROUPS = ("day", "tenant", "agent", "model", "tag")
"""Fields that rows can be grouped by."""


class BudgetView(View):
    """The budget of the current month for model calls."""

    month: str = Field(description="UTC, `YYYY-MM`.")
    limit_usd: float | None = Field(description="What may be spent; null without a limit.")
    committed_usd: float = Field(description="What ended dispatches were charged, and what live ones hold reserved.")
    charged_usd: float = Field(description="What ended dispatches were charged.")


class UsageReport(View):
    """What dispatches used in a period."""

    since: date = Field(description="First day (UTC).")
    until: date = Field(description="Last day (UTC), included.")
    tenant: str = Field(description="Whose dispatches these are; `*` for those of all tenants.")
    rows: list[UsageRow] = Field(description="The sums of each group, sorted.")
    total: UsageFigures = Field(description="The sums of all rows.")
    budget: BudgetView = Field(description="The budget of the current month, whatever the period.")


def csv_fields(group_by: Sequence[str], tag: str | None) -> list[str]:
    """Return the names of the rows' fields that a table has: what it is grouped by, then the figures."""
    grouped = [name for name in GROUPS if name in group_by or (name == "tag" and tag is not None)]
    return [*grouped, *UsageFigures.model_fields]
