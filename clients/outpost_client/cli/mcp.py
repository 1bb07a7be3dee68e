"""`outpost mcp`: the MCP server over standard input and output, for clients that start their servers themselves."""

import typer

from outpost_client.cli.connection import ERROR, ProfileError, load_profile
from outpost_client.cli.output import show_error


def mcp(context: typer.Context) -> None:
    """Serve Outpost's tools to an MCP client over standard input and output.

    An MCP client starts this by itself; where it can reach the service, `<url>/mcp` does the same without it.
    """
    from outpost_client.mcp.stdio import serve  # noqa: PLC0415 - takes half a second, which the list of commands has not

    try:
        profile = load_profile(context.obj)
    except ProfileError as error:
        show_error(str(error))
        raise typer.Exit(ERROR) from error
    serve(profile.url, profile.key)
