"""/tenants/{id}/keys and /keys/{id}: the operator's administration of API keys."""

import asyncio
import re
from datetime import datetime, timedelta
from functools import partial
from typing import Annotated

from fastapi import APIRouter, Path, Query, Request, Response

from control_plane.auth import AuthenticatedRoute, Operator
from control_plane.envelope import Pagination, Success, success
from control_plane.errors import ApiError, ErrorCode, invalid, not_found
from control_plane.openapi import TenantId, errors
from control_plane.routes.access import Injected, open_cursor
from control_plane.routes.tenants import existing
from control_plane.schemas.tenants import IssuedKeyView, KeyRequest, KeyView, PageQuery, RotationRequest
from control_plane.services import Services
from outpost.domain.ids import now
from outpost.domain.tenants import KEY_PREFIX_LENGTH, ApiKey, Scope, hash_key, new_key

router = APIRouter(route_class=AuthenticatedRoute, tags=["tenants"])

_KEY_ID = re.compile(r"[0-9a-f]{64}")
KeyId = Annotated[str, Path(description="`id` of the key.")]


@router.post("/tenants/{tenant_id}/keys", status_code=201, summary="Issue a key", responses=errors(400, 404, 413))
async def issue(
    tenant_id: TenantId, body: KeyRequest, _: Operator, services: Injected, request: Request, response: Response
) -> Success[IssuedKeyView]:
    """Issue an API key. Its text is in this answer only: it is not stored and cannot be shown again."""
    at = now()
    if body.expires_at is not None and body.expires_at <= at:
        raise invalid(
            ("expiresAt", f"{body.expires_at.isoformat()} is in the past: give a time to come, or leave it out")
        )
    await existing(services, tenant_id)
    issued = await _issue(services, tenant_id, body.name, body.scopes, body.expires_at)
    response.headers["Cache-Control"] = "no-store"
    return success(request, issued)


@router.get("/tenants/{tenant_id}/keys", summary="List a tenant's keys", responses=errors(400, 404))
async def list_(
    tenant_id: TenantId, query: Annotated[PageQuery, Query()], _: Operator, services: Injected, request: Request
) -> Success[list[KeyView]]:
    """List a tenant's keys, newest first, with those that have ended."""
    await existing(services, tenant_id)
    context = (tenant_id,)
    cursor = open_cursor(services, "keys", context, query.cursor)
    keys = await asyncio.to_thread(services.tenants.keys, tenant_id)
    keys.sort(key=_order, reverse=True)
    after = (str(cursor["created"]), str(cursor["id"])) if cursor else None
    found = [key for key in keys if after is None or _order(key) < after]
    shown = found[: query.limit]
    more = None
    if len(found) > len(shown):
        created, sha256 = _order(shown[-1])
        more = services.signer.seal("keys", context, {"created": created, "id": sha256})
    pagination = Pagination(cursor=more, has_more=more is not None, limit=query.limit)
    return success(request, [KeyView.of(key, now()) for key in shown], pagination)


@router.post("/keys/{key_id}/rotate", status_code=201, summary="Replace a key", responses=errors(400, 404, 409, 413))
async def rotate(
    key_id: KeyId, body: RotationRequest, _: Operator, services: Injected, request: Request, response: Response
) -> Success[IssuedKeyView]:
    """Issue a key with the same name, scopes and end (`expiresAt`), and let the old one end after the overlap.

    The new key's text is in this answer only. A key that has ended cannot be replaced: issue another.
    """
    old, at = await _find(services, key_id), now()
    if not old.usable(at):
        raise ApiError(ErrorCode.CONFLICT, "The key has ended: issue a new one.")
    issued = await _issue(services, old.tenant_id, old.name, old.scopes, old.expires)
    end = at + timedelta(seconds=body.overlap_seconds)
    await _end(services, old, expires=min(end, old.expires or end))
    response.headers["Cache-Control"] = "no-store"
    return success(request, issued)


@router.delete("/keys/{key_id}", summary="Revoke a key", responses=errors(404))
async def revoke(key_id: KeyId, _: Operator, services: Injected, request: Request) -> Success[KeyView]:
    """Revoke a key for good: within 30 seconds it opens nothing. Revoking it again changes nothing."""
    key = await _find(services, key_id)
    if key.status == "active":
        key = await _end(services, key, status="revoked", expires=now())
    return success(request, KeyView.of(key, now()))


async def _find(services: Services, key_id: str) -> ApiKey:
    key = await asyncio.to_thread(services.tenants.find_key, key_id) if _KEY_ID.fullmatch(key_id) else None
    if key is None:
        raise not_found("key")
    return key


async def _issue(
    services: Services, tenant_id: str, name: str, scopes: frozenset[Scope], expires: datetime | None
) -> IssuedKeyView:
    text, at = new_key(), now()
    key = ApiKey(
        sha256=hash_key(text),
        prefix=text[:KEY_PREFIX_LENGTH],
        tenant_id=tenant_id,
        name=name,
        scopes=scopes,
        created_at=at,
        expires=expires,
    )
    await asyncio.to_thread(services.tenants.add_key, key)
    return IssuedKeyView.of(key, at, text)


async def _end(services: Services, key: ApiKey, **fields: object) -> ApiKey:
    changed = await asyncio.to_thread(partial(services.tenants.change_key, key.sha256, **fields))
    services.authenticator.forget()
    return changed or key


def _order(key: ApiKey) -> tuple[str, str]:
    return key.created_at.isoformat(timespec="milliseconds"), key.sha256
