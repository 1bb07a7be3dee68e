"""`outpost`: the command line. A command's module is loaded when the command is called: some take a second."""

import os
import sys
from collections.abc import Callable, MutableMapping
from importlib.metadata import EntryPoint, entry_points
from importlib.metadata import version as package_version
from io import TextIOWrapper
from typing import Annotated, Any

import typer
from typer.core import TyperGroup
from typer.main import get_command, get_group

from outpost_client.cli import URL_VARIABLE

COMMANDS = {
    "dispatch": "dispatches:dispatch",
    "status": "dispatches:status",
    "logs": "dispatches:logs",
    "list": "dispatches:list_",
    "cancel": "dispatches:cancel",
    "artifacts": "dispatches:artifacts",
    "promote": "dispatches:promote",
    "release": "dispatches:release",
    "usage": "usage:usage",
    "keys": "admin:keys",
    "tenants": "admin:tenants",
    "secrets": "secrets:app",
    "mcp": "mcp:mcp",
}
"""Command -> the module of `outpost_client.cli` and what in it: a function, or a Typer of more commands."""
GROUP = "outpost.commands"
"""Entry points of other installed packages, each a command: those of operators join where their package is."""


def _commands() -> dict[str, EntryPoint]:
    """Return the command line's own commands, then those of other packages, by name."""
    own = {name: EntryPoint(name, f"outpost_client.cli.{target}", GROUP) for name, target in COMMANDS.items()}
    return own | {each.name: each for each in sorted(entry_points(group=GROUP)) if each.name not in own}


class Commands(TyperGroup):
    """Loads a command when it is asked for."""

    def __init__(self, **attributes: Any) -> None:  # noqa: ANN401 - what Typer makes of the options below
        super().__init__(**attributes)
        self._available = _commands()
        self.commands: dict[str, Any] = dict.fromkeys(self._available) | self.commands

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ANN401 - types of Typer's own copy of click
        """Return a command, or None when there is none of that name."""
        if cmd_name in self._available and self.commands[cmd_name] is None:
            self.commands[cmd_name] = _load(self._available[cmd_name])
        return super().get_command(ctx, cmd_name)


def _load(entry: EntryPoint) -> Any:  # noqa: ANN401 - as above
    found: typer.Typer | Callable[..., None] = entry.load()
    if isinstance(found, typer.Typer):
        group = get_group(found)
        group.name = entry.name
        return group
    alone = typer.Typer(add_completion=False)
    alone.command(entry.name)(found)
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
    print(package_version("outpost-client"))


def main() -> None:
    """Run the command line."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # not every console has every character
    _reach_loopback_directly(os.environ)
    app()


def _reach_loopback_directly(environ: MutableMapping[str, str]) -> None:
    """Except this machine from the user's proxy, for this process and those that it starts: a proxy is elsewhere."""
    excepted = environ.get("no_proxy", environ.get("NO_PROXY", ""))
    names = ",".join(filter(None, (excepted, "localhost,127.0.0.1,::1")))
    environ["no_proxy"] = environ["NO_PROXY"] = names
