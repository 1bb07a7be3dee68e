"""What worker and broker say to each other: the payloads of a synchronous Lambda invocation.

Workers outlive deployments, so the broker takes versions N and N-1; a field is added with a default, never renamed.
"""

import hashlib
from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field, TypeAdapter

from outpost.domain.agents import Alias
from outpost.domain.collection import Collection
from outpost.domain.dispatch import LOG_TAIL_BYTES, Lease, Spec, Status, Usage
from outpost.domain.findings import Findings
from outpost.domain.reasons import Reason
from outpost.domain.value import Value

VERSION = 1
BROKER_SECONDS = 10
"""How long the broker's function may run; workers wait longer for its response."""


class _Request(Value):
    protocol: int = VERSION


class IdentityProof(Value):
    """The variable parts of a request of sts:GetCallerIdentity that the worker has signed and the broker sends.

    Method, host, body and the other headers are fixed (`outpost.aws.caller_identity`). Nothing of it may be logged:
    until it expires it proves the same to the same broker again.
    """

    access_key_id: str = Field(pattern=r"^\w{16,128}$")
    session_token: str = Field(pattern=r"^[A-Za-z0-9+/=]{1,8192}$", repr=False)
    signed_at: str = Field(pattern=r"^\d{8}T\d{6}Z$")
    signature: str = Field(pattern=r"^[0-9a-f]{64}$", repr=False)


class ClaimRequest(_Request):
    """A worker asks for work. It may ask often, but is given work once in its life.

    What it says of itself is believed only as far as `proof` and ECS confirm it.
    """

    op: Literal["claim"] = "claim"
    worker_id: str = Field(max_length=128)
    task_arn: str = Field(max_length=2_048)
    agent: str
    revision: int
    """The task definition's revision, so that workers of an old one can be retired."""
    proof: IdentityProof | None = None
    """None from workers of the release before; they are retired."""
    secret_sha256: str | None = Field(default=None, pattern=r"^[0-9a-f]{64}$")
    """Of the secret that each `LeaseRequest` of this worker carries. None from a release without one."""


def sha256_of(secret: str) -> str:
    """Return what a claim shows of its worker's secret, as hexadecimal digits."""
    return hashlib.sha256(secret.encode()).hexdigest()


class LeaseRequest(_Request):
    """A request about a dispatch that its worker has claimed."""

    dispatch_id: str
    lease: Lease
    secret: str | None = Field(default=None, max_length=128, repr=False)
    """Proves that the worker which has claimed sends it. Nothing may log it. None from a release without one."""


class StartedRequest(LeaseRequest):
    """The agent's process runs."""

    op: Literal["started"] = "started"


class RenewRequest(LeaseRequest):
    """A heartbeat, each 10 s."""

    op: Literal["renew"] = "renew"
    progress: str | None = Field(default=None, max_length=500)
    """One line for the dispatch's status."""
    want_credentials: bool = False
    """The attempt's credentials end soon: issue new ones."""


class EndedRequest(LeaseRequest):
    """The agent's process ended; uploads follow."""

    op: Literal["ended"] = "ended"
    exit_code: int | None


class ReserveRequest(LeaseRequest):
    """The dispatch's persistent workspace is packed: account for its size, before it replaces what was kept."""

    op: Literal["reserve"] = "reserve"
    size_bytes: int = Field(ge=0)


class SavedRequest(LeaseRequest):
    """The dispatch's persistent workspace was written back."""

    op: Literal["saved"] = "saved"
    size_bytes: int = Field(ge=0)


class ForgeTokenRequest(LeaseRequest):
    """A call of git follows that needs the forge's token. Which repository and which rights, the dispatch says."""

    op: Literal["forge_token"] = "forge_token"


class GrantRequest(LeaseRequest):
    """Model calls of this attempt could cost `micros` micro-dollars in total: allow them, before they are made."""

    op: Literal["grant"] = "grant"
    micros: int = Field(ge=0)
    final: bool = False
    """No call follows: `micros` is all that the attempt has spent, and what it was allowed beyond can be given back."""


class ReportRequest(LeaseRequest):
    """The attempt's outcome; everything it left is uploaded."""

    op: Literal["report"] = "report"
    outcome: Status
    reason: Reason
    exit_code: int | None = None
    usage: Usage = Field(default_factory=Usage)
    log_tail: str | None = Field(default=None, max_length=LOG_TAIL_BYTES)
    """The last log lines, unless it succeeded."""
    collection: Collection | None = None
    """What was kept beside the patch and what was left out, in brief."""
    findings: Findings | None = None
    """The secrets found in the results, in brief."""


