"""`outpost migrate`: from v1 to v2, step by step."""

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from outpost_client.cli.output import out, print_json, print_table, since
from outpost_migration.cli.migration import Options, open_context, run_step, show_report
from outpost_migration.html import render
from outpost_migration.registry import STEPS
from outpost_migration.runner import Runner
from outpost_migration.step import Step
from outpost_migration.steps.monitor import watch_of
from outpost_ops.cli.checks import explained
from outpost_ops.errors import OperationError

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
        list[str] | None,
        typer.Option(metavar="STEP=REASON", help="Continue although that step did not pass; repeatable"),
    ] = None,
) -> None:
    """Keep what all steps share."""
    context.obj = Options(context.obj, environment, run, instance, take_over=take_over, despite=tuple(despite or ()))


@app.command("status")
def status(context: typer.Context, as_json: AsJson = False) -> None:
    """Show the steps: state, time, operator, report."""
    with explained():
        content = Runner(open_context(context.obj)).journal.read()
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

    def command(context: typer.Context, *, dry_run: DryRun = False, as_json: AsJson = False, **options: object) -> None:
        run_step(context.obj, step, options, dry_run=dry_run, as_json=as_json)

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
    print_json(found) if as_json else show_report(found)


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
        content = Runner(opened).journal.read()
    target.write_text(render(content, reports, plan, samples), encoding="utf-8")
    out.print(f"{target}: {len(reports)} reports")
