"""What the commands of `outpost migrate` and `outpost verify` share: their environment, and how results are shown."""

import getpass
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import typer
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.text import Text

from outpost.names import MigrationOutput
from outpost_client.cli.connection import ProfileError, load_profile
from outpost_client.cli.output import err, out, print_json, printable
from outpost_migration.context import Context
from outpost_migration.deployment import Deployment
from outpost_migration.reports import Report
from outpost_migration.runner import Runner
from outpost_migration.step import Step
from outpost_ops.cli.checks import EXIT_CODES, STYLES, aws_session, explained, show_checks, use_local
from outpost_ops.errors import OperationError


@dataclass(frozen=True)
class Options:
    """The options of the group."""

    url: str | None
    environment: str
    run: str
    instance: str | None = None
    take_over: bool = False
    despite: Sequence[str] = ()


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


def run_step(options: Options, step: Step[Any], own: Mapping[str, Any], *, dry_run: bool, as_json: bool) -> None:
    """Run a step with its own options, show its report, and end with the exit code of its status."""
    with explained():
        reasons = dict(_reason(text) for text in options.despite)
        context = open_context(options, dry_run=dry_run)
        with spinner(step.name):
            report = Runner(context).run(step, despite=reasons, take_over=options.take_over, **own)
    print_json(report) if as_json else show_report(report)
    raise typer.Exit(EXIT_CODES[report.status])


def spinner(what: str) -> Progress:
    """Show on a terminal what runs, and for how long; lines of its progress appear above."""
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    shown = Progress(*columns, console=err, transient=True, disable=not err.is_terminal)
    shown.add_task(what, total=None)
    return shown


def _reason(text: str) -> tuple[str, str]:
    step, separator, reason = text.partition("=")
    if not separator or not reason.strip():
        raise OperationError(f"--despite {text!r} lacks a reason: outpost migrate --despite STEP=REASON ...")
    return step.strip(), reason.strip()


def show_report(report: Report) -> None:
    """Show what was changed, what was checked, and the status."""
    if report.changes:
        out.print(Text("Would change" if report.dry_run else "Changed", style="bold"))
        for change in report.changes:
            out.print(Text("\n".join(f"  {printable(line)}" for line in change.splitlines())))
    show_checks(report.checks)
    out.print(Text.assemble((report.step, "bold"), ": ", (report.status, STYLES[report.status])))
