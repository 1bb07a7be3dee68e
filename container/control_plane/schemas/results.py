"""What a dispatch left: log, artifacts, findings; and the publication and release of its results."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, ConfigDict, Field, StrictBool, StringConstraints, TypeAdapter

from control_plane.envelope import Body, View
from outpost.domain.artifacts import LogLine, LogSource
from outpost.domain.reasons import ReasonCode
from outpost.domain.repository import MAX_BRANCH_LENGTH, short_branch
from outpost.domain.secrets import MAX_NAME_LENGTH

ArtifactType = Literal["output", "logs", "patch", "commits", "files", "workspace", "metadata"]


class ArtifactQuery(Body):
    """How the links are made."""

    expires_in: int = Field(default=900, ge=60, le=3_600, description="How long the links can be opened, in seconds.")


class LinkQuery(Body):
    """What opens an artifact once, without an API key."""

    token: str = Field(description="From the artifact's `url`.", max_length=2_048)


class WithheldView(View):
    """A file that holds the value of a known secret: it can be fetched once it is released."""

    name: str = Field(description="File name.", examples=["changes.patch"])
    type: ArtifactType = Field(description="What it is.")
    size: int = Field(description="Size in bytes.")


class ArtifactView(WithheldView):
    """A file that the winning attempt left."""

    url: str = Field(description="Opens the file once, without an API key, until `expiresAt`; redirects to storage.")
    expires_at: datetime = Field(description="When the link ends.")


class ArtifactList(View):
    """What a dispatch left: while it is live, what its current attempt has uploaded so far."""

    dispatch_id: str = Field(description="The dispatch.")
    attempt: int = Field(description="The attempt that these are of.")
    artifacts: list[ArtifactView] = Field(description="The files that can be fetched.")
    withheld: list[WithheldView] = Field(
        description="Files that hold the value of a known secret. The dispatch's `findings`, and the file "
        "`findings.json` with more of them, say where; `POST /dispatch/{id}/release` makes them files like the others."
    )


NAME = r"^[^<>\x00-\x1f\x7f]+$"
EMAIL = r"^[^<>@\s\x00-\x1f\x7f]+@[^<>@\s\x00-\x1f\x7f]+$"


class PromotionRequest(Body):
    """Where a result is pushed, and in whose words."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"branch": "outpost/greeting", "createPr": True, "prTitle": "Greet the visitor"}],
        },
    )

    branch: Annotated[str, AfterValidator(short_branch)] = Field(
        min_length=1, max_length=MAX_BRANCH_LENGTH, description="Branch to push; created if missing."
    )
    to_default: StrictBool = Field(
        default=False, description="Whether the branch may be the repository's default one; refused otherwise."
    )
    create_pr: StrictBool = Field(default=False, description="Whether to open a pull request to the branch worked on.")
    pr_title: str | None = Field(
        default=None,
        min_length=1,
        max_length=256,
        description="Needs `createPr`. Default: the first line of the message.",
    )
    pr_body: str | None = Field(
        default=None, max_length=50_000, description="Needs `createPr`. Default: the dispatch's id."
    )
    message: str | None = Field(
        default=None,
        min_length=1,
        max_length=10_000,
        description="The commit's message. Default: names the dispatch.",
    )
    author_name: str = Field(default="Outpost", max_length=100, pattern=NAME, description="The commit's author.")
    author_email: str = Field(
        default="outpost@outpost.invalid", max_length=254, pattern=EMAIL, description="The author's address."
    )


MOST_SECRETS = 100


class ReleaseRequest(Body):
    """The acknowledgement of the secrets that are released."""

    secrets: list[Annotated[str, StringConstraints(min_length=1, max_length=MAX_NAME_LENGTH)]] = Field(
        min_length=1,
        max_length=MOST_SECRETS,
        description="Names of all known secrets that were found, as the dispatch's `findings.secrets` shows them.",
        examples=[["NPM_TOKEN"]],
    )
    reason: str = Field(
        min_length=1,
        max_length=500,
        description="Why the results may be fetched although they hold these secrets. Kept with the dispatch.",
        examples=["a token of the test registry, revoked today"],
    )


class ReasonView(View):
    """Why a dispatch ended."""

    code: ReasonCode = Field(description="For programs.")
    message: str = Field(description="What happened.")
    remedy: str = Field(description="What to do about it.")


class UsageView(View):
    """What the last attempt consumed."""

    duration_seconds: float = Field(description="Run time of the agent.")
    input_tokens: int = Field(description="Tokens that the model read.")
    cached_input_tokens: int = Field(description="Of these: from the provider's cache, at its lower price.")
    output_tokens: int = Field(description="Tokens that the model wrote.")
    model_calls: int = Field(description="Calls of the model.")
    model_cost_usd: float | None = Field(
        description="What they cost at the provider's list price, in US dollars; null when a model has no known price."
    )
    vcpu_seconds: float = Field(description="vCPUs of the worker, times the seconds from claim to report.")
    gb_seconds: float = Field(description="Its memory in GB, times the same seconds.")
    capacity: Literal["spot", "on-demand"] | None = Field(description="What the worker ran on; null when not known.")


