"""`outpost migrate`: from v1 to v2, step by step."""

import getpass
import inspect
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.text import Text

from outpost.names import MigrationOutput
from outpost_client.cli.connection import ProfileError, load_profile
from outpost_client.cli.output import err, out, print_json, print_table, printable, since
from outpost_migration.context import Context, Deployment
from outpost_migration.html import render
from outpost_migration.registry import STEPS
from outpost_migration.runner import run_step
from outpost_migration.step import Report, Step
from outpost_migration.steps.monitor import watch_of
from outpost_ops.cli.checks import EXIT_CODES, STYLES, aws_session, explained, show_checks, use_local
from outpost_ops.errors import OperationError

app = typer.Typer(help="Migrate from v1 (scripts over SSM), step by step.", no_args_is_help=True)

DryRun = Annotated[bool, typer.Option("--dry-run", help="Show what would change; change nothing")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the report as JSON")]
Run = Annotated[str, typer.Option(help="Name of the migration run")]


@dataclass(frozen=True)
class Options:
    """The options of the group."""

    url: str | None
    environment: str
    run: str
    instance: str | None = None
    take_over: bool = False
    despite: Sequence[str] = ()

    def reasons(self) -> dict[str, str]:
        """Return the reasons to continue, by step. Raises OperationError for one that is missing."""
        reasons = {}
        for text in self.despite:
            step, _, reason = map(str.strip, text.partition("="))
            if not reason:
                raise OperationError(f"--despite {text!r} lacks a reason: outpost migrate --despite STEP=REASON ...")
            reasons[step] = reason
        return reasons


@app.callback()
def configure(
    context: typer.Context,
    environment: Annotated[
        str, typer.Option("--environment", "-e", envvar="OUTPOST_ENVIRONMENT", help="The environment to migrate to")
    ] = "local",
    run: Run = "v1-to-v2",
    instance: Annotated[str | None, typer.Option(help="v1's instance (mi-...), if there are several")] = None,
    take_over: Annotated[bool, typer.Option("--take-over", help="Take the lock of an operator who stopped")] = False,
    despite: Annotated[
        list[str] | None,
        typer.Option(metavar="STEP=REASON", help="Continue although that step did not pass; repeatable"),
    ] = None,
) -> None:
    """Keep what all steps share."""
    context.obj = Options(context.obj, environment, run, instance, take_over=take_over, despite=tuple(despite or ()))


def open_context(options: Options, *, dry_run: bool = False) -> Context:
    """Look up the environment and the operator. Raises OperationError, ClientError and BotoCoreError."""
    local_url = use_local() if options.environment == "local" else None
    session = aws_session()
    deployment = Deployment.find(options.environment, session)
    try:
        profile = load_profile(options.url or local_url)
        url, key = profile.url, profile.key
    except ProfileError:
        url, key = options.url or local_url or deployment[MigrationOutput.API_URL], None
    caller = session.client("sts").get_caller_identity()["Arn"]
    return Context(
        deployment=deployment,
        run=options.run,
        operator=f"{getpass.getuser()}@{socket.gethostname()} ({caller})",
        url=url.rstrip("/"),
        key=key,
        dry_run=dry_run,
        instance=options.instance,
        progress=lambda line: err.print(Text(f"  {printable(line.splitlines()[0])}", style="dim")),
    )


def spinner(what: str) -> Progress:
    """Show on a terminal what runs, and for how long; lines of its progress appear above."""
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    shown = Progress(*columns, console=err, transient=True, disable=not err.is_terminal)
    shown.add_task(what, total=None)
    return shown


@app.command("status")
def status(context: typer.Context, as_json: AsJson = False) -> None:
    """Show the steps: state, time, operator, report."""
    with explained():
        content = open_context(context.obj).journal.read()
    if as_json:
        print_json(content)
        return
    rows: list[tuple[str, ...]] = []
    for step in STEPS:
        if entry := content.entries.get(step):
            when, result = since(entry.ended_at or entry.started_at), entry.report or entry.error or ""
            rows.append((step, entry.state, when, entry.operator, result))
        else:
            rows.append((step, "-", "", "", ""))
    print_table("STEP", "STATE", "WHEN", "OPERATOR", "REPORT", rows=rows)
    if content.holder and not content.holder.gone:
        out.print(f"{content.holder.operator} runs a step now.")


def _command(step: Step[Any]) -> Callable[..., None]:
    """Return the command of a step: with its own options, then those of every step."""

    def command(context: typer.Context, *, dry_run: DryRun = False, as_json: AsJson = False, **own: Any) -> None:
        options: Options = context.obj
        with explained():
            reasons, opened = options.reasons(), open_context(options, dry_run=dry_run)
            with spinner(step.name):
                report = run_step(opened, step, despite=reasons, take_over=options.take_over, **own)
        _show(report, as_json=as_json)
        raise typer.Exit(EXIT_CODES[report.status])

    signature = inspect.signature(command)
    first, *shared, _ = signature.parameters.values()
    command.__signature__ = signature.replace(parameters=[first, *step.options, *shared])  # type: ignore[attr-defined]
    return command


for _step in STEPS.values():
    app.command(_step.name, help=_step.help)(_command(_step))


@app.command("show")
def show(context: typer.Context, step: Annotated[str, typer.Argument(help="A step")], as_json: AsJson = False) -> None:
    """Show the last report of a step."""
    with explained():
        if step not in STEPS:
            raise OperationError(f"there is no step {step}: {', '.join(STEPS)}")
        found = open_context(context.obj).last_report(STEPS[step].report)
        if found is None:
            raise OperationError(f"{step} has no report yet")
    _show(found, as_json=as_json)


def _show(report: Report, *, as_json: bool) -> None:
    """Show what was changed, what was checked, and the status."""
    if as_json:
        print_json(report)
        return
    if report.changes:
        out.print(Text("Would change" if report.dry_run else "Changed", style="bold"))
        for change in report.changes:
            out.print(Text("\n".join(f"  {printable(line)}" for line in change.splitlines())))
    show_checks(report.checks)
    out.print(Text.assemble((report.step, "bold"), ": ", (report.status, STYLES[report.status])))


@app.command("report")
def report(
    context: typer.Context,
    target: Annotated[Path, typer.Option("--out", help="File to write")] = Path("migration-report.html"),
) -> None:
    """Write all reports as one HTML page, with the monitor's plots."""
    with explained():
        opened = open_context(context.obj)
        reports = [found for step in STEPS.values() if (found := opened.last_report(step.report))]
        watch = watch_of(opened)
        plan = watch.plan()
        samples = watch.samples(plan) if plan else {}
        content = opened.journal.read()
    target.write_text(render(content, reports, plan, samples), encoding="utf-8")
    out.print(f"{target}: {len(reports)} reports")
