"""/tenants/{id}/keys and /keys/{id}: the operator's administration of API keys."""

from datetime import timedelta
from functools import partial
from typing import Annotated

from fastapi import APIRouter, Path, Response

from control_plane.auth import AuthenticatedRoute, Operator
from control_plane.envelope import Success, success
from control_plane.openapi import TenantId, errors
from control_plane.routes.access import Cursors, Injected, Paged
from control_plane.schemas.tenants import IssuedKeyView, KeyRequest, KeyView, RotationRequest
from control_plane.services.tenants import key_order
from outpost.domain.ids import now

router = APIRouter(route_class=AuthenticatedRoute, tags=["tenants"])

KeyId = Annotated[str, Path(description="`id` of the key.")]


@router.post("/tenants/{tenant_id}/keys", status_code=201, summary="Issue a key", responses=errors(400, 404, 413))
async def issue(
    tenant_id: TenantId, body: KeyRequest, _: Operator, services: Injected, response: Response
) -> Success[IssuedKeyView]:
    """Issue an API key. Its text is in this response only: it is not stored and cannot be shown again."""
    issued = await services.tenants.issue(tenant_id, body)
    response.headers["Cache-Control"] = "no-store"
    return success(IssuedKeyView.of(issued.key, now(), issued.text))


@router.get("/tenants/{tenant_id}/keys", summary="List a tenant's keys", responses=errors(400, 404))
async def list_(tenant_id: TenantId, query: Paged, _: Operator, services: Injected) -> Success[list[KeyView]]:
    """List a tenant's keys, newest first, with those that have ended."""
    cursors = Cursors(services.signer, "keys", (tenant_id,))
    place = cursors.open(query.cursor)
    before = (str(place["created"]), str(place["id"])) if place else None
    found = [key for key in await services.tenants.keys(tenant_id) if before is None or key_order(key) < before]
    show = partial(KeyView.of, at=now())
    return cursors.page(found, query.limit, show, lambda last: {"created": key_order(last)[0], "id": last.sha256})


@router.post("/keys/{key_id}/rotate", status_code=201, summary="Replace a key", responses=errors(400, 404, 409, 413))
async def rotate(
    key_id: KeyId, body: RotationRequest, _: Operator, services: Injected, response: Response
) -> Success[IssuedKeyView]:
    """Issue a key with the same name, scopes and end (`expiresAt`), and let the old one end after the overlap.

    The new key's text is in this response only. A key that has ended cannot be replaced: issue another.
    """
    issued = await services.tenants.rotate(key_id, timedelta(seconds=body.overlap_seconds))
    response.headers["Cache-Control"] = "no-store"
    return success(IssuedKeyView.of(issued.key, now(), issued.text))


@router.delete("/keys/{key_id}", summary="Revoke a key", responses=errors(404))
async def revoke(key_id: KeyId, _: Operator, services: Injected) -> Success[KeyView]:
    """Revoke a key for good: within 30 seconds it opens nothing. Revoking it again changes nothing."""
    return success(KeyView.of(await services.tenants.revoke(key_id), now()))
