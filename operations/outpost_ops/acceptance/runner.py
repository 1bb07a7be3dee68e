"""Runs every step of an acceptance, one after the other, and reports."""

import subprocess
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

from outpost.domain.agents import Agent
from outpost.domain.ids import now
from outpost.domain.tenants import Scope
from outpost.report import Check, overall
from outpost_client import ApiError, Client
from outpost_client.models import IssuedKey
from outpost_ops.acceptance.dispatches import MARK, Tenant, check_agent, check_cancel, check_promotion, check_workspace
from outpost_ops.acceptance.report import AcceptanceReport, Timings
from outpost_ops.acceptance.target import Target, check_alarms, deploy_seconds
from outpost_ops.acceptance.tools import check_tools
from outpost_ops.verify.controls import verify_controls

_KEY_LIFETIME = timedelta(hours=2)
_SCOPES = [scope for scope in Scope if scope is not Scope.ADMIN]
_OPTIONAL = frozenset({"promotion", "keys"})
"""Checks that are inconclusive where the operator gave no repository or no key; the others decide."""
Progress = Callable[[Check], None]
Step = tuple[str, Callable[[], Sequence[Check]]]
"""The id of a check that fails when the step raises, and what returns the checks of the step."""


def accept(target: Target, repository: str | None, progress: Progress) -> AcceptanceReport:
    """Run every step; `progress` gets each check as it is done. An exception of a step is a check that failed.

    Before the first step, raises WrongAccountError, NotDeployedError, ApiError and botocore's errors.
    """
    target.deployed.require_account()
    started, checks = now(), []
    with Client(target.url) as anybody:
        version = anybody.health().version
    timings = Timings(deploy_seconds={}, dispatches=[])
    for step in _steps(target, repository, timings):
        for check in guarded(*step):
            progress(check)
            checks.append(check)
    return AcceptanceReport(
        environment=target.deployed.config.name,
        account=target.deployed.config.account,
        region=target.deployed.config.region,
        url=target.url,
        version=version,
        commit=_commit(),
        started_at=started,
        finished_at=datetime.now(UTC),
        status=overall(each for each in checks if each.id not in _OPTIONAL),
        timings=timings,
        checks=checks,
    )


def guarded(id_: str, run: Callable[[], Sequence[Check]]) -> Sequence[Check]:
    """Return the checks of a step, or one that failed with the exception: the other steps are still made."""
    try:
        return run()
    except Exception as error:  # noqa: BLE001 - whatever a step raises, the report must say so
        title, evidence = id_.replace("-", " ").capitalize(), f"{type(error).__name__}: {error}"
        return [Check.of(id_, title, False, [evidence], "read the control plane's log")]


def _steps(target: Target, repository: str | None, timings: Timings) -> Iterator[Step]:
    """Yield the steps, which fill the timings. The key that they use is revoked at the end, however they end."""
    with Client(target.url, target.operator_key()) as operator:
        issued = _issue_key(operator, repository)
        try:
            with Client(target.url, issued.key) as client:
                yield from _tenant_steps(target, Tenant(client, repository, timings.dispatches), issued.key)
        finally:
            revoked = guarded("revoke-key", lambda: _revoke(operator, issued.id))
        yield "revoke-key", lambda: revoked
    yield "alarms", lambda: [check_alarms(target.deployed)]
    yield "controls", lambda: verify_controls(target.deployed)
    yield "deploy-time", lambda: _measure_deploy(target, timings)


def _measure_deploy(target: Target, timings: Timings) -> Sequence[Check]:
    timings.deploy_seconds.update(deploy_seconds(target.deployed))
    return []


def _tenant_steps(target: Target, tenant: Tenant, key: str) -> Iterator[Step]:
    agents = target.agents()
    runnable = [agent for agent, can_run in agents.items() if can_run]
    yield "keys", lambda: [_keys_check(agents)]
    for agent in runnable:
        yield f"dispatch-{agent}", partial(check_agent, tenant, agent)
    if runnable:
        cheapest = Agent.SHELL if Agent.SHELL in runnable else runnable[0]
        yield "cancel", lambda: [check_cancel(tenant, cheapest)]
        yield "workspace", lambda: [check_workspace(tenant, cheapest)]
        yield "promotion", lambda: [check_promotion(tenant, cheapest)]
        yield "mcp", lambda: [check_tools(target.url, key, cheapest, tenant.workspace_id)]


def _keys_check(agents: dict[Agent, bool]) -> Check:
    missing = [agent for agent, can_run in agents.items() if not can_run]
    evidence = [f"{agent}: {'can run' if can_run else 'has no key'}" for agent, can_run in agents.items()]
    holds = None if missing else True
    remedy = "set the keys (docs/operations.md), then accept again: agents without a key were not tried"
    return Check.of("keys", "Each enabled agent has the key of its provider", holds, evidence, remedy)


def _issue_key(operator: Client, repository: str | None) -> IssuedKey:
    """Return a key for a tenant of the acceptance's own, which exists from the first acceptance on."""
    try:
        operator.create_tenant(MARK, "Acceptance", "pro")
    except ApiError as error:
        if error.code != "CONFLICT":
            raise
    if repository:
        operator.change_tenant(MARK, repositories=[repository])
    return operator.create_key(MARK, MARK, _SCOPES, now() + _KEY_LIFETIME)


def _revoke(operator: Client, key_id: str) -> Sequence[Check]:
    operator.revoke_key(key_id)
    return []


def _commit() -> str | None:
    root = Path(__file__).resolve().parents[3]
    argv = ["git", "-C", str(root), "rev-parse", "HEAD"]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else None
