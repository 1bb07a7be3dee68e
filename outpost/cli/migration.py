"""What the commands of `outpost migrate` and `outpost verify` share: which environment, and how results are shown."""

import getpass
import os
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import typer
from botocore.exceptions import BotoCoreError, ClientError
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.text import Text

from outpost.cli.aws import aws_session
from outpost.migrate.context import Context
from outpost.migrate.deployment import Deployment
from outpost.migrate.errors import MigrationError
from outpost.migrate.reports import Report
from outpost.migrate.runner import Action, Runner
from outpost.names import MigrationOutput
from outpost.verify.report import Check
from outpost_client import ApiError
from outpost_client.cli.connection import ERROR, ProfileError, load_profile
from outpost_client.cli.output import err, out, print_json, printable, show_error

STYLES = {"pass": "green", "fail": "red", "inconclusive": "yellow", "error": "red", "running": "blue"}
EXIT_CODES = {"pass": 0, "fail": 1, "inconclusive": 3}
"""Exit codes of a step; 2 is an error."""


@dataclass(frozen=True)
class Options:
    """What the group's options say."""

    url: str | None
    environment: str
    run: str
    instance: str | None = None
    take_over: bool = False
    despite: Sequence[str] = ()


def open_context(options: Options, *, dry_run: bool = False) -> Context:
    """Find the environment and whoever runs the command. Raises MigrationError and what AWS answers."""
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


def use_local() -> str | None:
    """Point this process at the embedded AWS of this checkout; return where its API answers.

    Whoever names another endpoint in AWS_ENDPOINT_URL means that one.
    """
    if os.environ.get("AWS_ENDPOINT_URL"):
        return None
    from outpost_local.command import present  # noqa: PLC0415
    from outpost_local.first_run import api_url  # noqa: PLC0415 - only machines with the embedded AWS have it

    environment = present()
    if not environment.status().deployed:
        raise MigrationError("nothing is deployed on this machine: run `make up` and `make v1`, or name --environment")
    for variable in ("AWS_PROFILE", "AWS_DEFAULT_PROFILE"):  # it may name one that has nothing to do with this machine
        os.environ.pop(variable, None)
    os.environ.update(environment.environ())
    return api_url(environment)


@contextmanager
def explained() -> Iterator[None]:
    """End the command with what went wrong."""
    try:
        yield
    except MigrationError as error:
        show_error(str(error))
        raise typer.Exit(ERROR) from error
    except ApiError as error:
        show_error(error.message, code=error.code, details=error.details, request_id=error.request_id)
        raise typer.Exit(ERROR) from error
    except ClientError as error:
        show_error(
            f"{error.operation_name}: {error.response['Error']['Message']}", code=error.response["Error"]["Code"]
        )
        show_error("The step can be run again: what is done is not done twice.")
        raise typer.Exit(ERROR) from error
    except BotoCoreError as error:
        show_error(f"AWS cannot be reached: {error}")
        show_error("Check credentials and region; the step can be run again.")
        raise typer.Exit(ERROR) from error


def run_step(
    options: Options,
    step: str,
    action: Action,
    *,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Run a step, show its report, and end with the exit code of its status."""
    with explained():
        reasons = dict(_reason(text) for text in options.despite)
        context = open_context(options, dry_run=dry_run)
        with under_way(step):
            report = Runner(context).run(step, action, despite=reasons, take_over=options.take_over)
    print_json(report) if as_json else show_report(report)
    raise typer.Exit(EXIT_CODES[report.status])


def under_way(what: str) -> Progress:
    """Show on a terminal that something goes on, and for how long; the lines of its progress appear above."""
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    shown = Progress(*columns, console=err, transient=True, disable=not err.is_terminal)
    shown.add_task(what, total=None)
    return shown


def _reason(text: str) -> tuple[str, str]:
    step, separator, reason = text.partition("=")
    if not separator or not reason.strip():
        raise MigrationError(f"--despite {text!r} lacks a reason: outpost migrate --despite STEP=REASON ...")
    return step.strip(), reason.strip()


def show_report(report: Report) -> None:
    """Show what was changed, what was checked, and what came of it."""
    if report.changes:
        out.print(Text("Would change" if report.dry_run else "Changed", style="bold"))
        for change in report.changes:
            out.print(Text("\n".join(f"  {printable(line)}" for line in change.splitlines())))
    show_checks(report.checks)
    out.print(Text.assemble((report.step, "bold"), ": ", (report.status, STYLES[report.status])))


def show_checks(checks: Sequence[Check]) -> None:
    """Show each check with its evidence, and what to do about those that did not pass."""
    for check in checks:
        out.print(Text.assemble((f"{check.status:<13}", STYLES[check.status]), (check.title, "bold")))
        for line in check.evidence:
            out.print(Text(f"{'':13}{printable(line)}", style="dim"))
        if check.remedy:
            out.print(Text(f"{'':13}{check.remedy}"))
