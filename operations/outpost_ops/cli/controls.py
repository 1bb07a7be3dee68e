"""`outpost verify controls`: the seven controls, live."""

from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from outpost.report import Check, ControlsReport, overall
from outpost_client.cli.output import err, print_json
from outpost_ops.cli.checks import EXIT_CODES, aws_session, explained, show_checks, use_local
from outpost_ops.config import load
from outpost_ops.verify.controls import verify_controls
from outpost_ops.verify.deployed import Deployed

CONFIG = Path(__file__).resolve().parents[3] / "config"

Environment = Annotated[
    str,
    typer.Option("--environment", "--env", "-e", envvar="OUTPOST_ENVIRONMENT", help="A file of config/, without .toml"),
]


def live_controls(environment: str) -> list[Check]:
    """Check the seven controls of an environment of `config/`. Raises ConfigError and NotDeployedError."""
    config = load(CONFIG / f"{environment}.toml")
    return verify_controls(Deployed(config, aws_session(config.region)))


def controls(
    environment: Environment = "local",
    report: Annotated[Path | None, typer.Option(help="Write the result as JSON into this file as well")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON instead of a table")] = False,
) -> None:
    """Check the seven controls of a deployed environment. Exit code: 0 all pass, 1 one fails, 3 inconclusive."""
    with explained():
        if environment == "local":
            use_local()
        checks = live_controls(environment)
    result = ControlsReport.of(environment, checks)
    if report is not None:
        report.parent.mkdir(parents=True, exist_ok=True)
        report.write_text(result.model_dump_json(indent=2) + "\n", encoding="utf-8")
        err.print(Text(str(report), style="dim"))
    print_json(result) if as_json else show_checks(checks)
    raise typer.Exit(EXIT_CODES[overall(checks)])
