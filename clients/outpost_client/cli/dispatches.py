"""The commands for dispatches: create, show, follow, cancel, fetch and publish their results."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from outpost_client.cli.connection import ERROR, connect
from outpost_client.cli.options import Cursor, Id, Json, Watch, dollars, parse_tags
from outpost_client.cli.output import (
    err,
    findings_text,
    log_text,
    out,
    print_dispatch,
    print_json,
    print_page,
    print_table,
    show_error,
    since,
    status_text,
)
from outpost_client.cli.watch import EXIT_CODES, watch
from outpost_client.models import Artifact, Dispatch, DispatchRequest, PromotionRequest, ReleaseRequest

if TYPE_CHECKING:
    from outpost_client.session import Client


def dispatch(  # noqa: PLR0913 - an option for each field of POST /dispatch
    context: typer.Context,
    *,
    agent: Annotated[str, typer.Argument(help="Such as claude, codex or shell: an agent that the service has")],
    task: Annotated[str | None, typer.Argument(help="What to do, 10 to 50,000 characters")] = None,
    file: Annotated[
        Path | None, typer.Option("--file", "-F", help="Read the task from a file; - is standard input")
    ] = None,
    repo: Annotated[str | None, typer.Option(help="Repository: owner/name or an https URL")] = None,
    branch: Annotated[str | None, typer.Option(help="Branch to start from")] = None,
    model: Annotated[str | None, typer.Option(help="Model id, or flagship, balanced, fast")] = None,
    timeout: Annotated[int | None, typer.Option(help="Seconds the agent may run")] = None,
    queue_timeout: Annotated[int | None, typer.Option(help="Seconds the task may wait for a worker")] = None,
    context_level: Annotated[str | None, typer.Option("--context", help="minimal, standard, full")] = None,
    workspace_mode: Annotated[str | None, typer.Option(help="ephemeral or persistent")] = None,
    workspace: Annotated[str | None, typer.Option(help="Id of a persistent workspace")] = None,
    init_mode: Annotated[str | None, typer.Option("--workspace-init-mode", help="full, minimal, none")] = None,
    secret: Annotated[list[str] | None, typer.Option(help="Name of a secret of the tenant to give; repeatable")] = None,
    collect: Annotated[
        list[str] | None,
        typer.Option(metavar="GLOB", help="Files to keep as they are, ignored ones too, as dist/*.whl; repeatable"),
    ] = None,
    tag: Annotated[list[str] | None, typer.Option(metavar="KEY:VALUE", help="Tag; repeatable")] = None,
    retryable: Annotated[bool, typer.Option("--retryable", help="Running twice does no harm")] = False,
    max_cost_usd: Annotated[
        float | None, dollars("What its model calls may cost, all attempts together; from 0.01")
    ] = None,
    idempotency_key: Annotated[str | None, typer.Option(help="The same key within 24 h dispatches once")] = None,
    watch_it: Watch = False,
    as_json: Json = False,
) -> None:
    """Dispatch a task; with --watch, follow it to its end.

    Exit code with --watch: 0 success, 1 failed, 124 timeout, 130 cancelled; 2 when the task was not accepted.
    """
    request = DispatchRequest(
        agent=agent,
        task=_task_text(task, file),
        model_id=model,
        repo=repo,
        branch=branch,
        context=context_level,
        workspace_mode=workspace_mode,
        workspace_id=workspace,
        workspace_init_mode=init_mode,
        timeout_seconds=timeout,
        queue_timeout_seconds=queue_timeout,
        additional_secrets=secret,
        collect=collect,
        tags=parse_tags(tag),
        retryable=retryable or None,
        max_cost_usd=max_cost_usd,
    )
    with connect(context) as client:
        accepted = client.dispatch(request, idempotency_key)
        _show_accepted(client, accepted, watch_it=watch_it, as_json=as_json)


def status(context: typer.Context, dispatch_id: Id, as_json: Json = False) -> None:
    """Show a dispatch."""
    with connect(context) as client:
        found = client.status(dispatch_id)
        print_json(found) if as_json else print_dispatch(found)


def logs(
    context: typer.Context,
    dispatch_id: Id,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Continue until the dispatch has ended")] = False,
    as_json: Json = False,
) -> None:
    """Print a dispatch's log; with -f, lines as they come, and the exit code of `dispatch --watch`."""
    with connect(context) as client:
        if follow:
            ended = watch(client, dispatch_id, as_json=as_json)
            raise typer.Exit(EXIT_CODES[ended.status])
        for line in client.log_lines(dispatch_id):
            print_json(line) if as_json else out.print(log_text(line))


