"""What is dispatched under a budget in dollars: models whose price is known, and no other."""

from datetime import timedelta

import pytest

from control_plane.admission import Policy, admit
from control_plane.auth import Principal
from control_plane.errors import ApiError
from control_plane.schemas.dispatches import DispatchRequest
from outpost.domain.agents import Agent, AgentSettings, Alias
from outpost.domain.ids import now
from outpost.domain.tenants import ApiKey, Overrides, Scope, Tenant
from outpost.store.budgets import MonthlyLimits

AGENTS = {
    Agent.CLAUDE: AgentSettings(
        queue_url="q", family="f", models={Alias.FLAGSHIP: "claude-opus-5-5", Alias.FAST: "a-model-of-tomorrow"}
    ),
    Agent.GROK: AgentSettings(queue_url="q", family="f", models={Alias.FLAGSHIP: "a-model-of-tomorrow"}),
}


def refusals(limits: MonthlyLimits, own: float | None, **request: object) -> dict[str, str]:
    """Return field -> why it is refused."""
    overrides = Overrides(monthly_budget_usd=own)
    tenant = Tenant(id="acme", name="Acme", created_at=now(), overrides=overrides)
    key = ApiKey(
        sha256="0", prefix="otp_0", tenant_id="acme", name="k", scopes=frozenset({Scope.DISPATCH}), created_at=now()
    )
    policy = Policy(AGENTS, frozenset(), timedelta(days=1), budgets=limits)
    body = DispatchRequest.model_validate({"task": "Do something.", **request})
    try:
        admit(body, Principal(tenant=tenant, key=key), policy, now())
    except ApiError as error:
        return {detail.field: detail.message for detail in error.details}
    return {}


@pytest.mark.parametrize(
    ("limits", "own", "most", "budget"),
    [
        (MonthlyLimits(), None, 5, "maxCostUsd"),
        (MonthlyLimits(), 50, None, "the tenant's monthly budget"),
        (MonthlyLimits(tenant=50), None, None, "the tenant's monthly budget"),
        (MonthlyLimits(environment=500), None, None, "the environment's monthly budget"),
    ],
)
def test_a_model_without_a_price_is_refused_under_a_budget_with_the_remedy(
    limits: MonthlyLimits, own: float | None, most: float | None, budget: str
) -> None:
    asked = {"agent": "claude", "maxCostUsd": most}
    needs = f"'a-model-of-tomorrow' has no known price, which {budget} needs"
    assert refusals(limits, own, **asked) == {}
    assert refusals(limits, own, **asked, modelId="fast") == {"modelId": f"{needs}: use one of: claude-opus-5-5"}
    remedy = "ask the operator to add it to models.toml"
    assert refusals(limits, own, **asked | {"agent": "grok"}) == {"modelId": f"{needs}: {remedy}"}


def test_a_model_without_a_price_may_run_where_no_budget_applies() -> None:
    assert refusals(MonthlyLimits(), None, agent="claude", modelId="fast") == {}
