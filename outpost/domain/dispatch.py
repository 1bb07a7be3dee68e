"""A dispatch: the row that is the truth about one task, and its immutable text."""

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Literal

from pydantic import Field

from outpost.domain.agents import Agent
from outpost.domain.budgets import Spending, month_of, to_micros, to_usd
from outpost.domain.collection import Collection
from outpost.domain.findings import Findings, Release
from outpost.domain.reasons import Reason
from outpost.domain.value import Value


class Status(StrEnum):
    """The states of a dispatch; the last four are terminal."""

    PENDING = "pending"
    PROVISIONING = "provisioning"
    RUNNING = "running"
    COMPLETING = "completing"
    SUCCESS = "success"
    FAILED = "failed"
    TIMEOUT = "timeout"
    CANCELLED = "cancelled"

    @property
    def terminal(self) -> bool:
        """Return whether nothing can follow this state."""
        return self in _TERMINAL


_TERMINAL = frozenset({Status.SUCCESS, Status.FAILED, Status.TIMEOUT, Status.CANCELLED})

Kind = Literal["task", "promote"]
ContextLevel = Literal["minimal", "standard", "full"]
WorkspaceMode = Literal["ephemeral", "persistent"]
InitMode = Literal["full", "minimal", "none"]

LOG_TAIL_BYTES = 8 * 1024

MAX_ATTEMPTS = 3
"""A worker lost is retried until this many attempts were made."""


class Lease(Value):
    """What a worker shows to prove that it still holds a dispatch: its own id and the fencing token of its claim."""

    worker_id: str
    token: int


class Usage(Value):
    """What an attempt consumed, as the harness measured it."""

    duration_seconds: float = 0
    """Of the agent's own run."""
    input_tokens: int = 0
    cached_input_tokens: int = 0
    """Of the input: what the provider's cache served."""
    output_tokens: int = 0
    model_calls: int = 0
    model_cost_usd: float | None = None
    """By the providers' list prices; None when a model without a price was used."""
    vcpu_seconds: float = 0
    gb_seconds: float = 0
    """Of the worker's task, from the claim to the report."""
    capacity: Literal["spot", "on-demand"] | None = None
    """What the task ran on; None where the platform does not say."""


class Promotion(Value):
    """What is promoted, and where to: part of the row of a dispatch of kind `promote`."""

    dispatch_id: str
    attempt: int
    """The attempt that succeeded: its patch is the one."""
    base_commit: str | None = None
    """None: the repository was empty, and the result is its first commit."""
    branch: str
    to_default: bool = False
    """Whether `branch` may be the repository's default branch."""
    create_pr: bool = False
    committed_at: datetime
    """The commit's time. It is the dispatch's, so that the same promotion makes the same commit each time."""
    withheld: bool = False
    """The patch was withheld, and has been released."""
    findings: Findings | None = None
    """The secrets found in the patch."""
    fingerprint: str
    """What distinguishes this request from another for the same branch."""


class Publication(Value):
    """What the tenant writes; the text of a dispatch of kind `promote` is this as JSON."""

    message: str
    author_name: str
    author_email: str
    pr_title: str
    pr_body: str


class Spec(Value):
    """What was asked for: fixed at creation."""

    kind: Kind = "task"
    agent: Agent
    model_id: str | None = None
    repo: str | None = None
    branch: str | None = None
    context: ContextLevel = "standard"
    workspace_mode: WorkspaceMode = "ephemeral"
    workspace_id: str | None = None
    workspace_init_mode: InitMode = "full"
    timeout_seconds: int = 600
    queue_timeout_seconds: int = 86_400
    additional_secrets: tuple[str, ...] = ()
    collect: tuple[str, ...] = ()
    """Patterns of files to keep beside the patch."""
    tags: dict[str, str] = Field(default_factory=dict)
    retryable: bool = False
    max_cost_usd: float | None = None
    """What the model calls of all attempts together may cost."""
    promotes: Promotion | None = None
    """Set for the kind `promote`, whose worker runs no agent."""


class Dispatch(Value):
    """The row. Only `outpost.domain.lifecycle` makes a changed one, only the store writes it, by compare-and-set."""

    id: str
    tenant_id: str
    created_by: str
    """Display prefix of the API key that asked."""
    spec: Spec
    expires_at: int
    """Epoch seconds at which the row is deleted; the artifacts expire with it."""

    status: Status = Status.PENDING
    version: int = 1
    """Counts the writes; the compare-and-set's expectation."""
    attempt: int = 0
    """Claims so far. The number of the current claim is the fencing token: it only grows."""
    worker_id: str | None = None
    secret_sha256: str | None = None
    """Of the secret that requests about this claim carry; None where the worker is of a release without one."""
    slot: int | None = None
    """The tenant's concurrency slot that the dispatch holds from claim to end."""

    created_at: datetime
    queued_at: datetime
    """When it last became pending."""
    provisioning_at: datetime | None = None
    running_at: datetime | None = None
    completing_at: datetime | None = None
    ended_at: datetime | None = None
    cancel_requested_at: datetime | None = None
    cancel_reason: str | None = None

    progress: str | None = None
    exit_code: int | None = None
    reason: Reason | None = None
    usage: Usage | None = None
    spending: Spending = Spending()
    """What it took from budgets in dollars; empty where none applies."""
    log_tail: str | None = None
    """The last log lines of a dispatch that did not succeed, at most `LOG_TAIL_BYTES`."""
    collection: Collection | None = None
    """What was kept beside the patch, and what was left out."""
    findings: Findings | None = None
    """The secrets found in the results, in brief."""
    released: Release | None = None
    """The release of what is withheld for them."""
    details: str | None = Field(default=None, exclude=True)
    """Names what is stored beside the row that was read, so that it is not written again; None: nothing."""

    @property
    def withheld(self) -> bool:
        """Return whether artifacts are withheld because of the secrets in them, and not released."""
        return self.findings is not None and bool(self.findings.withheld) and self.released is None

    @property
    def lease(self) -> Lease | None:
        """The live claim, or None when nobody holds the dispatch."""
        if self.worker_id is None or self.status.terminal:
            return None
        return Lease(worker_id=self.worker_id, token=self.attempt)

    @property
    def charges(self) -> dict[str, int] | None:
        """Month -> micro-dollars that the model calls of an ended dispatch are charged to it.

        None when the cost is not known: a model has no price, and no budget applies.
        """
        if self.usage is not None and self.usage.model_cost_usd is None and not self.spending.committed:
            return None
        reported = self.usage.model_cost_usd if self.usage is not None else None
        return self.spending.charged(
            month_of(self.ended_at or self.queued_at), None if reported is None else to_micros(reported)
        )

    @property
    def cost_usd(self) -> float | None:
        """What the model calls of all attempts are charged; None while it is live, and when that is not known."""
        charges = self.charges if self.status.terminal else None
        return None if charges is None else to_usd(sum(charges.values()))

    @property
    def queue_deadline(self) -> datetime:
        """When a pending dispatch gives up waiting."""
        return self.queued_at + timedelta(seconds=self.spec.queue_timeout_seconds)