LIST_COLUMNS = ("ID", "STATUS", "AGENT", "REPOSITORY", "CREATED")


def _list_row(row: Dispatch) -> tuple[str | Text, ...]:
    return row.id, status_text(row.status, withheld=row.withheld), row.agent, row.repo or "", since(row.created_at)


def list_(  # noqa: PLR0913 - an option for each filter of GET /dispatch
    context: typer.Context,
    *,
    status_: Annotated[str | None, typer.Option("--status", help="Only this status")] = None,
    agent: Annotated[str | None, typer.Option(help="Only this agent")] = None,
    repo: Annotated[str | None, typer.Option(help="Only this repository")] = None,
    since_: Annotated[str | None, typer.Option("--since", help="Created at or after this time (ISO 8601)")] = None,
    until: Annotated[str | None, typer.Option(help="Created before this time (ISO 8601)")] = None,
    tag: Annotated[
        list[str] | None, typer.Option(metavar="KEY:VALUE", help="With this tag; repeatable, all must match")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=100, help="Dispatches on the page")] = 20,
    cursor: Cursor = None,
    as_json: Json = False,
) -> None:
    """List dispatches, newest first."""
    filters = {"status": status_, "agent": agent, "repo": repo, "since": since_, "until": until, "tag": tag}
    with connect(context) as client:
        print_page(client.dispatches(filters, cursor, limit), LIST_COLUMNS, _list_row, as_json=as_json)


def cancel(
    context: typer.Context,
    dispatch_id: Id,
    reason: Annotated[str | None, typer.Option(help="Why, up to 500 characters")] = None,
    as_json: Json = False,
) -> None:
    """Cancel a dispatch: at once while it waits, within seconds while it runs."""
    with connect(context) as client:
        found = client.cancel(dispatch_id, reason)
        if as_json:
            print_json(found)
        elif found.status.terminal:
            out.print(f"{found.id} is cancelled.")
        else:
            out.print(f"{found.id} is being cancelled. Follow it: outpost logs -f {found.id}")


def promote(  # noqa: PLR0913 - an option for each field of the request
    context: typer.Context,
    *,
    dispatch_id: Id,
    branch: Annotated[str, typer.Argument(help="Branch to push; created if missing")],
    to_default: Annotated[bool, typer.Option("--to-default", help="Push even to the default branch")] = False,
    pull_request: Annotated[bool, typer.Option("--pr", help="Open a pull request as well")] = False,
    title: Annotated[str | None, typer.Option(help="Title of the pull request")] = None,
    body: Annotated[str | None, typer.Option(help="Text of the pull request")] = None,
    message: Annotated[str | None, typer.Option("--message", "-m", help="Message of the commit")] = None,
    author_name: Annotated[str | None, typer.Option(help="Author of the commit")] = None,
    author_email: Annotated[str | None, typer.Option(help="The author's address")] = None,
    watch_it: Watch = False,
    as_json: Json = False,
) -> None:
    """Push a successful dispatch's result to a branch of its repository; with --pr, open a pull request.

    Promoting the same result to the same branch again does nothing twice. Exit codes are those of `dispatch`.
    """
    request = PromotionRequest(
        branch=branch,
        to_default=to_default or None,
        create_pr=pull_request or None,
        pr_title=title,
        pr_body=body,
        message=message,
        author_name=author_name,
        author_email=author_email,
    )
    with connect(context) as client:
        accepted = client.promote(dispatch_id, request)
        _show_accepted(client, accepted, watch_it=watch_it, as_json=as_json)


