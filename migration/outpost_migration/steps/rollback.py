"""rollback: clients are sent to v1 again (level 1); v2 is also stopped (level 2)."""

import time
from typing import Annotated, ClassVar, Literal

import typer
from pydantic import Field

from outpost.report import Check
from outpost_migration import fleet
from outpost_migration.context import Context
from outpost_migration.denial import allow_callers
from outpost_migration.endpoint import V1Endpoint
from outpost_migration.monitor.model import CURRENT_PLAN
from outpost_migration.step import Report, Step
from outpost_migration.steps.preflight import host_reachable
from outpost_migration.v1.layout import SCRIPTS, SCRIPTS_FOLDER
from outpost_ops.errors import OperationError


class RollbackReport(Report):
    """rollback: clients are sent to v1 again."""

    file: ClassVar[str] = "rollback-report"
    step: Literal["rollback"] = "rollback"
    level: Literal[1, 2]
    reason: str
    secret_version: str | None
    ssm_active_scripts: int
    previous_desired: int | None = Field(description="tasks of the service before level 2")
    previous_minimum: int | None = Field(description="scaling minimum before level 2")
    seconds: float


def run(
    context: Context,
    *,
    level: Annotated[int, typer.Option(help="1: clients back to v1; 2: also stop v2", min=1, max=2)],
    reason: Annotated[str, typer.Option(help="Why, for the report")],
) -> RollbackReport:
    """Send clients to v1 again; level 2 also stops v2.

    Raises OperationError when no version of the secret names v1.
    """
    begin = time.monotonic()
    v1 = context.secret.v1()
    if v1 is None:
        raise OperationError("the secret has no version that names v1: `outpost migrate cutover` was never begun")
    before = fleet.remember(context) if level == 2 else None
    _point_at_v1(context)
    _enable_scripts(context)
    allow_callers(context)
    _stop_monitor(context)
    if level == 2 and not (fleet.paused(context) and fleet.service(context)["desiredCount"] == 0):
        context.change(
            "Pause the fleet: planner off, scaling minimum 0, service of 0 tasks", lambda: fleet.pause(context)
        )
    tools = context.host.active_scripts()
    checks = [_secret_check(context), _scripts_check(context, tools), host_reachable(context)]
    if level == 2:
        checks.append(_stopped_check(context))
    return context.report(
        RollbackReport,
        checks,
        level=level,
        reason=reason,
        secret_version=v1.id,
        ssm_active_scripts=len(tools),
        previous_desired=before.desired if before else None,
        previous_minimum=before.minimum if before else None,
        seconds=time.monotonic() - begin,
    )


STEP = Step(RollbackReport, run, undoes=("cutover", "monitor", "verify"))


def _point_at_v1(context: Context) -> None:
    current, v1 = context.secret.current(), context.secret.v1()
    if v1 and (current is None or current.id != v1.id):
        context.change(f"Make version {v1.id} of the endpoint's secret current again", context.secret.restore_v1)


def _enable_scripts(context: Context) -> None:
    host = context.host
    if disabled := [tool.name for tool in host.scripts() if tool.disabled]:
        what = f"Rename on {host.instance_id} back from .DISABLED: {', '.join(disabled)}"
        context.change(what, lambda: host.enable(disabled))


def _stop_monitor(context: Context) -> None:
    if context.documents.keys(CURRENT_PLAN):
        context.change(
            "Stop the monitor",
            lambda: context.deployment.client("s3").delete_object(Bucket=context.documents.bucket, Key=CURRENT_PLAN),
        )


def _secret_check(context: Context) -> Check:
    current = context.secret.current()
    holds = current is not None and isinstance(current.endpoint, V1Endpoint)
    evidence = f"secretsmanager:GetSecretValue: provider {current.endpoint.provider if current else 'none'}"
    return context.check("secret", "Clients are sent to v1", holds, [evidence], "Run it again")


def _scripts_check(context: Context, tools: list[str]) -> Check:
    result = context.host.run(f"{SCRIPTS_FOLDER}/list-runs.sh > /dev/null && echo runs")
    holds = set(tools) == set(SCRIPTS) and result.output.strip() == "runs"
    evidence = [f"{len(tools)} of {len(SCRIPTS)} scripts in use", f"list-runs.sh: exit code {result.exit_code}"]
    remedy = "Restore them from the archive"
    return context.check("scripts", "v1's scripts are in use and run", holds, evidence, remedy)


def _stopped_check(context: Context) -> Check:
    stopped = not context.dry_run and fleet.wait_for(context, 0)
    service = fleet.service(context)
    desired = service["desiredCount"]
    evidence = [f"service: running {service['runningCount']} of {desired}", f"planner off: {fleet.paused(context)}"]
    holds = stopped and desired == 0 and fleet.paused(context)
    return context.check("fleet", "v2 is stopped", holds, evidence, "Run it again")
