"""The ten tools: which operation of the API each one is, and what it takes or changes beyond that."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from mcp_types import ToolAnnotations

from outpost_client.mcp.schemas import Schema

Arguments = dict[str, Any]

LOG_LINES = 100
"""Log lines that `outpost_status` shows by default."""
LABEL = "user_id"
"""Clients of v1 name a user in every call. It is a label of a dispatch and opens nothing: the API key does."""

LABEL_SCHEMA: Schema = {
    "anyOf": [{"type": "string", "maxLength": 256}, {"type": "null"}],
    "description": "Accepted from clients of v1; has no effect here. The API key decides what is seen.",
}


Adapt = Callable[[Arguments, Any], Arguments]
"""From a tool's arguments, and the label if there is one, to the operation's."""


def _as_they_are(arguments: Arguments, _: Any) -> Arguments:  # noqa: ANN401 - JSON
    return arguments


def _label_as_tag(arguments: Arguments, label: Any) -> Arguments:  # noqa: ANN401 - JSON
    """A dispatch keeps the label as a tag, unless it has a tag of that name."""
    return arguments if label is None else arguments | {"tags": {LABEL: label} | (arguments.get("tags") or {})}


def _label_as_filter(arguments: Arguments, label: Any) -> Arguments:  # noqa: ANN401 - JSON
    return arguments if label is None else arguments | {"tag": [*(arguments.get("tag") or []), f"{LABEL}:{label}"]}


def _with_logs(arguments: Arguments, _: Any) -> Arguments:  # noqa: ANN401 - JSON
    rest = {name: value for name, value in arguments.items() if name != "include_logs"}
    return {"log_limit": LOG_LINES} | rest | ({} if arguments.get("include_logs", True) else {"log_limit": 0})


@dataclass(frozen=True)
class Entry:
    """A tool: an operation of the API under the name and with the hints that a model needs."""

    name: str
    title: str
    description: str
    method: str
    path: str
    annotations: ToolAnnotations
    extra: Mapping[str, Schema] = field(default_factory=dict)
    """Arguments that are the tool's own, and its own descriptions of those of the operation."""
    adapt: Adapt = _as_they_are
    beside: Mapping[str, str] = field(default_factory=dict)
    """Paths read as well when the key may: their data under these names, null when it may not."""


_READS = ToolAnnotations(read_only_hint=True, open_world_hint=False)
_ENDS = ToolAnnotations(read_only_hint=False, destructive_hint=True, idempotent_hint=True, open_world_hint=False)

CATALOGUE = (
    Entry(
        name="outpost_dispatch",
        title="Dispatch a task",
        description="Hand a coding task to an AI agent that works on it in a container of its own. Returns at once "
        "with the id of a `pending` dispatch: look at it with outpost_status until it has ended, then fetch the patch "
        "with outpost_get_artifacts or push it with outpost_promote. To be safe against a lost response, give an "
        "idempotency_key and repeat the call.",
        method="POST",
        path="/dispatch",
        annotations=ToolAnnotations(
            read_only_hint=False, destructive_hint=False, idempotent_hint=False, open_world_hint=True
        ),
        extra={LABEL: LABEL_SCHEMA | {"description": "Label of v1's clients: becomes the tag `user_id`."}},
        adapt=_label_as_tag,
    ),
    Entry(
        name="outpost_status",
        title="Look at a dispatch",
        description="Show a dispatch as it is now, and the next lines of its log. Ask again every few seconds while it "
        "is live, with `logs.next_offset` as log_offset; `success`, `failed`, `timeout` and `cancelled` are final, and "
        "`reason` says why and what to do.",
        method="GET",
        path="/dispatch/{dispatch_id}",
        annotations=_READS,
        extra={
            "include_logs": {"type": "boolean", "default": True, "description": "Whether to show log lines."},
            "log_limit": {"default": LOG_LINES, "description": "Most log lines to show."},
        },
        adapt=_with_logs,
    ),
    Entry(
        name="outpost_cancel",
        title="Cancel a dispatch",
        description="End a dispatch: at once while it waits, at the worker's next heartbeat (10 s) while it runs. "
        "Calling again while it is being cancelled changes nothing; one that has ended is refused.",
        method="DELETE",
        path="/dispatch/{dispatch_id}",
        annotations=_ENDS,
    ),
    Entry(
        name="outpost_health",
        title="How is Outpost?",
        description="Show whether the service has what it needs and, when the API key may see it, the tenant's fleet: "
        "which agents are available, what waits and runs, and how the last hour went.",
        method="GET",
        path="/health",
        annotations=_READS,
        beside={"fleet": "/health/fleet"},
    ),
    Entry(
        name="outpost_list_workspaces",
        title="List workspaces",
        description="List the tenant's persistent workspaces.",
        method="GET",
        path="/workspaces",
        annotations=_READS,
    ),
    Entry(
        name="outpost_delete_workspace",
        title="Delete a workspace",
        description="Delete a persistent workspace and its files for good. Refused while a dispatch uses it.",
        method="DELETE",
        path="/workspaces/{workspace_id}",
        annotations=_ENDS,
    ),
    Entry(
        name="outpost_get_artifacts",
        title="List artifacts",
        description="List what a dispatch left: output.log, changes.patch, summary.json. Each has a url that opens "
        "the file once, with a plain GET that follows redirects and needs no API key, until it expires. List again for "
        "another url. What is under `withheld` holds the value of a known secret, and has no url until it is released.",
        method="GET",
        path="/artifacts/{dispatch_id}",
        annotations=_READS,
    ),
    Entry(
        name="outpost_list_runs",
        title="List dispatches",
        description="List the tenant's dispatches, newest first; every filter given must match. Continue with the "
        "cursor while pagination.has_more is true. Changes of the last seconds may not be shown yet: outpost_status "
        "shows a dispatch as it is.",
        method="GET",
        path="/dispatch",
        annotations=_READS,
        extra={
            LABEL: LABEL_SCHEMA | {"description": "Label of v1's clients: only dispatches with this tag `user_id`."}
        },
        adapt=_label_as_filter,
    ),
    Entry(
        name="outpost_promote",
        title="Promote a dispatch's result",
        description="Push the patch of a successful dispatch to a branch of its repository as one commit and, if "
        "create_pr is true, open a pull request. Returns at once with a dispatch of kind `promote`: look at it with "
        "outpost_status. Promoting the same dispatch to the same branch again does nothing twice.",
        method="POST",
        path="/dispatch/{dispatch_id}/promote",
        annotations=ToolAnnotations(
            read_only_hint=False, destructive_hint=False, idempotent_hint=True, open_world_hint=True
        ),
    ),
    Entry(
        name="outpost_release",
        title="Release withheld results",
        description="Let the results of a dispatch be fetched and promoted although they hold the value of a known "
        "secret (`withheld` is true; `findings` says where). Only for those who have looked at each place: the secret "
        "leaves with the files, and it cannot be taken back. Needs a key with the scope release.",
        method="POST",
        path="/dispatch/{dispatch_id}/release",
        annotations=_ENDS,
    ),
)
