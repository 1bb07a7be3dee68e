"""Tenants, their keys and their secrets, as the API takes and shows them."""

from datetime import datetime
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, SecretStr, StrictBool, StrictInt, field_validator

from control_plane.envelope import Body, Time, View
from outpost.domain.providers import NAMES
from outpost.domain.repository import GRANT_PATTERN, check_grant
from outpost.domain.secrets import MAX_VALUE_LENGTH, MIN_VALUE_LENGTH, TenantSecret
from outpost.domain.tenants import ApiKey, KeyStatus, Overrides, Scope, Tenant, TenantStatus

Tier = Literal["free", "starter", "pro", "enterprise"]

_REPOSITORIES = "Repositories that git gets the platform's token for: `owner/name` (without `.git`), or `owner/*`."
_Grant = Annotated[str, Field(pattern=GRANT_PATTERN), AfterValidator(check_grant)]
Repositories = Annotated[tuple[_Grant, ...], Field(max_length=100)]
_PROVIDERS = "Model providers whose agents it may dispatch to; empty: all. An agent without a model is always open."
_Provider = Annotated[str, Field(pattern=f"^({'|'.join(NAMES)})$")]
Providers = Annotated[tuple[_Provider, ...], Field(max_length=len(NAMES))]


class LimitsRequest(Body):
    """Limits of a tenant's own; what is left out is the tier's."""

    concurrent: StrictInt | None = Field(default=None, ge=1, le=1_000, description="Dispatches that run at once.")
    daily: StrictInt | None = Field(default=None, ge=1, description="Dispatches a day (UTC).")
    timeout_seconds: StrictInt | None = Field(default=None, ge=30, le=86_400, description="Longest time limit.")
    requests_per_minute: StrictInt | None = Field(
        default=None, ge=1, le=1_000_000, description="Requests a minute of each API key."
    )
    monthly_budget_usd: float | None = Field(
        default=None,
        strict=True,
        ge=0.01,
        le=100_000_000,
        allow_inf_nan=False,
        description="US dollars that model calls may cost in a calendar month (UTC).",
    )

    @property
    def overrides(self) -> Overrides:
        """The limits of the tenant's own."""
        return Overrides.model_validate(self.model_dump())


class TenantRequest(Body):
    """A new tenant."""

    id: str = Field(
        pattern=r"^[a-z][a-z0-9-]{1,38}[a-z0-9]$",
        description="3 to 40 lower-case letters, digits and dashes. Cannot be changed.",
        examples=["acme"],
    )
    name: str = Field(min_length=1, max_length=100, description="For people.", examples=["Acme Inc."])
    tier: Tier = Field(default="free", description="Sets the limits.")
    limits: LimitsRequest | None = Field(default=None, description="Limits that differ from the tier's.")
    repositories: Repositories = Field(default=(), description=_REPOSITORIES, examples=[["acme/*"]])
    providers: Providers = Field(default=(), description=_PROVIDERS, examples=[["bedrock"]])

    @property
    def overrides(self) -> Overrides | None:
        """The limits of the tenant's own."""
        return self.limits.overrides if self.limits else None


class TenantChange(Body):
    """What to change of a tenant."""

    name: str | None = Field(default=None, min_length=1, max_length=100, description="For people.")
    tier: Tier | None = Field(default=None, description="Sets the limits.")
    limits: LimitsRequest | None = Field(
        default=None, description="All limits that differ from the tier's; `{}` ends those there were."
    )
    repositories: Repositories | None = Field(
        default=None, description=f"{_REPOSITORIES} They replace those there were; `[]` ends all."
    )
    providers: Providers | None = Field(
        default=None, description=f"{_PROVIDERS} They replace those there were; `[]` ends the limit."
    )

    @property
    def fields(self) -> dict[str, object]:
        """The tenant's fields that change."""
        own = {"overrides": self.limits.overrides} if self.limits else {}
        return self.model_dump(include={"name", "tier", "repositories", "providers"}, exclude_none=True) | own


class Suspension(Body):
    """How a tenant is suspended."""

    cancel_running: StrictBool = Field(
        default=False,
        description="Cancel what runs, too. Otherwise it continues until its credentials end, within the hour.",
    )


class LimitsView(View):
    """What a tenant may use."""

    concurrent: int = Field(description="Dispatches that run at once; more wait.")
    daily: int = Field(description="Dispatches a day (UTC); more are refused.")
    timeout_seconds: int = Field(description="Longest time limit of a dispatch.")
    requests_per_minute: int = Field(description="Requests a minute of each API key; more are refused.")
    monthly_budget_usd: float | None = Field(
        description="US dollars that model calls may cost in a calendar month (UTC); null: what the environment says."
    )


