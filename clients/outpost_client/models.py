"""What the API takes and gives, as its clients see it. Fields that a newer service adds are ignored."""

from datetime import date, datetime
from enum import StrEnum
from typing import Generic, TypeVar

from pydantic import Field

from outpost_client.results import AttemptUsage, Collection, Findings, Model, Reason, Release, Status


class Scope(StrEnum):
    """What a key may do; admin implies all."""

    DISPATCH = "dispatch"
    STATUS = "status"
    LIST = "list"
    CANCEL = "cancel"
    DELETE = "delete"
    PROMOTE = "promote"
    RELEASE = "release"
    ADMIN = "admin"


class DispatchRequest(Model):
    """A task to dispatch. What is left None is left to the service's defaults; the service validates."""

    agent: str
    task: str
    model_id: str | None = None
    repo: str | None = None
    branch: str | None = None
    context: str | None = None
    workspace_mode: str | None = None
    workspace_id: str | None = None
    workspace_init_mode: str | None = None
    timeout_seconds: int | None = None
    queue_timeout_seconds: int | None = None
    additional_secrets: list[str] | None = None
    collect: list[str] | None = None
    tags: dict[str, str] | None = None
    retryable: bool | None = None
    max_cost_usd: float | None = None


class PromotionRequest(Model):
    """Where a result is pushed, and with which texts. What is left None is left to the service's defaults."""

    branch: str
    to_default: bool | None = None
    create_pr: bool | None = None
    pr_title: str | None = None
    pr_body: str | None = None
    message: str | None = None
    author_name: str | None = None
    author_email: str | None = None


class ReleaseRequest(Model):
    """The acknowledgement of the secrets that are released."""

    secrets: list[str]
    reason: str


class Promotion(Model):
    """Which result is published, and where to."""

    dispatch_id: str
    branch: str
    findings: Findings | None = None


class LogLine(Model):
    """One line of a dispatch's log."""

    timestamp: datetime
    level: str = "info"
    source: str
    message: str


class Dispatch(Model):
    """A dispatch as the service shows it."""

    id: str
    status: Status
    agent: str
    model_id: str | None = None
    repo: str | None = None
    branch: str | None = None
    workspace_id: str | None = None
    tags: dict[str, str] = Field(default_factory=dict)
    promotes: Promotion | None = None
    attempt: int = 0
    progress: str | None = None
    queue_position: int | None = None
    expected_start_at: datetime | None = None
    created_at: datetime
    provisioning_at: datetime | None = None
    running_at: datetime | None = None
    completing_at: datetime | None = None
    ended_at: datetime | None = None
    cancel_requested_at: datetime | None = None
    exit_code: int | None = None
    reason: Reason | None = None
    usage: AttemptUsage | None = None
    max_cost_usd: float | None = None
    cost_usd: float | None = None
    withheld: bool = False
    """Results hold the value of a known secret, and are not released."""
    collection: Collection | None = None
    findings: Findings | None = None
    released: Release | None = None


class WithheldArtifact(Model):
    """A file that holds the value of a known secret, and waits for its release."""

    name: str
    type: str
    size: int


class Artifact(WithheldArtifact):
    """A file that the winning attempt left; `url` opens it without a key until it expires."""

    url: str


class ArtifactList(Model):
    """The artifacts of one dispatch."""

    artifacts: list[Artifact]
    withheld: list[WithheldArtifact] = Field(default_factory=list)


class Check(Model):
    """One thing that the service needs, and whether it reaches it."""

    status: str
    message: str


class Health(Model):
    """The service and what it needs."""

    status: str
    version: str
    checks: dict[str, Check]

    @property
    def failing(self) -> str:
        """What fails and why, in one line; empty when nothing does."""
        return "; ".join(f"{name}: {check.message}" for name, check in self.checks.items() if check.status == "fail")


class Limits(Model):
    """What a tenant may use; in a request, None leaves the tier's."""

    concurrent: int | None = None
    daily: int | None = None
    timeout_seconds: int | None = None
    requests_per_minute: int | None = None
    monthly_budget_usd: float | None = None


class UsageFigures(Model):
    """Sums over dispatches that have ended."""

    dispatches: int
    unpriced_dispatches: int = 0
    input_tokens: int
    cached_input_tokens: int
    output_tokens: int
    model_calls: int
    cost_usd: float
    duration_seconds: float
    vcpu_seconds: float
    gb_seconds: float


class UsageRow(UsageFigures):
    """The sums of one group; what it is not grouped by is None."""

    day: date | None = None
    tenant: str | None = None
    agent: str | None = None
    model: str | None = None
    tag: str | None = None


class MonthlyBudget(Model):
    """The budget of the current month for model calls."""

    month: str
    limit_usd: float | None = None
    committed_usd: float
    charged_usd: float


class Usage(Model):
    """What dispatches used in a period."""

    since: date
    until: date
    tenant: str
    rows: list[UsageRow]
    total: UsageFigures
    budget: MonthlyBudget


class Tenant(Model):
    """A tenant: who dispatches."""

    id: str
    name: str
    tier: str
    status: str
    limits: Limits = Limits()
    own_limits: Limits = Limits()
    repositories: list[str] = Field(default_factory=list)
    providers: list[str] = Field(default_factory=list)
    created_at: datetime


class Key(Model):
    """An API key as it can be shown again: without its text."""

    id: str
    prefix: str
    name: str
    scopes: list[str]
    status: str
    created_at: datetime
    expires_at: datetime | None = None
    last_used_at: datetime | None = None


class Secret(Model):
    """A tenant's secret, without its value."""

    name: str
    updated_at: datetime
    searched: bool = True
    """Whether logs and results are searched for its value."""
    warning: str | None = None


class IssuedKey(Key):
    """A key just issued; `key` is its text, shown this once."""

    key: str = Field(repr=False)


Item = TypeVar("Item")


class Pagination(Model):
    """Where a list continues: `cursor` requests what follows."""

    cursor: str | None = None
    has_more: bool = False


class Page(Pagination, Generic[Item]):
    """Part of a list."""

    items: list[Item]
