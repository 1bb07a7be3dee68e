"""Tenants, their API keys and what these have used of their minute, and the links to artifacts that were opened."""

from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from pydantic import BaseModel

from outpost.domain.secrets import TenantSecret
from outpost.domain.tenants import ApiKey, Tenant
from outpost.store import keys
from outpost.store.database import ConflictError, Database, Item
from outpost.store.keys import Key
from outpost.store.schema import KEYS_BY_TENANT

Document = TypeVar("Document", bound=BaseModel)

_ALL = "*"
"""Value of `tenant_id` on the tenants' own items: the index then lists the tenants under it."""


WINDOW_SECONDS = 60
_RATES_KEPT = timedelta(minutes=10)
_RACES = 5
"""Lost compare-and-sets before giving up: administrators are few."""


class ExistsError(Exception):
    """There is already a tenant of this id."""


class Tenants:
    """The tenants table."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def add(self, tenant: Tenant) -> None:
        """Write a new tenant. Raises `ExistsError`."""
        item = keys.tenant(tenant.id).item(tenant_id=_ALL, document=tenant.model_dump_json())
        try:
            self._db.put(self._db.tenants, item, "attribute_not_exists(pk)")
        except ConflictError as refused:
            raise ExistsError(f"tenant {tenant.id!r} exists already: choose another id") from refused

    def get(self, tenant_id: str) -> Tenant | None:
        """Read a tenant, or None."""
        item = self._db.get(self._db.tenants, *keys.tenant(tenant_id))
        return Tenant.model_validate_json(item["document"]) if item else None

    def change(self, tenant_id: str, **fields: object) -> Tenant | None:
        """Change these fields of a tenant, whatever else is changed at the same time. Returns None if it is unknown.

        Raises `ConflictError` when it changed under every try.
        """
        return self._change(keys.tenant(tenant_id), Tenant, fields)

    def all(self, after: str | None = None) -> Iterator[Tenant]:
        """Yield all tenants, by id; those after one when it is named."""
        for item in self._db.query(
            self._db.tenants,
            "tenant_id = :all AND pk > :after",
            {"all": _ALL, "after": keys.tenant(after or "").pk},
            index=KEYS_BY_TENANT.name,
            page_size=100,
        ):
            yield Tenant.model_validate_json(item["document"])

    def add_key(self, key: ApiKey) -> None:
        """Write a new key; one that exists already is left as it is."""
        item = keys.api_key(key.sha256).item(tenant_id=key.tenant_id, document=key.model_dump_json())
        with suppress(ConflictError):
            self._db.put(self._db.tenants, item, "attribute_not_exists(pk)")

    def find_key(self, sha256: str) -> ApiKey | None:
        """Read a key by its hash, or None."""
        item = self._db.get(self._db.tenants, *keys.api_key(sha256))
        return _key_of(item) if item else None

    def keys(self, tenant_id: str) -> list[ApiKey]:
        """Return a tenant's keys, oldest first."""
        items = self._db.query(
            self._db.tenants, "tenant_id = :tenant", {"tenant": tenant_id}, index=KEYS_BY_TENANT.name
        )
        return sorted(map(_key_of, items), key=lambda key: key.created_at)

    def change_key(self, sha256: str, **fields: object) -> ApiKey | None:
        """Change these fields of a key; as `change` does."""
        return self._change(keys.api_key(sha256), ApiKey, fields)

    def touch_key(self, sha256: str, at: datetime) -> None:
        """Write down that a key was used."""
        self._db.update(self._db.tenants, *keys.api_key(sha256), "SET last_used_at = :at", at=at.isoformat())

    def secrets(self, tenant_id: str) -> dict[str, TenantSecret]:
        """Return a tenant's secrets by name."""
        items = self._db.query(self._db.tenants, "pk = :pk", {"pk": keys.secret(tenant_id).pk})
        found = (TenantSecret.model_validate_json(item["document"]) for item in items)
        return {secret.name: secret for secret in found}

    def add_secret(self, tenant_id: str, secret: TenantSecret) -> None:
        """List a secret."""
        item = keys.secret(tenant_id, secret.name).item(document=secret.model_dump_json())
        self._db.put(self._db.tenants, item)

    def remove_secret(self, tenant_id: str, name: str) -> None:
        """List a secret no more."""
        self._db.delete(self._db.tenants, *keys.secret(tenant_id, name))

    def _change(self, key: Key, model: type[Document], fields: dict[str, object]) -> Document | None:
        for race in range(1, _RACES + 1):
            item = self._db.get(self._db.tenants, *key)
            if item is None:
                return None
            changed = model.model_validate(model.model_validate_json(item["document"]).model_dump() | fields)
            try:
                self._db.update(
                    self._db.tenants,
                    *key,
                    "SET document = :new",
                    "document = :old",
                    new=changed.model_dump_json(),
                    old=item["document"],
                )
            except ConflictError:
                if race == _RACES:
                    raise
                continue
            return changed
        return None


class Links:
    """Opened links in the tenants table; an item ends by its TTL, when its link would have ended anyway."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def open(self, link_id: str, until: int) -> bool:
        """Mark a link as opened and return whether this is the first time. `until` is its end, in epoch seconds."""
        try:
            self._db.put(self._db.tenants, keys.link(link_id).item(expires_at=until), "attribute_not_exists(pk)")
        except ConflictError:
            return False
        return True


class Rates:
    """The keys' counters in the tenants table; an old minute's item ends by its TTL."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def lease(self, key_sha256: str, window: int, count: int) -> int:
        """Count `count` requests of a key's minute, and return how many were counted before."""
        item = self._db.update(
            self._db.tenants,
            *keys.rate(key_sha256, window),
            "ADD leased :count SET expires_at = :expiry",
            count=count,
            expiry=int((datetime.fromtimestamp(window, UTC) + _RATES_KEPT).timestamp()),
        )
        return int(item["leased"]) - count


def _key_of(item: Item) -> ApiKey:
    key = ApiKey.model_validate_json(item["document"])
    used = item.get("last_used_at")
    return key.model_copy(update={"last_used_at": datetime.fromisoformat(used)}) if used else key
