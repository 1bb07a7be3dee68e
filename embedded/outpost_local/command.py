"""`outpost local`: a whole Outpost on this machine, on the embedded AWS."""

import os
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, cast

import typer
from rich.text import Text

from outpost_client.cli.connection import ERROR, LOCAL_PROFILE
from outpost_client.cli.options import Json
from outpost_client.cli.output import err, out, print_json, print_table, print_text, show_error
from outpost_local import processes
from outpost_local.cdk import CdkApp
from outpost_local.environment import DEFAULT_GIT_PORT, DEFAULT_PORT, LocalEnvironment
from outpost_local.errors import LocalError
from outpost_local.first_run import api_url, bring_up, command, operator_key, short, step, try_it
from outpost_local.settings import Engine
from outpost_local.v1 import ensure_host
from outpost_ops.cli.checks import explained

app = typer.Typer(help="Run a whole Outpost on this machine, on an embedded AWS.", no_args_is_help=True)

DATA = LOCAL_PROFILE.parent


@app.command()
def up(
    engine: Annotated[Engine, typer.Option(help="What runs container images; process needs no engine")] = "process",
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port of the embedded AWS on 127.0.0.1")] = DEFAULT_PORT,
    git_port: Annotated[
        int, typer.Option(min=1, max=65535, help="Port of the git server on 127.0.0.1")
    ] = DEFAULT_GIT_PORT,
    agent: Annotated[
        list[str] | None, typer.Option(help="An agent with a model, beside those of config/local.toml; may be repeated")
    ] = None,
) -> None:
    """Start and deploy everything, then run a first task. Run again, it brings everything up to date."""
    with _explained():
        environment = LocalEnvironment(
            DATA,
            port,
            git_port,
            engine,
            app=CdkApp(agents=tuple(agent or ())),
            # The agents' programs are those that the user has.
            task_environment={"PATH": os.environ["PATH"]},
        )
        code = try_it(environment, bring_up(environment))
    raise typer.Exit(code)


@app.command()
def down() -> None:
    """Stop what `up` started and remove its data, except the git server's repositories; nothing else."""
    environment = present()
    with _explained(), step("Stopped and removed"):
        environment.remove()
    if environment.git.has_repositories:
        err.print(
            f"The git repositories stay in {short(environment.git.repositories)}; the next `make up` serves them."
        )


@app.command()
def status(as_json: Json = False) -> None:
    """Show what runs."""
    with _explained():
        environment = present()
        found = environment.status()
        if as_json:
            print_json(asdict(found))
            return
        if not found.running:
            out.print("Nothing runs. Start it: make up")
            return
        rows = [
            ("embedded AWS", found.endpoint, f"process {found.server_pid}"),
            ("git server", found.git_url, "runs" if found.git_running else "does not run: make up"),
            ("API", api_url(environment) if found.deployed else "", "" if found.deployed else "not deployed: make up"),
            *(("task", task, family) for task, family in found.tasks.items()),
        ]
        print_table("PART", "WHERE", "STATE", rows=rows)


@app.command()
def logs(
    part: Annotated[str, typer.Argument(help="server, git, or the id of a task")] = "server",
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Continue until Ctrl-C")] = False,
    lines: Annotated[int, typer.Option("--lines", "-n", min=1, help="How many of the last lines")] = 50,
) -> None:
    """Print the log of the embedded AWS, of the git server or of a task."""
    folder = present().settings.logs_dir
    known = {log.stem: log for log in [*folder.glob("*.log"), *folder.glob("tasks/*.log")]}
    if part not in known:
        show_error(f"There is no log of {part!r}. There are: {' '.join(known) or 'none; start it with make up'}")
        raise typer.Exit(ERROR)
    err.print(Text(str(known[part]), style="dim"))
    for line in _tail(known[part], lines, follow=follow):
        print_text(line)


@app.command()
def v1() -> None:
    """Add a v1 host to migrate from: a managed instance with v1's scripts, which runs SSM Run Command's commands."""
    with _explained():
        environment = present()
        if not environment.status().deployed:
            raise LocalError("nothing is deployed; start it: make up")
        with step("v1 host registered with Systems Manager"):
            repository = environment.git.create_sample_repository()
            host = ensure_host(environment.settings.data_dir, environment.git.url)
    out.print(f"{host.instance_id} runs SSM Run Command's commands; its disk is in {host.base}")
    err.print("\nTry next, in this order (the scripts are v1's, the sample repository is the git server's):")
    for arguments in ("preflight", "audit", "archive", f"shadow --repo {repository} --agent shell", "status"):
        err.print(f"  {command()} migrate {arguments}")


@app.command("operator-key")
def print_operator_key() -> None:
    """Print the operator's key, for `keys` and `tenants`: OUTPOST_API_KEY=$(outpost local operator-key)."""
    with _explained():
        environment = present()
        if not environment.status().deployed:
            raise LocalError("nothing is deployed; start it: make up")
        print(operator_key(environment))


def present() -> LocalEnvironment:
    """Return the environment of this checkout, on the ports on which it runs."""
    server = processes.find("server", DATA)
    return LocalEnvironment(
        DATA,
        server.port if server else DEFAULT_PORT,
        server.git_port if server else DEFAULT_GIT_PORT,
        cast("Engine", server.detail) if server else "process",
    )


def use() -> str:
    """Point this process at the embedded AWS of this checkout; return the URL of its API. Raises `LocalError`."""
    environment = present()
    if not environment.status().deployed:
        raise LocalError("nothing is deployed on this machine: run `make up` and `make v1`, or name --environment")
    for variable in ("AWS_PROFILE", "AWS_DEFAULT_PROFILE"):  # it may name one that has nothing to do with this machine
        os.environ.pop(variable, None)
    os.environ.update(environment.environ())
    return api_url(environment)


def _explained() -> AbstractContextManager[None]:
    """End the command with what went wrong, and point to the service's log."""
    return explained(f"The service's log has more: {command()} local logs")


def _tail(log: Path, lines: int, *, follow: bool) -> Iterator[str]:
    with log.open(encoding="utf-8", errors="replace") as file:
        yield from file.readlines()[-lines:]
        while follow:
            if line := file.readline():
                yield line
            else:
                time.sleep(0.3)
