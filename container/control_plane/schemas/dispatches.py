"""Dispatches and workspaces as the API takes and shows them."""

from datetime import datetime
from typing import Annotated, Self

from pydantic import AfterValidator, ConfigDict, Field, StrictBool, StrictInt, StringConstraints

from control_plane.envelope import Body, Time, View
from control_plane.schemas.results import (
    CollectionView,
    FindingsView,
    InlineLogs,
    PromotionView,
    ReasonView,
    ReleaseView,
    UsageView,
)
from outpost.domain.agents import Agent
from outpost.domain.collection import MOST_GLOBS, Glob
from outpost.domain.dispatch import ContextLevel, Dispatch, InitMode, Kind, Status, WorkspaceMode
from outpost.domain.ids import ULID_PATTERN
from outpost.domain.repository import MAX_BRANCH_LENGTH, MAX_REPO_LENGTH, short_branch
from outpost.domain.secrets import MAX_NAME_LENGTH, NAME_PATTERN

DEFAULT_TIMEOUT_SECONDS = 600

TagKey = Annotated[str, StringConstraints(min_length=1, max_length=64)]
TagValue = Annotated[str, StringConstraints(max_length=256)]
SecretName = Annotated[str, StringConstraints(pattern=NAME_PATTERN, max_length=MAX_NAME_LENGTH)]