def release(
    context: typer.Context,
    *,
    dispatch_id: Id,
    secret: Annotated[list[str], typer.Option(help="Name of a secret that was found; repeatable, all must be named")],
    reason: Annotated[str, typer.Option(help="Why it may be fetched, up to 500 characters; kept with the dispatch")],
    as_json: Json = False,
) -> None:
    """Let results be fetched and promoted although they hold the value of a known secret; it cannot be taken back.

    Look first where the secrets are: `outpost status ID`. Needs a key with the scope release.
    """
    with connect(context) as client:
        found = client.release(dispatch_id, ReleaseRequest(secrets=secret, reason=reason))
        print_json(found) if as_json else out.print(f"{found.id} is released: outpost artifacts {found.id}")


def artifacts(
    context: typer.Context,
    dispatch_id: Id,
    download: Annotated[Path | None, typer.Option(metavar="DIR", help="Write the files into this folder")] = None,
    as_json: Json = False,
) -> None:
    """List what a dispatch left: output, patch, summary; with --download, fetch it.

    Exit code with --download: 2 when a file is withheld; the others are fetched.
    """
    with connect(context) as client:
        found = client.artifacts(dispatch_id)
        if download:
            _download(client, found.artifacts, download)
        if as_json:
            print_json(found)
        elif not found.artifacts and not found.withheld:
            err.print(f"{dispatch_id} has left nothing.")
        elif not download:
            rows = [(artifact.name, artifact.type, f"{artifact.size:,}", artifact.url) for artifact in found.artifacts]
            rows += [(each.name, each.type, f"{each.size:,}", "(withheld)") for each in found.withheld]
            print_table("NAME", "TYPE", "BYTES", "URL", rows=rows)
        if found.withheld:
            names = ", ".join(each.name for each in found.withheld)
            show_error(
                f"{names} withheld: known secrets are in it. See where, and how to release it: outpost status "
                f"{dispatch_id}"
            )
            raise typer.Exit(ERROR if download else 0)


def _show_accepted(client: "Client", accepted: Dispatch, *, watch_it: bool, as_json: bool) -> None:
    """Show what was accepted, or follow it to its end and exit with its exit code."""
    if watch_it:
        err.print(f"Dispatch {accepted.id}")
        raise typer.Exit(EXIT_CODES[watch(client, accepted.id, as_json=as_json).status])
    if as_json:
        print_json(accepted)
        return
    if accepted.promotes and accepted.promotes.findings:
        err.print("Found in the patch:")
        err.print(Text(findings_text(accepted.promotes.findings)))
    out.print(accepted.id)
    err.print(f"Accepted. Follow it: outpost logs -f {accepted.id}")


def _download(client: "Client", found: Sequence[Artifact], folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for artifact in found:
            target = folder / Path(artifact.name).name
            client.download(artifact, target)
            err.print(f"Wrote {target}")
    except OSError as error:
        show_error(f"The artifacts cannot be written to {folder}: {error.strerror}. Name another folder.")
        raise typer.Exit(ERROR) from error


def _task_text(task: str | None, file: Path | None) -> str:
    """Return the task from the argument, a file or standard input, exactly one of which is given."""
    if (task is None) == (file is None):
        raise typer.BadParameter("give the task either as the second argument or with --file (- is standard input)")
    if file is None:
        return task or ""
    try:
        return sys.stdin.read() if str(file) == "-" else file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        show_error(f"The task cannot be read from {file}: {error}")
        raise typer.Exit(ERROR) from error
