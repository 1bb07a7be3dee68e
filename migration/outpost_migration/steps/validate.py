"""validate: dispatch, status, logs, cancel, artifacts and each MCP tool, over the endpoint that clients will use."""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, ClassVar, Literal

import typer

from outpost.report import Check
from outpost_client import ApiError, Client
from outpost_client.models import Dispatch, DispatchRequest
from outpost_client.results import Status
from outpost_migration.context import Context
from outpost_migration.mcp import TOOLS, McpClient
from outpost_migration.step import Report, Step
from outpost_ops.errors import OperationError

_MARK = "outpost migrate validate"
_ABSENT = "01ARZ3NDEKTSV4RRFFQ69G5FAV"
"""An id that does not exist."""


class ApiVerification(Report):
    """validate: every endpoint and tool, over the real endpoint."""

    file: ClassVar[str] = "api-verification"
    step: Literal["validate"] = "validate"
    base_url: str
    endpoints_tested: list[str]
    tools_functional: list[str]
    all_passed: bool


def run(
    context: Context,
    *,
    agent: Annotated[str, typer.Option(help="Agent that runs the small tasks")] = "claude",
) -> ApiVerification:
    """Try every endpoint and MCP tool over the real endpoint."""
    checks: list[Check] = []
    context.change(f"Dispatch small tasks for the agent {agent}, one of them to be cancelled")
    if not context.dry_run:
        with context.api() as client:
            checks += _endpoints(context, client, agent)
        checks += _tools(context, agent)
    passed = bool(checks) and all(check.status == "pass" for check in checks)
    return context.report(
        ApiVerification,
        checks,
        base_url=context.url,
        endpoints_tested=[check.title for check in checks if not check.id.startswith("mcp:")],
        tools_functional=[
            check.id.removeprefix("mcp:") for check in checks if check.id.startswith("mcp:") and check.status == "pass"
        ],
        all_passed=passed,
    )


STEP = Step(ApiVerification, run, needs=("preflight",), takes="1 min", changes="dispatches small tasks")


class _Trials:
    """Collects a check for each trial, also when the trial fails."""

    def __init__(self, context: Context) -> None:
        self.checks: list[Check] = []
        self._context = context

    @contextmanager
    def of(self, id_: str, title: str) -> Iterator[Callable[[bool, str], None]]:
        """Try something; the function that is yielded takes whether it held, and the evidence."""
        self._context.progress(title)
        results: list[tuple[str, bool]] = []
        remedy = "See the service's log, by the request's id; then run the step again"
        try:
            yield lambda held, evidence: results.append((evidence, held))
        except (ApiError, OperationError, KeyError) as error:
            results.append((str(error) or type(error).__name__, False))
        held = all(each for _, each in results) if results else None
        self.checks.append(Check.of(id_, title, held, [evidence for evidence, _ in results], remedy))


def _endpoints(context: Context, client: Client, agent: str) -> list[Check]:
    trials = _Trials(context)
    with trials.of("dispatch", "POST /dispatch") as found:
        request = DispatchRequest(agent=agent, task=f"echo {_MARK}", tags={"migration": "validate"})
        accepted = context.retry(lambda: client.dispatch(request))
        found(accepted.status is Status.PENDING, f"201, dispatch {accepted.id} is {accepted.status}")
    with trials.of("status", "GET /dispatch/{id}") as found:
        ended = _until_ended(context, client, accepted.id)
        found(ended.status is Status.SUCCESS, f"{ended.id} ended as {ended.status}, exit code {ended.exit_code}")
    with trials.of("logs", "GET /dispatch/{id}/logs") as found:
        lines = [line.message for line in context.retry(lambda: list(client.log_lines(accepted.id)))]
        found(any(_MARK in line for line in lines), f"{len(lines)} lines, the task's output among them")
    with trials.of("artifacts", "GET /artifacts/{id}") as found:
        artifacts = context.retry(lambda: client.artifacts(accepted.id).artifacts)
        found(bool(artifacts), f"{len(artifacts)} artifacts: {', '.join(artifact.name for artifact in artifacts)}")
    with trials.of("download", "GET /artifacts/{id}/{name}") as found, tempfile.TemporaryDirectory() as folder:
        output = next(artifact for artifact in artifacts if artifact.type == "output")
        client.download(output, Path(folder) / "output")
        found(_MARK.encode() in (Path(folder) / "output").read_bytes(), f"{output.name}: {output.size} bytes")
    with trials.of("list", "GET /dispatch") as found:
        listed = context.retry(lambda: client.dispatches({"tag": ["migration:validate"]}, limit=20)).items
        found(accepted.id in [dispatch.id for dispatch in listed], f"{len(listed)} dispatches with the tag")
    with trials.of("cancel", "DELETE /dispatch/{id}") as found:
        sleeper = context.retry(
            lambda: client.dispatch(DispatchRequest(agent=agent, task="sleep 300 # to be cancelled"))
        )
        context.retry(lambda: client.cancel(sleeper.id, _MARK))
        cancelled = _until_ended(context, client, sleeper.id)
        found(cancelled.status is Status.CANCELLED, f"{cancelled.id} ended as {cancelled.status}")
    with trials.of("health", "GET /health") as found:
        health = context.retry(client.health)
        found(health.status == "healthy", f"{health.status}, version {health.version}")
    return trials.checks


def _tools(context: Context, agent: str) -> list[Check]:
    trials = _Trials(context)
    try:
        mcp = McpClient(context.url, context.key or "")
        listed = mcp.tools()
        for name in TOOLS:
            with trials.of(f"mcp:{name}", f"MCP {name}") as found:
                found(name in listed, "listed by the server" if name in listed else "not listed by the server")
                _call(mcp, name, agent, found)
    except OperationError as error:
        return [
            Check.of(f"mcp:{name}", f"MCP {name}", False, [str(error)], "Deploy a version that serves /mcp")
            for name in TOOLS
        ]
    return trials.checks


def _call(mcp: McpClient, name: str, agent: str, found: Callable[[bool, str], None]) -> None:
    """Call one tool. Those that act on something existing get an id that does not exist, and must refuse it."""
    task = {"agent": agent, "task": f"echo {_MARK}"}
    if name in ("outpost_dispatch", "outpost_health", "outpost_list_runs", "outpost_list_workspaces"):
        arguments = task if name == "outpost_dispatch" else {}
    elif name in ("outpost_status", "outpost_cancel", "outpost_get_artifacts"):
        made = mcp.call("outpost_dispatch", task).content
        arguments = {"dispatch_id": made.get("id") or made.get("dispatch_id") or ""}
    else:
        field = "workspace_id" if "workspace" in name else "dispatch_id"
        absent = {field: _ABSENT, **({"branch": "migration-check"} if "promote" in name else {})}
        found(not mcp.call(name, absent).succeeded, "an id that does not exist is refused")
        return
    result = mcp.call(name, arguments)
    found(result.succeeded, f"returned {', '.join(list(result.content)[:5])}")


def _until_ended(context: Context, client: Client, dispatch_id: str) -> Dispatch:
    for seen in client.follow(dispatch_id, context.sleep):
        if isinstance(seen, Dispatch) and seen.status.terminal:
            return seen
    raise OperationError(f"dispatch {dispatch_id} did not end")
