"""`outpost verify`: live checks of a deployed environment."""

from pathlib import Path
from typing import Annotated

import typer

from outpost.report import overall
from outpost_client.cli.output import print_json
from outpost_migration.acceptance import DOCS, Acceptance
from outpost_migration.cli.migrate import Options, Run, open_context, spinner
from outpost_ops.cli.checks import EXIT_CODES, explained, show_checks
from outpost_ops.cli.controls import controls

app = typer.Typer(help="Check a deployed environment, live.", no_args_is_help=True)

app.command()(controls)


@app.command("acceptance")
def acceptance(
    context: typer.Context,
    environment: Annotated[
        str, typer.Option("--environment", "-e", envvar="OUTPOST_ENVIRONMENT", help="The environment")
    ] = "local",
    run: Run = "v1-to-v2",
    docs: Annotated[Path, typer.Option(help="Folder of the documentation")] = DOCS,
    as_json: Annotated[bool, typer.Option("--json", help="Print one check a line as JSON")] = False,
) -> None:
    """Look at the nine acceptance criteria of the migration. Exit code: 0 all pass, 1 one fails, 3 inconclusive."""
    with explained():
        opened = open_context(Options(url=context.obj, environment=environment, run=run))
        with spinner("nine criteria"):
            checks = Acceptance(opened, docs).checks()
    if as_json:
        for check in checks:
            print_json(check)
    else:
        show_checks(checks)
    raise typer.Exit(EXIT_CODES[overall(checks)])
