"""`outpost migrate`: from v1 to v2, step by step."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from outpost.domain.ids import now
from outpost_client.cli.output import out, print_json, print_table, since
from outpost_migration.cli.migration import Options, open_context, run_step, show_report
from outpost_migration.cli.verify import DOCS, controls_of
from outpost_migration.errors import MigrationError
from outpost_migration.html import render
from outpost_migration.monitor.model import Plan
from outpost_migration.reports import REPORTS, MonitoringReport
from outpost_migration.runner import NEEDS, Runner
from outpost_migration.steps import (
    archive,
    audit,
    clients,
    cutover,
    decommission,
    monitor,
    preflight,
    rollback,
    shadow,
    validate,
    verify,
)
from outpost_ops.cli.checks import explained

app = typer.Typer(help="Migrate from v1 (scripts over SSM), step by step.", no_args_is_help=True)

DryRun = Annotated[bool, typer.Option("--dry-run", help="Show what would change; change nothing")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the report as JSON")]


@app.callback()
def configure(
    context: typer.Context,
    environment: Annotated[
        str, typer.Option("--environment", "-e", envvar="OUTPOST_ENVIRONMENT", help="The environment to migrate to")
    ] = "local",
    run: Annotated[str, typer.Option(help="Name of the migration run")] = "v1-to-v2",
    instance: Annotated[str | None, typer.Option(help="v1's instance (mi-...), if there are several")] = None,
    take_over: Annotated[bool, typer.Option("--take-over", help="Take the lock of an operator who stopped")] = False,
    despite: Annotated[
        list[str] | None, typer.Option(metavar="STEP=REASON", help="Go on although that step did not pass; repeatable")
    ] = None,
) -> None:
    """Keep what all steps share."""
    context.obj = Options(context.obj, environment, run, instance, take_over=take_over, despite=tuple(despite or ()))


@app.command("status")
def status(context: typer.Context, as_json: AsJson = False) -> None:
    """Show the steps: state, time, operator, report."""
    with explained():
        opened = open_context(context.obj)
        content = Runner(opened).journal.read()
    if as_json:
        print_json(content)
        return
    rows = []
    for step in NEEDS:
        entry = content.entries.get(step)
        rows.append(
            (
                step,
                entry.state,
                since(entry.ended_at or entry.started_at),
                entry.operator,
                entry.report or entry.error or "",
            )
            if entry
            else (step, "-", "", "", "")
        )
    print_table("STEP", "STATE", "WHEN", "OPERATOR", "REPORT", rows=rows)
    if content.holder and not content.holder.gone:
        out.print(f"{content.holder.operator} runs a step now.")


@app.command("preflight")
def preflight_(context: typer.Context, dry_run: DryRun = False, as_json: AsJson = False) -> None:
    """Check that v2 runs, v1's host can be reached and the secret can be written."""
    run_step(context.obj, "preflight", preflight.run, dry_run=dry_run, as_json=as_json)


