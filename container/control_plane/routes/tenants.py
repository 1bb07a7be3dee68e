"""/tenants: the operator's administration of tenants."""

import asyncio
from contextlib import suppress
from functools import partial
from itertools import islice
from typing import Annotated

from fastapi import APIRouter, Query, Request

from control_plane.auth import AuthenticatedRoute, Operator
from control_plane.envelope import Pagination, Success, success
from control_plane.errors import ApiError, ErrorCode, not_found
from control_plane.openapi import TenantId, errors
from control_plane.routes.access import Injected, open_cursor
from control_plane.schemas.tenants import PageQuery, Suspension, TenantChange, TenantRequest, TenantView
from control_plane.services import Services
from outpost.domain.ids import now
from outpost.domain.lifecycle import Cancel, TransitionError
from outpost.domain.tenants import OPERATOR, Tenant

router = APIRouter(route_class=AuthenticatedRoute, tags=["tenants"])


@router.post("/tenants", status_code=201, summary="Create a tenant", responses=errors(400, 409, 413))
async def create(body: TenantRequest, _: Operator, services: Injected, request: Request) -> Success[TenantView]:
    """Create a tenant; it is active at once."""
    tenant = Tenant(
        id=body.id,
        name=body.name,
        tier=body.tier,
        overrides=body.overrides,
        repositories=body.repositories,
        providers=body.providers,
        created_at=now(),
    )
    await asyncio.to_thread(services.tenants.add, tenant)
    return success(request, TenantView.of(tenant))


@router.get("/tenants", summary="List tenants", responses=errors(400))
async def list_(
    query: Annotated[PageQuery, Query()], _: Operator, services: Injected, request: Request
) -> Success[list[TenantView]]:
    """List all tenants, by id."""
    cursor = open_cursor(services, "tenants", (), query.cursor)
    after = str(cursor["after"]) if cursor else None
    found = await asyncio.to_thread(lambda: list(islice(services.tenants.all(after), query.limit + 1)))
    shown = found[: query.limit]
    more = services.signer.seal("tenants", (), {"after": shown[-1].id}) if len(found) > len(shown) else None
    pagination = Pagination(cursor=more, has_more=more is not None, limit=query.limit)
    return success(request, [TenantView.of(tenant) for tenant in shown], pagination)


@router.get("/tenants/{tenant_id}", summary="Look at a tenant", responses=errors(404))
async def get(tenant_id: TenantId, _: Operator, services: Injected, request: Request) -> Success[TenantView]:
    """Show a tenant."""
    return success(request, TenantView.of(await existing(services, tenant_id)))


@router.patch("/tenants/{tenant_id}", summary="Change a tenant", responses=errors(400, 404, 413))
async def change(
    tenant_id: TenantId, body: TenantChange, _: Operator, services: Injected, request: Request
) -> Success[TenantView]:
    """Change name, tier, limits, repositories or providers; the rest stays. Replicas apply it within 30 seconds."""
    return success(request, TenantView.of(await _change(services, tenant_id, **body.fields)))


@router.post("/tenants/{tenant_id}/suspend", summary="Suspend a tenant", responses=errors(400, 404, 409))
async def suspend(
    tenant_id: TenantId, _: Operator, services: Injected, request: Request, body: Suspension | None = None
) -> Success[TenantView]:
    """Suspend a tenant: within 30 seconds its keys and links open nothing, and nothing that waits begins.

    What runs already gets no new credentials, no access to git hosts and no money for model calls; with
    `cancelRunning` it is cancelled. Results that are being uploaded are kept.
    """
    if tenant_id == OPERATOR:
        raise ApiError(ErrorCode.CONFLICT, "The operator tenant cannot be suspended: nobody could resume it.")
    tenant = await _change(services, tenant_id, status="suspended")
    if body and body.cancel_running:
        await asyncio.to_thread(_cancel_running, services, tenant_id)
    return success(request, TenantView.of(tenant))


@router.post("/tenants/{tenant_id}/resume", summary="Resume a tenant", responses=errors(404))
async def resume(tenant_id: TenantId, _: Operator, services: Injected, request: Request) -> Success[TenantView]:
    """Let a suspended tenant's keys work again, within 30 seconds."""
    return success(request, TenantView.of(await _change(services, tenant_id, status="active")))


def _cancel_running(services: Services, tenant_id: str) -> None:
    for dispatch_id in services.workers.slots(tenant_id).taken.values():
        with suppress(TransitionError):  # it has ended, or its results are being uploaded
            services.dispatches.change(dispatch_id, Cancel("the tenant was suspended", now()))


async def existing(services: Services, tenant_id: str) -> Tenant:
    """Read a tenant. Raises a 404."""
    tenant = await asyncio.to_thread(services.tenants.get, tenant_id)
    if tenant is None:
        raise not_found("tenant")
    return tenant


async def _change(services: Services, tenant_id: str, **fields: object) -> Tenant:
    tenant = await asyncio.to_thread(partial(services.tenants.change, tenant_id, **fields))
    if tenant is None:
        raise not_found("tenant")
    services.authenticator.forget()
    return tenant
