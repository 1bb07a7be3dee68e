"""From a request to a row: what the environment offers and the tenant may use decides. Pure."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from control_plane.auth import Principal
from control_plane.errors import invalid
from control_plane.schemas.dispatches import DEFAULT_TIMEOUT_SECONDS, DispatchRequest
from outpost.domain.agents import Agent, AgentSettings
from outpost.domain.dispatch import Dispatch, Spec
from outpost.domain.ids import new_id
from outpost.domain.models import find_model
from outpost.domain.repository import check_branch, check_repo
from outpost.domain.secrets import TenantSecret
from outpost.domain.tenants import Tenant
from outpost.store.budgets import MonthlyLimits

Refusal = tuple[str, str]
"""A field as the client names it, and why it is refused."""


@dataclass(frozen=True)
class Policy:
    """What an environment admits."""

    agents: Mapping[Agent, AgentSettings]
    git_hosts: frozenset[str]
    retention: timedelta
    """How long rows and artifacts are kept."""
    pull_requests: bool = False
    """Whether a forge is configured that promotions can open pull requests at."""
    budgets: MonthlyLimits = field(default_factory=MonthlyLimits)
    """What model calls may cost in a month."""


def admit(request: DispatchRequest, caller: Principal, policy: Policy, at: datetime) -> Dispatch:
    """Return the row of a new dispatch. Raises `ApiError` naming every field that cannot be had here."""
    longest = caller.tenant.limits.timeout_seconds
    refusals = [
        *_agent(request, policy),
        *_provider(request, caller.tenant, policy),
        *_source(request, policy),
        *_workspace_and_timeout(request, longest),
        *_dollars(request, caller.tenant, policy),
    ]
    if refusals:
        raise invalid(*refusals)
    fields = request.model_dump(exclude={"task", "model_id", "timeout_seconds"})
    spec = Spec.model_validate(
        {
            **fields,
            "model_id": policy.agents[request.agent].resolve_model(request.model_id),
            "timeout_seconds": request.timeout_seconds or min(DEFAULT_TIMEOUT_SECONDS, longest),
        },
    )
    return new_row(spec, caller, policy, at)


def new_row(spec: Spec, caller: Principal, policy: Policy, at: datetime) -> Dispatch:
    """Return the row of a dispatch that is created at this time."""
    return Dispatch(
        id=new_id(),
        tenant_id=caller.tenant.id,
        created_by=caller.key.prefix,
        spec=spec,
        created_at=at,
        queued_at=at,
        expires_at=int((at + policy.retention).timestamp()),
    )


def check_secrets(request: DispatchRequest, known: Mapping[str, TenantSecret]) -> None:
    """Check that the tenant has every secret that the request names. Raises `ApiError`."""
    unknown = [name for name in request.additional_secrets if name not in known]
    if unknown:
        raise invalid(
            ("additionalSecrets", f"the tenant has no secret named {', '.join(unknown)}: set it, or leave it out")
        )


def fingerprint(request: DispatchRequest) -> str:
    """Return a hash of a request that the order and spelling of its JSON do not change."""
    body = json.dumps(request.model_dump(mode="json"), sort_keys=True)
    return hashlib.sha256(body.encode()).hexdigest()


def _agent(request: DispatchRequest, policy: Policy) -> Iterator[Refusal]:
    settings = policy.agents.get(request.agent)
    if settings is None:
        enabled = ", ".join(sorted(policy.agents)) or "none"
        yield "agent", f"{request.agent!s} is not enabled here; enabled: {enabled}"
        return
    try:
        settings.resolve_model(request.model_id)
    except ValueError as error:
        yield "modelId", str(error)


def _provider(request: DispatchRequest, tenant: Tenant, policy: Policy) -> Iterator[Refusal]:
    settings = policy.agents.get(request.agent)
    provider = settings.provider_of(request.agent) if settings else None
    if tenant.may_call(provider):
        return
    able = [name for name, each in policy.agents.items() if tenant.may_call(each.provider_of(name))]
    yield (
        "agent",
        f"{request.agent!s} calls its models at {provider}, "
        f"and the tenant is limited to {', '.join(tenant.providers)}: use one of {', '.join(sorted(able)) or 'none'}, "
        f"or let an operator change the tenant's providers",
    )


def _source(request: DispatchRequest, policy: Policy) -> Iterator[Refusal]:
    if request.repo is not None:
        try:
            check_repo(request.repo, policy.git_hosts)
        except ValueError as error:
            yield "repo", str(error)
    if request.branch is None:
        return
    if request.repo is None:
        yield "branch", "needs a repo: give both or neither"
    try:
        check_branch(request.branch)
    except ValueError as error:
        yield "branch", str(error)


def _workspace_and_timeout(request: DispatchRequest, longest: int) -> Iterator[Refusal]:
    if request.workspace_id is not None and request.workspace_mode != "persistent":
        yield "workspaceId", "names a persistent workspace: set workspaceMode to persistent, or leave it out"
    if (request.timeout_seconds or 0) > longest:
        yield "timeoutSeconds", f"{request.timeout_seconds} is over the tenant's cap of {longest} seconds: ask for less"


def _dollars(request: DispatchRequest, tenant: Tenant, policy: Policy) -> Iterator[Refusal]:
    """Refuse a budget that cannot be kept: where the price is not known, nothing can be reserved."""
    settings = policy.agents.get(request.agent)
    try:
        model = settings.resolve_model(request.model_id) if settings else None
    except ValueError:
        return  # refused already
    if settings and model is None and request.max_cost_usd is not None:
        yield "maxCostUsd", f"{request.max_cost_usd} was given, but {request.agent} runs no model: leave it out"
    limits = {
        "maxCostUsd": request.max_cost_usd is not None,
        "the tenant's monthly budget": policy.budgets.of_tenant(tenant) is not None,
        "the environment's monthly budget": policy.budgets.environment is not None,
    }
    budget = next((name for name, applies in limits.items() if applies), None)
    if model is not None and budget is not None and find_model(model) is None:
        priced = sorted(name for name in set(settings.models.values()) if find_model(name)) if settings else []
        remedy = f"use one of: {', '.join(priced)}" if priced else "ask the operator to add it to models.toml"
        yield "modelId", f"{model!r} has no known price, which {budget} needs: {remedy}"
