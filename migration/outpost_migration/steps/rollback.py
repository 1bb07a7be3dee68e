"""rollback: clients are sent to v1 again (level 1); v2 is also stopped (level 2)."""

import time
from functools import partial
from typing import Literal

from outpost.report import Check
from outpost_migration import fleet
from outpost_migration.context import Context
from outpost_migration.denial import POLICY, allow, principals
from outpost_migration.endpoint import V1Endpoint
from outpost_migration.errors import MigrationError
from outpost_migration.monitor.model import CURRENT_PLAN
from outpost_migration.reports import ProviderAudit, RollbackReport
from outpost_migration.steps.preflight import host_reachable
from outpost_migration.steps.scripts import active, enable, inventory
from outpost_migration.v1.layout import SCRIPTS, SCRIPTS_FOLDER


def run(context: Context, *, level: Literal[1, 2], reason: str) -> RollbackReport:
    """Give v1 back to its clients, then look whether v1 works. Raises MigrationError when there is nothing to go to."""
    started_at, begin = context.now(), time.monotonic()
    if context.secret.v1() is None:
        raise MigrationError("the secret has no version that names v1: `outpost migrate cutover` was never begun")
    desired, minimum = _before(context) if level == 2 else (None, None)
    _point_at_v1(context)
    _enable_scripts(context)
    _allow_callers(context)
    _stop_monitor(context)
    if level == 2 and not (fleet.paused(context) and fleet.counts(context)[0] == 0):
        context.change(
            "Pause the fleet: planner off, scaling minimum 0, service of 0 tasks", lambda: fleet.pause(context)
        )
    tools = active(inventory(context.host))
    checks = [_secret_check(context), _scripts_check(context, tools), host_reachable(context)]
    if level == 2:
        checks.append(_stopped_check(context))
    return context.report(
        RollbackReport,
        started_at,
        checks,
        level=level,
        reason=reason,
        secret_version=(context.secret.v1() or (None,))[0],
        ssm_active_scripts=len(tools),
        previous_desired=desired,
        previous_minimum=minimum,
        seconds=time.monotonic() - begin,
    )


def _before(context: Context) -> tuple[int | None, int | None]:
    """What the service was before; of a rollback that was cut off, what its first attempt found."""
    stored = fleet.before(context)
    if stored and fleet.paused(context):
        return stored.desired, stored.minimum
    found = fleet.Before(desired=fleet.counts(context)[0], minimum=fleet.minimum(context))
    if not context.dry_run:
        fleet.remember(context, found)
    return found.desired, found.minimum


def _point_at_v1(context: Context) -> None:
    current, v1 = context.secret.current(), context.secret.v1()
    if v1 and (current is None or current[0] != v1[0]):
        context.change(f"Make version {v1[0]} of the endpoint's secret current again", context.secret.restore_v1)


def _enable_scripts(context: Context) -> None:
    disabled = [tool.name for tool in inventory(context.host) if tool.disabled]
    if disabled:
        context.change(
            f"Rename on {context.host.instance_id} back from .DISABLED: {', '.join(disabled)}",
            lambda: enable(context.host, disabled),
        )


def _allow_callers(context: Context) -> None:
    audit, iam = context.last_report(ProviderAudit), context.deployment.client("iam")
    for principal in principals([caller.caller for caller in audit.callers] if audit else []):
        context.change(
            f"Remove the policy {POLICY} from the {principal.kind} {principal.name}, if it is there",
            partial(allow, iam, principal),
        )


def _stop_monitor(context: Context) -> None:
    if context.documents.keys(CURRENT_PLAN):
        context.change(
            "Stop the monitor",
            lambda: context.deployment.client("s3").delete_object(Bucket=context.documents.bucket, Key=CURRENT_PLAN),
        )


def _secret_check(context: Context) -> Check:
    current = context.secret.current()
    holds = current is not None and isinstance(current[1], V1Endpoint)
    evidence = f"secretsmanager:GetSecretValue: provider {current[1].provider if current else 'none'}"
    return Check.of("secret", "Clients are sent to v1", None if context.dry_run else holds, [evidence], "Run it again")


def _scripts_check(context: Context, tools: list[str]) -> Check:
    answer = context.host.run(f"{SCRIPTS_FOLDER}/list-runs.sh > /dev/null && echo runs")
    holds = set(tools) == set(SCRIPTS) and answer.output.strip() == "runs"
    evidence = [f"{len(tools)} of {len(SCRIPTS)} scripts in use", f"list-runs.sh: exit code {answer.exit_code}"]
    return Check.of(
        "scripts",
        "v1's scripts are in use and run",
        None if context.dry_run else holds,
        evidence,
        "Restore them from the archive",
    )


def _stopped_check(context: Context) -> Check:
    stopped = not context.dry_run and fleet.wait_for(context, 0)
    desired, running = fleet.counts(context)
    evidence = [f"service: running {running} of {desired}", f"planner off: {fleet.paused(context)}"]
    holds = stopped and desired == 0 and fleet.paused(context)
    return Check.of("fleet", "v2 is stopped", None if context.dry_run else holds, evidence, "Run it again")
