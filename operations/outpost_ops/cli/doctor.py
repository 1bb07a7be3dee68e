"""`outpost doctor`: what of an account stands in the way of a deploy."""

from typing import Annotated

import typer
from rich.text import Text

from outpost.domain.ids import now
from outpost_client.cli.output import err, out, print_json, printable
from outpost_ops.cli.checks import aws_session, explained, use_local
from outpost_ops.cli.controls import CONFIG, Environment
from outpost_ops.cli.synthesis import synthesized
from outpost_ops.config import load
from outpost_ops.doctor.cost import check_cost
from outpost_ops.doctor.docker import check_docker
from outpost_ops.doctor.examine import examine
from outpost_ops.doctor.finding import Finding, Level, exit_code
from outpost_ops.verify.deployed import Account

_STYLES = {Level.OK: "green", Level.WARNING: "yellow", Level.FAILURE: "red", Level.UNCHECKED: "yellow"}


def doctor(
    environment: Environment = "dev",
    as_json: Annotated[bool, typer.Option("--json", help="Print one finding a line as JSON")] = False,
) -> None:
    """Read the account before a deploy and report what stands in the way; it changes nothing.

    Exit code: 0 nothing does (there may be warnings), 1 something does, 2 the configuration is wrong,
    3 something could not be read.
    """
    with explained():
        config = load(CONFIG / f"{environment}.toml")
        if environment == "local":
            use_local()
        with err.status("reading the account"):
            synthesis = synthesized(environment)
            findings = [] if environment == "local" else list(check_docker(config))
            findings += check_cost(config, synthesis.templates)
            account = Account(config, aws_session())
            findings += examine(account, synthesis.templates, synthesis.bootstrap_version, now())
    if as_json:
        for finding in findings:
            print_json(finding._asdict())
    else:
        _show(findings)
    raise typer.Exit(exit_code(findings))


def _show(findings: list[Finding]) -> None:
    for finding in findings:
        out.print(Text.assemble((f"{finding.level:<10}", _STYLES[finding.level]), (finding.check, "bold")))
        out.print(Text(f"{'':10}{printable(finding.message)}", style="dim"))
        if finding.remedy:
            out.print(Text(f"{'':10}{printable(finding.remedy)}"))