class DispatchRequest(Body):
    """A task for an agent."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "agent": "shell",
                    "task": "set -e\necho 'Hello' >> GREETING.md",
                    "repo": "acme/website",
                    "branch": "main",
                    "timeoutSeconds": 300,
                    "tags": {"team": "web"},
                },
            ],
        },
    )

    agent: Agent = Field(description="Who does the task. Not every environment enables every agent.")
    task: str = Field(min_length=10, max_length=50_000, description="What to do, in words (for `shell`: a script).")
    model_id: str | None = Field(
        default=None,
        max_length=128,
        description="Model id, or `flagship`, `balanced`, `fast`. Default: the agent's flagship.",
    )
    repo: str | None = Field(
        default=None,
        max_length=MAX_REPO_LENGTH,
        description="Repository to clone: `owner/name`, or an https git URL on an allowed host.",
        examples=["acme/website"],
    )
    branch: Annotated[str, AfterValidator(short_branch)] | None = Field(
        default=None,
        max_length=MAX_BRANCH_LENGTH,
        description="Branch or tag to start from; needs `repo`. Default: the repository's own.",
    )
    context: ContextLevel = Field(default="standard", description="How much context the agent is given.")
    workspace_mode: WorkspaceMode = Field(
        default="ephemeral",
        description="`ephemeral`: gone with the run. `persistent`: kept for 30 days after its last use.",
    )
    workspace_id: str | None = Field(
        default=None,
        pattern=ULID_PATTERN,
        description="The persistent workspace to continue in, one dispatch at a time. Default: a new one.",
    )
    workspace_init_mode: InitMode = Field(
        default="full",
        description="How much of the repository to fetch: all; the newest commit, with only the root folder's files "
        "checked out (`git sparse-checkout add FOLDER` brings more); or nothing.",
    )
    timeout_seconds: StrictInt | None = Field(
        default=None,
        ge=30,
        le=86_400,
        description="Time limit of the agent's run, at most the tier's. Default: 600, or the tier's if that is less.",
    )
    queue_timeout_seconds: StrictInt = Field(
        default=86_400, ge=60, le=86_400, description="How long to wait for a worker before giving up."
    )
    additional_secrets: list[SecretName] = Field(
        default_factory=list, max_length=20, description="Names of the tenant's secrets that the agent is given."
    )
    collect: list[Glob] = Field(
        default_factory=list,
        max_length=MOST_GLOBS,
        description="Files to keep as they are in `collected.tar.gz`, also those that the repository ignores: patterns "
        "of paths below the workspace, as git's `:(glob)`. A folder's name stands for all that is in it; `*` matches "
        "within a folder, `**` through folders.",
        examples=[["dist/*.whl", "coverage/"]],
    )
    tags: dict[TagKey, TagValue] = Field(
        default_factory=dict, max_length=20, description="Labels to find the dispatch by: at most 20 pairs."
    )
    retryable: StrictBool = Field(
        default=False, description="Whether the task may run again when its worker is lost in mid-run."
    )
    max_cost_usd: float | None = Field(
        default=None,
        strict=True,
        ge=0.01,
        le=100_000,
        allow_inf_nan=False,
        description="US dollars that the model calls of all attempts together may cost, by the providers' list prices: "
        "no call is made that could cost more than is left. Default: no limit of its own.",
    )


class CancelRequest(Body):
    """Why a dispatch is cancelled."""

    reason: str | None = Field(default=None, max_length=500, description="Shown in the dispatch's reason.")


class ListQuery(Body):
    """The filters of the list, all of which must match."""

    status: Status | None = Field(default=None, description="Only dispatches in this state.")
    agent: Agent | None = Field(default=None, description="Only dispatches for this agent.")
    repo: str | None = Field(default=None, max_length=MAX_REPO_LENGTH, description="Only dispatches on this `repo`.")
    since: Time | None = Field(default=None, description="Only dispatches created at this time or later.")
    until: Time | None = Field(default=None, description="Only dispatches created before this time.")
    tag: list[str] = Field(
        default_factory=list,
        max_length=20,
        description="Only dispatches with this tag, as `key:value`; given more than once, all must match.",
    )
    limit: int = Field(default=20, ge=1, le=100, description="Most dispatches on a page.")
    cursor: str | None = Field(default=None, description="`meta.pagination.cursor` of the page before.")

    def matches(self, row: Dispatch) -> bool:
        """Return whether a dispatch passes the filters that the query of the table cannot apply."""
        tags = {f"{key}:{value}" for key, value in row.spec.tags.items()}
        return (
            self.status in (None, row.status)
            and self.agent in (None, row.spec.agent)
            and self.repo in (None, row.spec.repo)
            and tags.issuperset(self.tag)
        )

    @property
    def selective(self) -> bool:
        """Return whether rows have to be checked one by one."""
        return bool(self.status or self.agent or self.repo or self.tag)


class StatusQuery(Body):
    """Whether to show log lines with the status."""

    log_limit: int = Field(default=0, ge=0, le=1_000, description="Most log lines to show; 0 shows none.")
    log_offset: int = Field(default=0, ge=0, description="How many lines of the current attempt's log to skip.")


class DispatchView(View):
    """A dispatch. The task's text is not shown again."""

    id: str = Field(description="ULID.")
    kind: Kind = Field(description="`task`, or `promote` for the publication of a result.")
    status: Status = Field(description="Where it is; `success`, `failed`, `timeout` and `cancelled` are final.")
    agent: Agent = Field(description="Who does the task.")
    model_id: str | None = Field(description="The model, resolved; null for an agent without one.")
    repo: str | None = Field(description="The repository that is cloned.")
    branch: str | None = Field(description="The branch to start from.")
    context: ContextLevel = Field(description="How much context the agent is given.")
    workspace_mode: WorkspaceMode = Field(description="Whether the workspace outlives the run.")
    workspace_id: str | None = Field(description="The persistent workspace.")
    workspace_init_mode: InitMode = Field(description="How much of the repository is fetched.")
    timeout_seconds: int = Field(description="Time limit of the agent's run.")
    queue_timeout_seconds: int = Field(description="How long it waits for a worker.")
    additional_secrets: list[str] = Field(description="Names of the secrets that the agent may read.")
    collect: list[str] = Field(description="Patterns of files to keep in `collected.tar.gz`.")
    tags: dict[str, str] = Field(description="Labels.")
    retryable: bool = Field(description="Whether it may run again when its worker is lost in mid-run.")
    max_cost_usd: float | None = Field(description="US dollars that its model calls may cost; null without a limit.")
    cost_usd: float | None = Field(
        description="US dollars that its model calls are charged, of all attempts; null while it is live, and when a "
        "model has no known price. A lost worker is charged what it might have spent."
    )
    promotes: PromotionView | None = Field(description="For the kind `promote`: what is published; else null.")
    created_by: str = Field(description="Display prefix of the API key that dispatched it.")
    attempt: int = Field(description="How often a worker has claimed it.")
    progress: str | None = Field(description="What the agent last said about how far it is.")
    exit_code: int | None = Field(description="Exit code of the agent's process.")
    reason: ReasonView | None = Field(description="Why it ended; null while it is live.")
    usage: UsageView | None = Field(description="What it consumed; null until the worker has reported.")
    withheld: bool = Field(
        description="Whether results are withheld, because they hold the value of a known secret, and not released."
    )
    collection: CollectionView | None = Field(
        description="What was kept beside the patch, and what was left out; null until the worker has reported."
    )
    findings: FindingsView | None = Field(description="Secrets found in the results; null when none was.")
    released: ReleaseView | None = Field(description="The release of what was withheld; null without one.")
    cancel_requested_at: datetime | None = Field(description="When cancelling was asked for.")
    cancel_reason: str | None = Field(description="Why it is being cancelled.")
    created_at: datetime = Field(description="When it was accepted.")
    queued_at: datetime = Field(description="When it last became pending.")
    provisioning_at: datetime | None = Field(description="When a worker claimed it.")
    running_at: datetime | None = Field(description="When the agent started; the time limit counts from here.")
    completing_at: datetime | None = Field(description="When the agent ended and the upload began.")
    ended_at: datetime | None = Field(description="When it became final.")
    expires_at: datetime = Field(description="When the dispatch and its artifacts are deleted.")

    @classmethod
    def of(cls, row: Dispatch, **more: object) -> Self:
        """Show a row as it is; what the view does not name stays inside."""
        return cls.showing(row.spec, row, withheld=row.withheld, cost_usd=row.cost_usd, **more)

    @classmethod
    def as_created(cls, row: Dispatch) -> Self:
        """Show a row as it was when it was created, however far it is now: a replay repeats the first response."""
        fixed = {"id", "tenant_id", "created_by", "spec", "expires_at", "created_at"}
        return cls.of(Dispatch.model_validate({**row.model_dump(include=fixed), "queued_at": row.created_at}))


class StatusView(DispatchView):
    """A dispatch, with what only the single look-up shows."""

    queue_position: int | None = Field(
        default=None,
        description="Place in the tenant's queue for the agent, from 1; null beyond 100, or when not pending.",
    )
    expected_start_at: datetime | None = Field(
        default=None,
        description="When the tenant will probably have room for it, judging by how long its last 50 dispatches ran; "
        "null when there is nothing to estimate from.",
    )
    log_tail: str | None = Field(
        description="The last log lines, up to 8 KB, of a dispatch that did not succeed; else null."
    )
    logs: InlineLogs | None = Field(description="Log lines, when `logLimit` asks for some.")


class WorkspaceView(View):
    """Files that outlive a dispatch."""

    id: str = Field(description="ULID.")
    repo: str | None = Field(description="The repository that it began with.")
    size_bytes: int = Field(description="Size of its archive when it was last stored.")
    created_at: datetime = Field(description="When it was created.")
    used_at: datetime = Field(description="When a dispatch last used it.")
    expires_at: datetime = Field(description="When it is deleted unless it is used before.")
    dispatch_id: str | None = Field(description="The dispatch that uses it now; null when it is free.")
