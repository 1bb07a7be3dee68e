"""`outpost`: the command line. A command's module is loaded when the command is called: some take a second."""

import ast
import os
import sys
from collections.abc import Callable, MutableMapping
from importlib.metadata import EntryPoint, entry_points
from importlib.metadata import version as package_version
from importlib.util import find_spec
from io import TextIOWrapper
from pathlib import Path
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
    "secrets": "admin:secrets",
    "mcp": "main:mcp",
    "version": "main:version",
}
"""Command -> the module of `outpost_client.cli` and what in it: a function, or a Typer of more commands."""
GROUP = "outpost.commands"
"""Entry points of other installed packages, each a command: those of operators join where their package is."""


class Commands(TyperGroup):
    """Loads a command when it is called, and lists all without loading any."""

    def __init__(self, **attributes: Any) -> None:  # noqa: ANN401 - what Typer makes of the options below
        super().__init__(**attributes)
        own = {name: EntryPoint(name, f"outpost_client.cli.{target}", GROUP) for name, target in COMMANDS.items()}
        self.entries = own | {each.name: each for each in sorted(entry_points(group=GROUP)) if each.name not in own}
        self.commands: dict[str, Any] = dict.fromkeys(self.entries)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ANN401 - types of Typer's own copy of click
        """Return a command, or None when there is none of that name."""
        if cmd_name in self.entries and self.commands[cmd_name] is None:
            self.commands[cmd_name] = _load(self.entries[cmd_name])
        return super().get_command(ctx, cmd_name)

    def format_commands(self, ctx: Any, formatter: Any) -> None:  # noqa: ANN401 - as above
        """Write the list of commands."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, summary(entry)) for name, entry in self.entries.items()])


def _load(entry: EntryPoint) -> Any:  # noqa: ANN401 - as above
    found: typer.Typer | Callable[..., None] = entry.load()
    if isinstance(found, typer.Typer):
        found.rich_markup_mode = None
        group = get_group(found)
        group.name = entry.name
        return group
    alone = typer.Typer(add_completion=False, rich_markup_mode=None)
    alone.command(entry.name)(found)
    return get_command(alone)


def summary(entry: EntryPoint) -> str:
    """Return the first line of a command's help, as its source has it: to import all commands takes two seconds.

    It is empty for a command of another package that says it in another way, or that cannot be found.
    """
    try:
        spec = find_spec(entry.module)
        source = Path(spec.origin or "" if spec else "").read_bytes()
    except (ImportError, OSError):
        return ""
    for statement in ast.parse(source).body:
        match statement:
            case ast.FunctionDef(name=entry.attr):
                return (ast.get_docstring(statement) or "").partition("\n")[0]
            case ast.Assign(targets=[ast.Name(id=entry.attr)], value=ast.Call(keywords=keywords)):
                return next((str(ast.literal_eval(each.value)) for each in keywords if each.arg == "help"), "")
    return ""


app = typer.Typer(
    cls=Commands,
    help="Dispatch coding tasks to AI agents, each in its own container, and get what they produce.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # with Rich, help takes twice as long
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


def version() -> None:
    """Print the version."""
    print(package_version("outpost-client"))


def mcp(context: typer.Context) -> None:
    """Serve Outpost's tools to an MCP client over standard input and output.

    An MCP client starts this by itself; where it can reach the service, `<url>/mcp` does the same without it.
    """
    from outpost_client.cli.connection import configured  # noqa: PLC0415 - only this command needs them here
    from outpost_client.mcp.stdio import serve  # noqa: PLC0415

    profile = configured(context)
    serve(profile.url, profile.key)


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
