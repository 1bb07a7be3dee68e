"""`outpost acceptance`: prove a deployed environment, and write the report that proves it to others."""

from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from outpost_client.cli.output import err, print_json
from outpost_ops.acceptance.report import write
from outpost_ops.acceptance.runner import accept
from outpost_ops.acceptance.target import Target
from outpost_ops.cli.checks import EXIT_CODES, aws_session, explained, show_checks, use_local
from outpost_ops.cli.controls import CONFIG, Environment
from outpost_ops.config import load
from outpost_ops.verify.deployed import Deployed


def acceptance(
    context: typer.Context,
    environment: Environment = "local",
    repository: Annotated[
        str | None, typer.Option("--repo", help="A test repository: results are pushed to branches of it")
    ] = None,
    folder: Annotated[Path, typer.Option(help="Where the report is written, as JSON and HTML")] = Path(
        "build/acceptance"
    ),
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON instead of a list")] = False,
) -> None:
    """Prove a deployed environment through its public address. Exit code: 0 accepted, 1 not, 3 inconclusive.

    It makes a tenant `outpost-acceptance`, dispatches to each enabled agent that has a key, and reads the account.
    """
    with explained():
        address = use_local() if environment == "local" else None
        config = load(CONFIG / f"{environment}.toml")
        target = Target(Deployed(config, aws_session(config.region)), context.obj or address)
        report = accept(target, repository, lambda check: None if as_json else show_checks([check]))
    for file in write(report, folder):
        err.print(Text(str(file), style="dim"))
    if as_json:
        print_json(report)
    raise typer.Exit(EXIT_CODES[report.status])
