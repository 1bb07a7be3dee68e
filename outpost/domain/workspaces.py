"""Persistent workspaces: files that outlive a dispatch, for the next one to continue with."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from outpost.domain.value import Value

LIFETIME = timedelta(days=30)
"""How long a workspace is kept after its last use."""
GIB = 1024**3


@dataclass(frozen=True)
class Quota:
    """What a tenant may keep."""

    workspaces: int
    size_bytes: int
    """Of all its archives together."""


QUOTAS: dict[str, Quota] = {
    "free": Quota(1, 1 * GIB),
    "starter": Quota(3, 5 * GIB),
    "pro": Quota(10, 20 * GIB),
    "enterprise": Quota(100, 500 * GIB),
}
"""By tier."""


class Workspace(Value):
    """The row of a workspace. Its files are an archive on the file system that only workers mount."""

    id: str
    tenant_id: str
    repo: str | None = None
    """What it was made from, with `branch`; a later dispatch continues with it and clones nothing."""
    branch: str | None = None
    size_bytes: int = 0
    """What its archive takes on the file system."""
    created_at: datetime
    used_at: datetime
    expires_at: int
    """Epoch seconds; each use moves it."""
    dispatch_id: str | None = None
    """The dispatch that holds it, from its acceptance to its end: one at a time."""
    secrets: frozenset[str] = frozenset()
    """Names of all secrets that its dispatches were given: their values may be in its files."""


@dataclass(frozen=True)
class Place:
    """One of the numbered places of a tenant's quota: each is taken by one workspace."""

    number: int
    last: str | None = None
    """The workspace that had it and is gone; None when nobody had it."""


def open_places(kept: Collection[Workspace], taken: Mapping[int, str], quota: Quota) -> list[Place]:
    """Return the places that a new workspace may take; `taken` has the id of the latest workspace of each place.

    As many as the quota has left, from the lowest: workspaces with a place above the quota, of a higher tier, count.
    """
    ids = {workspace.id for workspace in kept}
    free = [Place(number, taken.get(number)) for number in range(quota.workspaces) if taken.get(number) not in ids]
    return free[: max(0, quota.workspaces - len(kept))]


def room(kept: Iterable[Workspace], quota: Quota, workspace_id: str) -> int:
    """Return how many bytes one of a tenant's workspaces may take beside the others."""
    return max(0, quota.size_bytes - sum(other.size_bytes for other in kept if other.id != workspace_id))


def expiry(used_at: datetime) -> int:
    """Return when a workspace ends that is not used again, as epoch seconds."""
    return int((used_at + LIFETIME).timestamp())


def archive_name(tenant_id: str, workspace_id: str) -> str:
    """Return the name of a workspace's archive below the file system's root."""
    return f"{tenant_id}/{workspace_id}.tar.zst"
