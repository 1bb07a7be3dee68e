"""Tenants and their API keys."""

from collections.abc import Iterator
from datetime import datetime

from outpost.domain.tenants import ApiKey, Tenant
from outpost.store.database import ConflictError, Database
from outpost.store.schema import KEYS_BY_TENANT

_ALL = "*"
"""Value of `tenant_id` on the tenants' own items: the index then lists the tenants under it."""


class ExistsError(Exception):
    """There is already a tenant of this id."""


class Tenants:
    """The tenants table."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def add(self, tenant: Tenant) -> None:
        """Write a new tenant. Raises `ExistsError`."""
        item = {"pk": f"TENANT#{tenant.id}", "sk": "TENANT", "tenant_id": _ALL, "document": tenant.model_dump_json()}
        try:
            self._db.put(self._db.tenants, item, "attribute_not_exists(pk)")
        except ConflictError as refused:
            raise ExistsError(f"tenant {tenant.id!r} exists already: choose another id") from refused

    def get(self, tenant_id: str) -> Tenant | None:
        """Read a tenant, or None."""
        item = self._db.get(self._db.tenants, f"TENANT#{tenant_id}", "TENANT")
        return Tenant.model_validate_json(item["document"]) if item else None

    def replace(self, tenant: Tenant) -> None:
        """Write a changed tenant."""
        self._db.update(
            self._db.tenants, f"TENANT#{tenant.id}", "TENANT", "SET document = :doc", doc=tenant.model_dump_json()
        )

    def all(self, after: str | None = None) -> Iterator[Tenant]:
        """Yield all tenants, by id; those after one when it is named."""
        for item in self._db.query(
            self._db.tenants,
            "tenant_id = :all AND pk > :after",
            {"all": _ALL, "after": f"TENANT#{after or ''}"},
            index=KEYS_BY_TENANT.name,
            page_size=100,
        ):
            yield Tenant.model_validate_json(item["document"])

    def add_key(self, key: ApiKey) -> None:
        """Write a new key; one that exists already is left as it is."""
        item = {
            "pk": f"KEY#{key.sha256}",
            "sk": "KEY",
            "tenant_id": key.tenant_id,
            "document": key.model_dump_json(),
        }
        try:
            self._db.put(self._db.tenants, item, "attribute_not_exists(pk)")
        except ConflictError:
            return

    def find_key(self, sha256: str) -> ApiKey | None:
        """Read a key by its hash, or None."""
        item = self._db.get(self._db.tenants, f"KEY#{sha256}", "KEY")
        return ApiKey.model_validate_json(item["document"]) if item else None

    def keys(self, tenant_id: str) -> list[ApiKey]:
        """Return a tenant's keys, oldest first."""
        items = self._db.query(
            self._db.tenants, "tenant_id = :tenant", {"tenant": tenant_id}, index=KEYS_BY_TENANT.name
        )
        return sorted((ApiKey.model_validate_json(i["document"]) for i in items), key=lambda key: key.created_at)

    def revoke_key(self, key: ApiKey, at: datetime) -> ApiKey:
        """End a key for good."""
        revoked = key.model_copy(update={"status": "revoked", "expires": at})
        self._db.update(
            self._db.tenants, f"KEY#{key.sha256}", "KEY", "SET document = :doc", doc=revoked.model_dump_json()
        )
        return revoked
