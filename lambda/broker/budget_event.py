"""The event that says how much of a monthly budget is used, on the account's bus: for operators."""

from typing import Literal

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

from outpost.domain.budgets import Budget, to_usd

DETAIL_TYPE = "Outpost Budget Threshold"


class BudgetThreshold(BaseModel):
    """The event's detail: 80, when so many percent are spent or reserved; 100, when a model call was refused for it.

    It is sent at least once a month for each budget and threshold; `id` is that of its repetitions.
    """

    model_config = ConfigDict(frozen=True, alias_generator=to_camel, populate_by_name=True)

    schema_version: Literal["1.0"] = "1.0"
    id: str
    environment: str
    scope: Literal["tenant", "environment"]
    tenant_id: str | None
    """None for the budget of the environment."""
    month: str
    """UTC, `YYYY-MM`."""
    percent: int
    budget_usd: float
    committed_usd: float
    """Spent by ended dispatches, and reserved by live ones."""
    dispatch_id: str
    """The dispatch whose request passed the threshold."""


def threshold_passed(
    budget: Budget, percent: int, *, environment: str, tenant_id: str, month: str, dispatch_id: str
) -> BudgetThreshold:
    """Return the event of a budget of a month."""
    owner = tenant_id if budget.scope == "tenant" else None
    return BudgetThreshold(
        id=f"{environment}:{owner or '*'}:{month}:{percent}",
        environment=environment,
        scope="environment" if owner is None else "tenant",
        tenant_id=owner,
        month=month,
        percent=percent,
        budget_usd=to_usd(budget.limit),
        committed_usd=to_usd(budget.committed),
        dispatch_id=dispatch_id,
    )
