"""decommission: after 30 days without a call of v1, its scripts and its registration go."""

from contextlib import suppress
from datetime import datetime, timedelta
from typing import Annotated, ClassVar, Literal

import typer

from outpost.report import Check, overall
from outpost_migration.context import Context
from outpost_migration.step import Report, Step
from outpost_migration.steps.monitor import MonitoringReport
from outpost_migration.v1.calls import Call, Kind
from outpost_ops.errors import OperationError

QUIET = timedelta(days=30)


class DecommissionReport(Report):
    """decommission: v1 is gone."""

    file: ClassVar[str] = "decommission-report"
    step: Literal["decommission"] = "decommission"
    quiet_since: datetime | None
    v1_calls: list[Call]
    removed: list[str]
    deregistered: bool


def run(
    context: Context, *, yes: Annotated[bool, typer.Option("--yes", help="Really: this cannot be undone")] = False
) -> DecommissionReport:
    """After 30 days without a call: remove v1's scripts and its registration.

    Raises OperationError without `yes`.
    """
    if not yes and not context.dry_run:
        raise OperationError("decommissioning cannot be undone: look at --dry-run, then add --yes")
    started_at, instance_id = context.started_at, context.host.instance_id
    since = started_at - QUIET
    calls = context.deployment.trail.calls(since, started_at, instance_id)
    used = [call for call in calls if call.counts or call.kind is Kind.READ]
    silent = context.deployment.trail.gaps(since, started_at, timedelta(days=1))
    checks = [
        _cutover_check(context, started_at),
        Check.of(
            "quiet",
            "No call of v1 for 30 days",
            False if used else (None if silent else True),
            [
                f"cloudtrail:LookupEvents SendCommand {since:%Y-%m-%d %H:%M} to {started_at:%Y-%m-%d %H:%M} UTC: "
                f"{len(used)} calls of v1, {len(calls) - len(used)} others",
                *(f"{call.time:%Y-%m-%d %H:%M} {call.caller}: {call.kind}" for call in used[:10]),
                *(f"the event history knows nothing at all of {day:%Y-%m-%d}" for day in silent[:5]),
            ],
            "Wait, or move that caller",
        ),
        _monitor_check(context),
    ]
    removed: list[str] = []
    gone = _host_gone(context)
    if overall(checks) == "pass" or context.dry_run:
        if not gone:
            removed = _remove_scripts(context)
            _deregister(context)
        gone = _host_gone(context)
    return context.report(
        DecommissionReport,
        checks,
        quiet_since=None if used else since,
        v1_calls=used,
        removed=removed,
        deregistered=gone,
    )


STEP = Step(
    DecommissionReport,
    run,
    needs=("monitor", "verify"),
    takes="after 30 days",
    changes="removes the scripts, deregisters the host",
)


def _host_gone(context: Context) -> bool:
    """Return whether the host is no managed instance any more."""
    return context.host.ping() == "unknown"


def _cutover_check(context: Context, now: datetime) -> Check:
    entry = context.journal.read().entries.get("cutover")
    ended = entry.ended_at if entry and entry.state == "pass" else None
    evidence = f"cutover {entry.state if entry else 'not run'}" + (f", {ended:%Y-%m-%d %H:%M} UTC" if ended else "")
    holds = None if ended is None else now - ended >= QUIET
    return Check.of("cutover", "The cutover was 30 days ago", holds, [evidence], "Wait until 30 days have passed")


def _monitor_check(context: Context) -> Check:
    report = context.last_report(MonitoringReport)
    holds = None if report is None else report.status == "pass" and report.complete
    evidence = f"monitoring-report: {report.status}, {report.samples} samples" if report else "no monitoring-report"
    return Check.of("monitor", "The monitor's window was green", holds, [evidence], "Run `outpost migrate monitor`")


def _remove_scripts(context: Context) -> list[str]:
    host = context.host
    tools = host.scripts()
    if in_use := [tool.name for tool in tools if not tool.disabled]:
        raise OperationError(f"scripts are in use again: {', '.join(in_use)}. Find out who enabled them")
    names = [tool.name for tool in tools]
    if names:
        what = f"Remove from {host.instance_id}: {', '.join(names)}"
        context.change(what, lambda: host.remove_disabled(names))
    return names


def _deregister(context: Context) -> None:
    client, instance_id = context.deployment.client("ssm"), context.host.instance_id

    def deregister() -> None:
        with suppress(client.exceptions.InvalidInstanceId):
            client.deregister_managed_instance(InstanceId=instance_id)

    context.change(f"Deregister {instance_id} from Systems Manager", deregister)
