"""Tenants, their keys and their secrets, as operators and administrators manage them."""

import asyncio
import re
from contextlib import suppress
from datetime import datetime, timedelta
from functools import partial
from itertools import islice
from typing import NamedTuple, TypeVar

from control_plane.auth import Authenticator
from control_plane.errors import ApiError, ErrorCode, invalid, not_found, unavailable
from control_plane.schemas.tenants import KeyRequest, TenantRequest
from control_plane.settings import Stores
from outpost.domain.ids import now
from outpost.domain.lifecycle import Cancel, TransitionError
from outpost.domain.secrets import TenantSecret, check_name
from outpost.domain.tenants import KEY_PREFIX_LENGTH, OPERATOR, ApiKey, Scope, Tenant, hash_key, new_key
from outpost.store.secrets import SecretBusyError, TooManySecretsError

Found = TypeVar("Found")

_KEY_ID = re.compile(r"[0-9a-f]{64}")


class IssuedKey(NamedTuple):
    """A new key, and its text: it is not stored."""

    key: ApiKey
    text: str


class TenantService:
    """Every method raises `ApiError`: 404 for a tenant, key or secret that does not exist."""

    def __init__(self, stores: Stores, authenticator: Authenticator) -> None:
        self._stores = stores
        self._tenants = stores.tenants
        self._authenticator = authenticator

    async def create(self, request: TenantRequest) -> Tenant:
        """Create a tenant. Raises `ExistsError`."""
        fields = request.model_dump(include={"id", "name", "tier", "repositories", "providers"})
        tenant = Tenant(**fields, overrides=request.overrides, created_at=now())
        await asyncio.to_thread(self._tenants.add, tenant)
        return tenant

    async def page(self, limit: int, after: str | None) -> list[Tenant]:
        """Return up to `limit` tenants by id, from those behind `after` on."""
        return await asyncio.to_thread(lambda: list(islice(self._tenants.all(after), limit)))

    async def find(self, tenant_id: str) -> Tenant:
        """Read a tenant."""
        return _existing("tenant", await asyncio.to_thread(self._tenants.get, tenant_id))

    async def change(self, tenant_id: str, **fields: object) -> Tenant:
        """Change a tenant's fields; this replica applies them at once, others within 30 seconds."""
        tenant = await asyncio.to_thread(partial(self._tenants.change, tenant_id, **fields))
        self._authenticator.forget()
        return _existing("tenant", tenant)

    async def suspend(self, tenant_id: str, *, cancel_running: bool) -> Tenant:
        """Suspend a tenant, and cancel its running dispatches if wanted. Raises a 409 for the operator."""
        if tenant_id == OPERATOR:
            raise ApiError(ErrorCode.CONFLICT, "The operator tenant cannot be suspended: nobody could resume it.")
        tenant = await self.change(tenant_id, status="suspended")
        if cancel_running:
            await asyncio.to_thread(self._cancel_running, tenant_id)
        return tenant

    def _cancel_running(self, tenant_id: str) -> None:
        for dispatch_id in self._stores.slots.of(tenant_id).taken.values():
            with suppress(TransitionError):  # it has ended, or its results are being uploaded
                self._stores.dispatches.change(dispatch_id, Cancel("the tenant was suspended", now()))

    async def keys(self, tenant_id: str) -> list[ApiKey]:
        """Return a tenant's keys, newest first."""
        await self.find(tenant_id)
        keys = await asyncio.to_thread(self._tenants.keys, tenant_id)
        return sorted(keys, key=key_order, reverse=True)

    async def issue(self, tenant_id: str, request: KeyRequest) -> IssuedKey:
        """Issue a key. Raises a 400 for one that would have ended already."""
        end = request.expires_at
        if end is not None and end <= now():
            raise invalid(("expiresAt", f"{end.isoformat()} is in the past: give a time to come, or leave it out"))
        await self.find(tenant_id)
        return await self._issue(tenant_id, request.name, request.scopes, end)

    async def rotate(self, key_id: str, overlap: timedelta) -> IssuedKey:
        """Issue a key like this one, which ends after the overlap. Raises a 409 when it has ended."""
        old, at = await self._find_key(key_id), now()
        if not old.usable(at):
            raise ApiError(ErrorCode.CONFLICT, "The key has ended: issue a new one.")
        issued = await self._issue(old.tenant_id, old.name, old.scopes, old.expires)
        await self._end(old, expires=min(at + overlap, old.expires or at + overlap))
        return issued

    async def revoke(self, key_id: str) -> ApiKey:
        """Revoke a key, once."""
        key = await self._find_key(key_id)
        return await self._end(key, status="revoked", expires=now()) if key.status == "active" else key

    async def _find_key(self, key_id: str) -> ApiKey:
        found = await asyncio.to_thread(self._tenants.find_key, key_id) if _KEY_ID.fullmatch(key_id) else None
        return _existing("key", found)

    async def _issue(self, tenant_id: str, name: str, scopes: frozenset[Scope], expires: datetime | None) -> IssuedKey:
        text = new_key()
        key = ApiKey(
            sha256=hash_key(text),
            prefix=text[:KEY_PREFIX_LENGTH],
            tenant_id=tenant_id,
            name=name,
            scopes=scopes,
            created_at=now(),
            expires=expires,
        )
        await asyncio.to_thread(self._tenants.add_key, key)
        return IssuedKey(key, text)

    async def _end(self, key: ApiKey, **fields: object) -> ApiKey:
        changed = await asyncio.to_thread(partial(self._tenants.change_key, key.sha256, **fields))
        self._authenticator.forget()
        return changed or key

    async def put_secret(self, tenant_id: str, name: str, value: str) -> TenantSecret:
        """Set a secret. Raises a 400 for its name, a 409 for one too many, and a 503 while another request sets it."""
        try:
            check_name(name)
        except ValueError as error:
            raise invalid(("name", f"{name!r} {error}")) from error
        await self.find(tenant_id)
        try:
            return await asyncio.to_thread(self._stores.secrets.put, tenant_id, name, value, now())
        except TooManySecretsError as error:
            raise ApiError(ErrorCode.CONFLICT, str(error)) from error
        except SecretBusyError as error:
            raise unavailable(str(error)) from error

    async def secrets(self, tenant_id: str) -> list[TenantSecret]:
        """Return a tenant's secrets, without their values."""
        await self.find(tenant_id)
        return list((await asyncio.to_thread(self._tenants.secrets, tenant_id)).values())

    async def delete_secret(self, tenant_id: str, name: str) -> TenantSecret:
        """Delete a secret and return it."""
        await self.find(tenant_id)
        return _existing("secret", await asyncio.to_thread(self._stores.secrets.delete, tenant_id, name))


def key_order(key: ApiKey) -> tuple[str, str]:
    """Return what keys are listed by: when they were created, and their ids."""
    return key.created_at.isoformat(timespec="milliseconds"), key.sha256


def _existing(what: str, found: Found | None) -> Found:
    if found is None:
        raise not_found(what)
    return found