class OwnLimitsView(View):
    """Limits of a tenant's own; null where the tier's applies."""

    concurrent: int | None = Field(default=None, description="Dispatches that run at once.")
    daily: int | None = Field(default=None, description="Dispatches a day (UTC).")
    timeout_seconds: int | None = Field(default=None, description="Longest time limit of a dispatch.")
    requests_per_minute: int | None = Field(default=None, description="Requests a minute of each API key.")
    monthly_budget_usd: float | None = Field(default=None, description="US dollars a month for model calls.")


class TenantView(View):
    """A tenant."""

    id: str = Field(description="Identifies the tenant.")
    name: str = Field(description="For people.")
    tier: Tier = Field(description="Sets the limits.")
    status: TenantStatus = Field(description="A suspended tenant's keys open nothing.")
    limits: LimitsView = Field(description="The limits that apply.")
    own_limits: OwnLimitsView = Field(description="Those that differ from the tier's.")
    repositories: tuple[str, ...] = Field(description=_REPOSITORIES)
    providers: tuple[str, ...] = Field(description=_PROVIDERS)
    created_at: datetime = Field(description="When it was created.")

    @classmethod
    def of(cls, tenant: Tenant) -> Self:
        """Show a tenant."""
        return cls.showing(tenant, limits=tenant.limits, own_limits=tenant.overrides or Overrides())


class PageQuery(Body):
    """Which part of a list to read."""

    limit: int = Field(default=20, ge=1, le=100, description="Most entries on a page.")
    cursor: str | None = Field(default=None, description="`meta.pagination.cursor` of the page before.")


class KeyRequest(Body):
    """A new API key."""

    name: str = Field(min_length=1, max_length=100, description="What it is for.", examples=["ci"])
    scopes: frozenset[Scope] = Field(min_length=1, description="What it may do; `admin` implies all.")
    expires_at: Time | None = Field(default=None, description="When it ends by itself.")


class RotationRequest(Body):
    """How to replace a key."""

    overlap_seconds: StrictInt = Field(
        default=86_400, ge=0, le=2_592_000, description="How long the old key still works beside the new one."
    )


class KeyView(View):
    """An API key, without its text."""

    id: str = Field(description="Names the key to revoke it. It is the SHA-256 of the key's text and opens nothing.")
    prefix: str = Field(description="The first 12 characters of the key's text, to recognise it by.")
    tenant_id: str = Field(description="Whose key it is.")
    name: str = Field(description="What it is for.")
    scopes: list[Scope] = Field(description="What it may do.")
    status: KeyStatus | Literal["expired"] = Field(description="Only an active key opens anything.")
    created_at: datetime = Field(description="When it was issued.")
    expires_at: datetime | None = Field(description="When it ends, or was revoked.")
    last_used_at: datetime | None = Field(description="When it was last used; up to 6 minutes late.")

    @classmethod
    def of(cls, key: ApiKey, at: datetime, text: str | None = None) -> Self:
        """Show a key as it is at a time; its text only when it has just been issued."""
        expired = key.status == "active" and not key.usable(at)
        status = "expired" if expired else key.status
        return cls.showing(
            key, id=key.sha256, scopes=sorted(key.scopes), status=status, expires_at=key.expires, key=text
        )


class IssuedKeyView(KeyView):
    """An API key that was just issued."""

    key: str = Field(description="The key's text: shown this once, stored nowhere.", repr=False)


class SecretRequest(Body):
    """The value of a secret."""

    value: SecretStr = Field(
        min_length=MIN_VALUE_LENGTH,
        max_length=MAX_VALUE_LENGTH,
        description="Given to agents as an environment variable. Taken out of logs; results that hold it are withheld. "
        "Never shown again.",
    )

    @field_validator("value", mode="before")
    @classmethod
    def _is_long_enough(cls, value: object) -> object:
        if isinstance(value, str) and len(value) < MIN_VALUE_LENGTH:
            raise ValueError(
                f"has {len(value)} characters; a secret needs {MIN_VALUE_LENGTH} or more, "
                "because logs and results are searched for it"
            )
        return value


class SecretView(View):
    """A secret, without its value."""

    name: str = Field(description="Name it in `additionalSecrets`; the agent finds it as a variable of this name.")
    updated_at: datetime = Field(description="When its value was last set.")
    searched: bool = Field(
        description="Whether logs and results are searched for its value. One that is a common word, such as "
        "`postgres`, is not: it would be found where it is no secret."
    )
    warning: str | None = Field(description="Why it is not searched for, and what to do; null when it is.")

    @classmethod
    def of(cls, secret: TenantSecret) -> Self:
        """Show a secret."""
        why = secret.not_searched
        warning = f"The value is not searched for: {why}. Agents may print it and put it into results." if why else None
        return cls(name=secret.name, updated_at=secret.updated_at, searched=why is None, warning=warning)
