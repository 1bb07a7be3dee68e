"""A tenant that is limited to certain model providers dispatches to agents that call their models there, or none."""

from datetime import timedelta

import pytest

from control_plane.admission import Policy, admit
from control_plane.auth import Principal
from control_plane.errors import ApiError
from control_plane.schemas.dispatches import DispatchRequest
from outpost.domain.agents import Agent, AgentSettings, Alias
from outpost.domain.ids import now
from outpost.domain.tenants import ApiKey, Scope, Tenant


def settings(model: str | None, region: str | None = None) -> AgentSettings:
    models = {Alias.FLAGSHIP: model} if model else {}
    return AgentSettings(queue_url="q", family="f", models=models, bedrock_region=region)


AGENTS = {
    Agent.CLAUDE: settings("us.anthropic.claude-opus-5-5", "us-east-1"),
    Agent.CODEX: settings("gpt-6.1-sol"),
    Agent.GEMINI: settings("gemini-3.8-flash"),
    Agent.SHELL: settings(None),
}


def refusal(agent: Agent, *providers: str) -> str | None:
    tenant = Tenant(id="acme", name="Acme", created_at=now(), providers=providers)
    scopes = frozenset({Scope.DISPATCH})
    key = ApiKey(sha256="0", prefix="otp_0", tenant_id="acme", name="k", scopes=scopes, created_at=now())
    body = DispatchRequest.model_validate({"task": "Do something.", "agent": agent})
    try:
        admit(body, Principal(tenant=tenant, key=key), Policy(AGENTS, frozenset(), timedelta(days=1)), now())
    except ApiError as error:
        (detail,) = error.details
        assert detail.field == "agent"
        return detail.message
    return None


@pytest.mark.parametrize("agent", AGENTS)
def test_a_tenant_without_a_limit_may_use_every_agent(agent: Agent) -> None:
    assert refusal(agent) is None


def test_only_the_limits_providers_may_be_called() -> None:
    assert refusal(Agent.CLAUDE, "bedrock") is None
    assert refusal(Agent.SHELL, "bedrock") is None
    assert refusal(Agent.GEMINI, "openai", "google") is None
    assert refusal(Agent.CODEX, "bedrock") == (
        "codex calls its models at openai, and the tenant is limited to bedrock: use one of claude, shell, or let an "
        "operator change the tenant's providers"
    )
    assert "claude calls its models at bedrock" in str(refusal(Agent.CLAUDE, "anthropic"))