class FindingView(View):
    """A place where a secret was found. The secret itself is never shown."""

    artifact: str = Field(description="The artifact that holds it.", examples=["changes.patch"])
    path: str = Field(description="The file that the artifact adds or changes.", examples=["config.py"])
    line: int | None = Field(description="Line in the new file; null for its name and for content that is not text.")
    kind: str = Field(description="Name of the secret, or of the format.", examples=["NPM_TOKEN"])
    known: bool = Field(description="Whether it is the value of a known secret, not merely a text in such a format.")


class FindingsView(View):
    """Secrets found in the results."""

    secrets: dict[str, int] = Field(description="Known secrets whose values were found: name and number of places.")
    formats: dict[str, int] = Field(
        description="Formats of secrets that were found, with the number of places: warnings."
    )
    places: list[FindingView] = Field(description="The first places; `findings.json` has more.")
    withheld: list[str] = Field(description="Artifacts that hold known secrets: they can be fetched once released.")


class LeftOutView(View):
    """Files of one place that are not in the patch."""

    path: str = Field(description="The file, or a folder with a final slash.", examples=["dist/"])
    reason: str = Field(description="Why.", examples=["ignored by the repository"])
    files: int | None = Field(description="How many files; null when they were not counted.")


class KeptRefView(View):
    """A branch, tag or stash with commits that only the agent had."""

    name: str = Field(description="The ref in `commits.bundle`.", examples=["refs/heads/fix"])
    commit: str = Field(description="The commit.")
    subject: str = Field(description="The first line of its message.")


class NestedChangeView(View):
    """Edits in a submodule, or in another worktree of the repository."""

    path: str = Field(description="Its folder.", examples=["vendor/lib"])
    kind: Literal["submodule", "worktree"] = Field(description="What it is.")
    base: str | None = Field(description="The commit that `nested.patch` compares with; null without one.")
    files_changed: int = Field(description="How many files were changed there.")


class CollectionView(View):
    """What was kept beside the patch, and what was left out: the first entries of each; `summary.json` has more."""

    left_out: list[LeftOutView] = Field(description="What is not in the patch, and why.")
    left_out_count: int = Field(description="How many places there are.")
    refs: list[KeptRefView] = Field(description="The agent's commits and stashes: they are in `commits.bundle`.")
    refs_count: int = Field(description="How many refs there are.")
    nested: list[NestedChangeView] = Field(description="Edits in nested repositories: they are in `nested.patch`.")
    nested_count: int = Field(description="How many nested repositories were changed.")


class ReleaseView(View):
    """Who released what was withheld."""

    by: str = Field(description="Display prefix of the API key.")
    at: datetime = Field(description="When.")
    reason: str = Field(description="Why.")


class PromotionView(View):
    """Which result is published, and where to."""

    dispatch_id: str = Field(description="The dispatch whose result it is.")
    branch: str = Field(description="The branch that is pushed.")
    base_commit: str | None = Field(
        description="The commit that the patch applies to; null when it is the first of an empty repository."
    )
    to_default: bool = Field(description="Whether the branch may be the default one.")
    create_pr: bool = Field(description="Whether a pull request is opened.")
    findings: FindingsView | None = Field(description="Secrets found in what is published; null when none was.")


class LogQuery(Body):
    """Which part of the log to read."""

    limit: int = Field(default=200, ge=1, le=1_000, description="Most lines on a page.")
    cursor: str | None = Field(default=None, description="`meta.pagination.cursor` of the page before.")


class LogLineView(View):
    """One line of a dispatch's log."""

    timestamp: datetime = Field(description="When the line was printed.")
    level: str = Field(description="`info`, `warning` or `error`.")
    source: LogSource = Field(description="Who printed it: the agent, the executor around it, or the platform.")
    message: str = Field(description="The line, with secrets removed.")


_LINES = TypeAdapter(list[LogLineView])


def shown(lines: list[LogLine]) -> list[LogLineView]:
    """Return the lines as the API shows them: validated as one list, in a third of the time of one by one."""
    return _LINES.validate_python([vars(line) for line in lines])


class InlineLogs(View):
    """Log lines that come with a dispatch's status."""

    lines: list[LogLineView] = Field(description="The lines from `logOffset` on.")
    next_offset: int = Field(description="`logOffset` for what follows these lines.")
    has_more: bool = Field(description="Whether more lines can be read now.")
