"""Runs every check of an acceptance, one after the other, and reports."""

import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from botocore.exceptions import BotoCoreError, ClientError

from outpost.acceptance.dispatches import MARK, Tenant, check_agent, check_cancel, check_promotion, check_workspace
from outpost.acceptance.platform import check_alarms, check_controls, deploy_seconds
from outpost.acceptance.report import AcceptanceReport, Timings
from outpost.acceptance.target import Target
from outpost.acceptance.tools import check_tools
from outpost.client import ApiError, Client
from outpost.client.live import NoStreamError
from outpost.domain.agents import Agent
from outpost.domain.ids import now
from outpost.domain.tenants import Scope
from outpost.verify.report import Check, overall

_KEY_LIFETIME = timedelta(hours=2)
_SCOPES = [scope for scope in Scope if scope is not Scope.ADMIN]
Progress = Callable[[Check], None]


def accept(target: Target, repository: str | None, progress: Progress) -> AcceptanceReport:
    """Check everything; `progress` gets each check as it is done. Raises ApiError, NotDeployedError, ClientError."""
    started, checks = now(), []
    with Client(target.url) as anybody:
        version = anybody.health().version
    with _tenant(target, repository) as (tenant, key):
        for check in _checks(target, tenant, key):
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
        timings=Timings(deploy_seconds=deploy_seconds(target.deployed), dispatches=tenant.times),
        checks=checks,
    )


_OPTIONAL = frozenset({"promotion", "keys"})
"""Checks that are inconclusive where the operator gave no repository or no key; the others decide."""


def _checks(target: Target, tenant: Tenant, key: str) -> Iterator[Check]:
    agents = target.agents()
    runnable = [agent for agent, can_run in agents.items() if can_run]
    yield _keys_check(agents)
    for agent in runnable:
        yield from _guarded(f"dispatch-{agent}", lambda agent=agent: check_agent(tenant, agent))  # type: ignore[misc]
    if runnable:
        cheapest = Agent.SHELL if Agent.SHELL in runnable else runnable[0]
        yield from _guarded("cancel", lambda: [check_cancel(tenant, cheapest)])
        workspaces: list[str | None] = []

        def workspace() -> list[Check]:
            check, workspace_id = check_workspace(tenant, cheapest)
            workspaces.append(workspace_id)
            return [check]

        yield from _guarded("workspace", workspace)
        yield from _guarded("promotion", lambda: [check_promotion(tenant, cheapest)])
        workspace_id = next(iter(workspaces), None)
        yield from _guarded("mcp", lambda: [check_tools(target.url, key, cheapest, workspace_id)])
    yield from _guarded("alarms", lambda: [check_alarms(target.deployed)])
    yield from check_controls(target.deployed)


def _keys_check(agents: dict[Agent, bool]) -> Check:
    missing = [agent for agent, can_run in agents.items() if not can_run]
    evidence = [f"{agent}: {'can run' if can_run else 'has no key'}" for agent, can_run in agents.items()]
    holds = None if missing else True
    remedy = "set the keys (docs/operations.md), then accept again: agents without a key were not tried"
    return Check.of("keys", "Each enabled agent has the key of its provider", holds, evidence, remedy)


def _guarded(id_: str, run: Callable[[], Sequence[Check]]) -> Sequence[Check]:
    """Return the checks, or one that failed with what the service returned: the others are still made."""
    try:
        return run()
    except (ApiError, NoStreamError, ClientError, BotoCoreError) as error:
        return [
            Check.of(id_, id_.replace("-", " to ").capitalize(), False, [str(error)], "read the control plane's log")
        ]


@contextmanager
def _tenant(target: Target, repository: str | None) -> Iterator[tuple[Tenant, str]]:
    """A tenant of the acceptance's own, and a key of it that ends with the acceptance."""
    with Client(target.url, target.operator_key()) as operator:
        try:
            operator.create_tenant(MARK, "Acceptance", "pro")
        except ApiError as error:
            if error.code != "CONFLICT":
                raise
        if repository:
            operator.change_tenant(MARK, repositories=[repository])
        issued = operator.create_key(MARK, MARK, _SCOPES, now() + _KEY_LIFETIME)
        try:
            with Client(target.url, issued.key) as client:
                yield Tenant(client, repository), issued.key
        finally:
            operator.revoke_key(issued.id)


def _commit() -> str | None:
    root = Path(__file__).resolve().parents[2]
    argv = ["git", "-C", str(root), "rev-parse", "HEAD"]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else None