@app.command("audit")
def audit_(
    context: typer.Context,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Find v1's scripts and who calls them; write the endpoint's first version."""
    run_step(context.obj, "audit", audit.run, dry_run=dry_run, as_json=as_json)


@app.command("archive")
def archive_(
    context: typer.Context,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Archive v1's scripts in S3, restore them and compare."""
    run_step(
        context.obj,
        "archive",
        archive.run,
        dry_run=dry_run,
        as_json=as_json,
    )


@app.command("shadow")
def shadow_(
    context: typer.Context,
    repository: Annotated[str, typer.Option("--repo", help="Repository that the sample tasks run on")],
    samples: Annotated[Path, typer.Option(help="JSON list of {name, task}")] = shadow.SAMPLES,
    executor: Annotated[str, typer.Option(help="v1's executor")] = "claude",
    agent: Annotated[str, typer.Option(help="v2's agent")] = "claude",
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Run the same sample tasks on v1 and v2 and compare."""
    run_step(
        context.obj,
        "shadow",
        lambda opened: shadow.run(
            opened, shadow.load_samples(samples), repository=repository, executor=executor, agent=agent
        ),
        dry_run=dry_run,
        as_json=as_json,
    )


@app.command("validate")
def validate_(
    context: typer.Context,
    agent: Annotated[str, typer.Option(help="Agent that runs the small tasks")] = "claude",
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Try every endpoint and MCP tool over the real endpoint."""
    run_step(
        context.obj,
        "validate",
        lambda opened: validate.run(opened, agent=agent),
        dry_run=dry_run,
        as_json=as_json,
    )


@app.command("update-clients")
def update_clients(
    context: typer.Context,
    file: Annotated[
        list[Path] | None, typer.Option(help="File or folder of a client; home and here unless given")
    ] = None,
    revert: Annotated[bool, typer.Option("--revert", help="Put back what was there before")] = False,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Rewrite clients' configuration, with a diff shown and a backup kept."""
    roots = file or [Path.home(), Path.cwd()]
    run_step(
        context.obj,
        "update-clients",
        lambda opened: clients.run(opened, roots, revert=revert),
        dry_run=dry_run,
        as_json=as_json,
    )


@app.command("cutover")
def cutover_(
    context: typer.Context,
    deny_callers: Annotated[
        bool, typer.Option("--deny-callers", help="Also deny SendCommand to the callers that the audit found")
    ] = False,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Send clients to v2 and take v1's scripts out of use."""
    run_step(
        context.obj,
        "cutover",
        lambda opened: cutover.run(opened, deny_callers=deny_callers),
        dry_run=dry_run,
        as_json=as_json,
    )


@app.command("monitor")
def monitor_(
    context: typer.Context,
    window: Annotated[int, typer.Option(help="Seconds to watch; the sign-off needs 86400", min=1)] = 86_400,
    period: Annotated[int, typer.Option(help="Seconds of one sample", min=1)] = 60,
    wait: Annotated[bool, typer.Option("--wait", help="Stay until the window is over; it goes on without you")] = False,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Start watching the day after the cutover, or show where it stands."""
    template = Plan(run=context.obj.run, started_at=now(), window_seconds=window, period_seconds=period)
    run_step(
        context.obj,
        "monitor",
        lambda opened: monitor.run(opened, template, wait=wait),
        dry_run=dry_run,
        as_json=as_json,
    )


@app.command("verify")
def verify_(
    context: typer.Context,
    docs: Annotated[Path, typer.Option(help="Folder of the documentation")] = DOCS,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Sign off: nine criteria, seven controls, every alarm."""
    run_step(
        context.obj,
        "verify",
        lambda opened: verify.run(opened, controls_of(opened), docs),
        dry_run=dry_run,
        as_json=as_json,
    )


@app.command("rollback")
def rollback_(
    context: typer.Context,
    level: Annotated[int, typer.Option(help="1: clients back to v1; 2: also stop v2", min=1, max=2)],
    reason: Annotated[str, typer.Option(help="Why, for the report")],
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Send clients to v1 again; level 2 also stops v2."""
    wanted: Literal[1, 2] = 2 if level == 2 else 1
    run_step(
        context.obj,
        "rollback",
        lambda opened: rollback.run(opened, level=wanted, reason=reason),
        dry_run=dry_run,
        as_json=as_json,
    )


@app.command("decommission")
def decommission_(
    context: typer.Context,
    yes: Annotated[bool, typer.Option("--yes", help="Really: this cannot be undone")] = False,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """After 30 days without a call: remove v1's scripts and its registration."""
    run_step(
        context.obj,
        "decommission",
        lambda opened: decommission.run(opened, yes=yes),
        dry_run=dry_run,
        as_json=as_json,
    )


@app.command("show")
def show(context: typer.Context, step: Annotated[str, typer.Argument(help="A step")], as_json: AsJson = False) -> None:
    """Show the last report of a step."""
    with explained():
        if step not in REPORTS:
            raise MigrationError(f"there is no step {step}: {', '.join(REPORTS)}")
        found = open_context(context.obj).last_report(REPORTS[step][1])
        if found is None:
            raise MigrationError(f"{step} has no report yet")
    print_json(found) if as_json else show_report(found)


@app.command("report")
def report(
    context: typer.Context,
    target: Annotated[Path, typer.Option("--out", help="File to write")] = Path("migration-report.html"),
) -> None:
    """Write all reports as one HTML page, with the monitor's plots."""
    with explained():
        opened = open_context(context.obj)
        reports = [found for _, model in REPORTS.values() if (found := opened.last_report(model))]
        watch = monitor.watch_of(opened)
        plan = watch.plan()
        monitored = any(isinstance(found, MonitoringReport) for found in reports)
        samples = watch.samples(plan) if plan and monitored else {}
        content = Runner(opened).journal.read()
    target.write_text(render(content, reports, plan, samples), encoding="utf-8")
    out.print(f"{target}: {len(reports)} reports")
