"""`outpost`: the command line. A command's module is loaded when the command is called: some take a second."""

from collections.abc import Callable
from importlib import import_module
from importlib.metadata import version as package_version
from typing import Annotated, Any

import typer
from typer.core import TyperGroup
from typer.main import get_command, get_group

from outpost.cli.connection import URL_VARIABLE
from outpost.cli.output import out

COMMANDS = {
    "dispatch": "dispatches:dispatch",
    "status": "dispatches:status",
    "logs": "dispatches:logs",
    "list": "dispatches:list_",
    "cancel": "dispatches:cancel",
    "artifacts": "dispatches:artifacts",
    "promote": "dispatches:promote",
    "keys": "admin:keys",
    "tenants": "admin:tenants",
    "secrets": "secrets:app",
    "audit": "audit:audit",
    "cost": "cost:cost",
    "mcp": "mcp:mcp",
    "local": "local:app",
    "migrate": "migrate:app",
    "verify": "verify:app",
}
"""Command -> the module of `outpost.cli` and what in it: a function, or a Typer of more commands."""


class Commands(TyperGroup):
    """Loads a command when it is asked for."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ANN401 - a Context of Typer's own copy of click
        """Return all names, in the order of the help."""
        return [*COMMANDS, *super().list_commands(ctx)]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ANN401 - as above
        """Return a command, or None when there is none of that name."""
        if cmd_name not in COMMANDS:
            return super().get_command(ctx, cmd_name)
        module, _, name = COMMANDS[cmd_name].partition(":")
        found: typer.Typer | Callable[..., None] = getattr(import_module(f"outpost.cli.{module}"), name)
        if isinstance(found, typer.Typer):
            group = get_group(found)
            group.name = cmd_name
            return group
        alone = typer.Typer(add_completion=False)
        alone.command(cmd_name)(found)
        return get_command(alone)


app = typer.Typer(
    cls=Commands,
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


@app.command()
def version() -> None:
    """Print the version."""
    out.print(package_version("outpost"))


def main() -> None:
    """Run the command line."""
    app()
