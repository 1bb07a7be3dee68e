"""`outpost`: the command line."""

from importlib.metadata import version as package_version
from typing import Annotated

import typer

from outpost.cli import admin, audit, cost, dispatches, local, mcp, migrate, secrets, verify
from outpost.cli.connection import URL_VARIABLE
from outpost.cli.output import out

app = typer.Typer(
    help="Dispatch coding tasks to AI agents, each in its own container, and get what they produce.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


@app.callback()
def configure(
    context: typer.Context,
    url: Annotated[
        str | None, typer.Option(envvar=URL_VARIABLE, help="The service; by default that of `make up`")
    ] = None,
) -> None:
    """Keep what all commands share; the key comes from OUTPOST_API_KEY or the profile."""
    context.obj = url


app.command()(dispatches.dispatch)
app.command()(dispatches.status)
app.command()(dispatches.logs)
app.command("list")(dispatches.list_)
app.command()(dispatches.cancel)
app.command()(dispatches.artifacts)
app.command()(audit.audit)
app.command()(dispatches.promote)
app.command()(mcp.mcp)
app.add_typer(admin.keys, name="keys")
app.add_typer(admin.tenants, name="tenants")
app.add_typer(secrets.app, name="secrets")
app.add_typer(local.app, name="local")
app.add_typer(migrate.app, name="migrate")
app.add_typer(verify.app, name="verify")
app.command()(cost.cost)


@app.command()
def version() -> None:
    """Print the version."""
    out.print(package_version("outpost"))


def main() -> None:
    """Run the command line."""
    app()
