"""Tenants, their tiers, and API keys."""

import hashlib
import re
import secrets
from datetime import datetime
from enum import StrEnum
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from outpost.domain.value import Value

OPERATOR = "operator"
"""The tenant whose admin keys manage the others."""

KEY_PATTERN = re.compile(r"otp_[0-9a-f]{64}")
KEY_PREFIX_LENGTH = 12

TenantStatus = Literal["active", "suspended"]
KeyStatus = Literal["active", "revoked"]


class Scope(StrEnum):
    """What a key may do; admin implies all."""

    DISPATCH = "dispatch"
    STATUS = "status"
    LIST = "list"
    CANCEL = "cancel"
    DELETE = "delete"
    PROMOTE = "promote"
    RELEASE = "release"
    """Lets results be fetched that hold the value of a known secret: no key has it unless it is asked for."""
    ADMIN = "admin"


class Overrides(BaseModel):
    """Limits of a tenant's own; None leaves the tier's."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    concurrent: int | None = Field(default=None, ge=1)
    daily: int | None = Field(default=None, ge=1)
    timeout_seconds: int | None = Field(default=None, ge=30)
    requests_per_minute: int | None = Field(default=None, ge=1)
    monthly_budget_usd: float | None = Field(default=None, gt=0)
    """What model calls may cost in a calendar month (UTC); None: the environment's budget of a tenant."""


class Limits(Overrides):
    """What a tenant may use. Over `concurrent` work is queued; over `daily` it is refused."""

    concurrent: int = Field(ge=1)
    daily: int = Field(ge=1)
    timeout_seconds: int = Field(ge=30)
    requests_per_minute: int = Field(default=60, ge=1)
    """Of each API key."""


TIERS: dict[str, Limits] = {
    "free": Limits(concurrent=1, daily=10, timeout_seconds=300),
    "starter": Limits(concurrent=3, daily=50, timeout_seconds=600),
    "pro": Limits(concurrent=10, daily=500, timeout_seconds=1_800),
    "enterprise": Limits(concurrent=50, daily=10_000, timeout_seconds=86_400),
}


class Tenant(Value):
    """Who dispatches: the unit of isolation, of quotas and of secrets."""

    id: str
    name: str
    tier: Literal["free", "starter", "pro", "enterprise"] = "free"
    status: TenantStatus = "active"
    overrides: Overrides | None = None
    repositories: tuple[str, ...] = ()
    """What the platform's right at the forge is used for: `owner/name`, or `owner/*` for all of an owner."""
    providers: tuple[str, ...] = ()
    """The model providers whose agents it may dispatch to; empty: all."""
    created_at: datetime

    @property
    def limits(self) -> Limits:
        """The tier's limits, where the tenant has none of its own."""
        own = self.overrides.model_dump(exclude_none=True) if self.overrides else {}
        return TIERS[self.tier].model_copy(update=own)

    def may_call(self, provider: str | None) -> bool:
        """Return whether its dispatches may call models at the provider; None: they call no model."""
        return provider is None or not self.providers or provider in self.providers

    def may_use(self, repository: str) -> bool:
        """Return whether git gets a token for `owner/name`; the forge takes capitals and small letters for the same."""
        owner = repository.partition("/")[0]
        return not {repository.lower(), f"{owner}/*".lower()}.isdisjoint(each.lower() for each in self.repositories)


class ApiKey(Value):
    """A key as it is stored: never its text, only the text's SHA-256 and a prefix for display."""

    sha256: str
    prefix: str
    tenant_id: str
    name: str
    scopes: frozenset[Scope]
    status: KeyStatus = "active"
    created_at: datetime
    expires: datetime | None = None
    last_used_at: datetime | None = None
    """Late by some minutes: a use is not written down each time."""

    def usable(self, at: datetime) -> bool:
        """Return whether the key opens anything at this time."""
        return self.status == "active" and (self.expires is None or at < self.expires)

    def allows(self, scope: Scope) -> bool:
        """Return whether the key carries the scope."""
        return scope in self.scopes or Scope.ADMIN in self.scopes


def new_key() -> str:
    """Return the text of a new API key: `otp_` and 64 hexadecimal digits."""
    return f"otp_{secrets.token_hex(32)}"


def hash_key(text: str) -> str:
    """Return the SHA-256 under which a key is stored."""
    return hashlib.sha256(text.encode()).hexdigest()