Request = Annotated[
    ClaimRequest
    | StartedRequest
    | RenewRequest
    | EndedRequest
    | ReserveRequest
    | SavedRequest
    | ForgeTokenRequest
    | GrantRequest
    | ReportRequest,
    Field(discriminator="op"),
]
REQUEST: TypeAdapter[Request] = TypeAdapter(Request)


class Credentials(Value):
    """Credentials of one attempt: its S3 prefix and secrets that it needs, nothing else."""

    access_key_id: str
    secret_access_key: str = Field(repr=False)
    session_token: str = Field(repr=False)
    expires_at: datetime


class SecretCredentials(Value):
    """Credentials that read some of an attempt's secrets, and nothing else."""

    arns: tuple[str, ...]
    credentials: Credentials


class BedrockAccess(Value):
    """How an attempt reaches the models of its agent at Bedrock."""

    region: str
    credentials: Credentials
    """They call these models, and do nothing else."""


class Assignment(Value):
    """All that a worker needs to run a dispatch."""

    dispatch_id: str
    tenant_id: str
    lease: Lease
    spec: Spec
    task: str = Field(repr=False)
    bucket: str
    prefix: str
    secrets: dict[str, str] = Field(default_factory=dict)
    """Name of a variable -> ARN of the secret that holds its value."""
    searched_secrets: dict[str, str] = Field(default_factory=dict)
    """As `secrets`; earlier dispatches in the workspace were given them, so that its files may hold their values. The
    agent is not."""
    token_budget: int | None = None
    """Tokens, in and out, that the agent's model calls may use."""
    dollar_budget: bool = False
    """Whether model calls need a grant of money before they are made."""
    earlier_cost: int = 0
    """Micro-dollars that earlier attempts at the dispatch are charged."""
    models: dict[Alias, str] = Field(default_factory=dict)
    """The agent's models in this environment: alias -> model id."""
    context: tuple[str, ...] = ()
    """Keys of the tenant's notes for agents."""
    no_progress_seconds: int | None = None
    """How long the agent may print nothing; None: as long as it likes."""
    workspace_room: int | None = None
    """Bytes that the persistent workspace's archive may take; None without one."""
    forge: bool = False
    """Whether git asks for a token of the forge before it reaches for the repository."""
    credentials: Credentials
    secret_credentials: tuple[SecretCredentials, ...] = ()
    """For the secrets that `credentials` do not reach: a session policy is small, and secrets are many."""
    bedrock: BedrockAccess | None = None
    """In place of a provider's key; None where the agent calls its own provider."""


class ClaimResponse(Value):
    """Work, or how long to wait before asking again; `retire` ends the worker."""

    assignment: Assignment | None = None
    retire: bool = False


class LeaseResponse(Value):
    """What a worker learns when it shows its lease. Not live: stop, and write nothing more."""

    live: bool
    cancel: bool = False
    cancel_reason: str | None = None
    """What the client gave as the reason, if anything."""
    credentials: Credentials | None = None
    bedrock_credentials: Credentials | None = None
    """New ones for `Assignment.bedrock`, together with `credentials`."""


class ReserveResponse(Value):
    """Whether the workspace may be written back. Not live: stop, and write nothing more."""

    live: bool
    room: int | None = None
    """Bytes that the workspace may take, where that is less than was asked for; None: accounted for."""


class ForgeTokenResponse(Value):
    """A token for one call of git. Not live: stop, and write nothing more."""

    live: bool
    token: str | None = Field(default=None, repr=False)
    """None where the platform has no right of its own: what is public can be read without."""
    refused: str | None = None
    """Why there is no token where it takes one, or the forge gives none: asking again changes nothing."""


class GrantResponse(Value):
    """What an attempt may spend. Not live: stop, and write nothing more."""

    live: bool
    allowed: int = 0
    """Micro-dollars in total."""
    left: int = 0
    """When refused: what could still be granted beyond."""
    refused: str | None = None
    """The budget that has no room for what was asked for."""
    warnings: tuple[str, ...] = ()
    """Budgets of which most is used, for the dispatch's log."""
