"""cutover: clients are sent to v2, v1's scripts are taken out of use."""

from typing import Annotated, ClassVar, Literal

import typer

from outpost.report import Check, overall
from outpost_migration import denial, fleet
from outpost_migration.context import Context
from outpost_migration.endpoint import V2Endpoint
from outpost_migration.step import Report, Step
from outpost_migration.steps.preflight import load_balancer_healthy, service_running


class CutoverReport(Report):
    """cutover: clients are sent to v2, v1's scripts are out of use."""

    file: ClassVar[str] = "cutover-report"
    step: Literal["cutover"] = "cutover"
    cutover_status: Literal["complete", "incomplete"]
    ssm_disabled: bool
    ssm_active_scripts: int
    ecs_active: bool
    previous_secret_version: str | None
    denied_callers: list[str]


def run(
    context: Context,
    *,
    deny_callers: Annotated[
        bool, typer.Option("--deny-callers", help="Also deny SendCommand to the callers that the audit found")
    ] = False,
) -> CutoverReport:
    """Send clients to v2 and take v1's scripts out of use.

    Ends before it changes anything when v2 is not healthy.
    """
    _resume_fleet(context)
    health = [service_running(context), load_balancer_healthy(context)]
    ready = overall(health) == "pass"
    if ready or context.dry_run:
        _point_at_v2(context)
        _disable_scripts(context)
    denied = denial.deny_callers(context) if deny_callers and ready else []
    remaining = context.host.active_scripts()
    checks = [*health, _secret_check(context), _scripts_check(context, remaining)]
    v1 = context.secret.v1()
    return context.report(
        CutoverReport,
        checks,
        cutover_status="complete" if overall(checks) == "pass" else "incomplete",
        ssm_disabled=not remaining,
        ssm_active_scripts=len(remaining),
        ecs_active=ready,
        previous_secret_version=v1.id if v1 else None,
        denied_callers=denied,
    )


STEP = Step(
    CutoverReport,
    run,
    needs=("archive", "shadow", "validate", "update-clients"),
    takes="10 s",
    changes="the secret; v1's scripts are renamed to `.DISABLED`",
)


def _resume_fleet(context: Context) -> None:
    """Undo what a rollback of level 2 did to the fleet."""
    before = fleet.before(context)
    if before and fleet.paused(context):
        desired, minimum = before.desired or 1, before.minimum or 1
        context.change(
            f"Resume the fleet: service of {desired} tasks, scaling minimum {minimum}",
            lambda: fleet.resume(context, desired=desired, minimum=minimum),
        )


def _point_at_v2(context: Context) -> None:
    value, current = V2Endpoint(endpoint=context.url), context.secret.current()
    if current is None or current.endpoint != value:
        context.change(f"Write the endpoint's secret: {value.model_dump_json()}", lambda: context.secret.write(value))


def _disable_scripts(context: Context) -> None:
    host = context.host
    if names := host.active_scripts():
        what = f"Rename on {host.instance_id} to .DISABLED: {', '.join(names)}"
        context.change(what, lambda: host.disable(names))


def _secret_check(context: Context) -> Check:
    current = context.secret.current()
    holds = current is not None and current.endpoint == V2Endpoint(endpoint=context.url)
    evidence = (
        f"secretsmanager:GetSecretValue: {current.endpoint.model_dump_json(by_alias=True) if current else 'no value'}"
    )
    return context.check("secret", "Clients are sent to v2", holds, [evidence], "Run it again")


def _scripts_check(context: Context, remaining: list[str]) -> Check:
    evidence = [f"{len(remaining)} scripts in use on {context.host.instance_id}", *remaining]
    return context.check("scripts", "No script of v1 is in use", not remaining, evidence, "Run it again")
