"""/tenants: the operator's administration of tenants."""

from fastapi import APIRouter

from control_plane.auth import AuthenticatedRoute, Operator
from control_plane.envelope import Success, success
from control_plane.openapi import TenantId, errors
from control_plane.routes.access import Cursors, Injected, Paged
from control_plane.schemas.tenants import Suspension, TenantChange, TenantRequest, TenantView

router = APIRouter(route_class=AuthenticatedRoute, tags=["tenants"])


@router.post("/tenants", status_code=201, summary="Create a tenant", responses=errors(400, 409, 413))
async def create(body: TenantRequest, _: Operator, services: Injected) -> Success[TenantView]:
    """Create a tenant; it is active at once."""
    return success(TenantView.of(await services.tenants.create(body)))


@router.get("/tenants", summary="List tenants", responses=errors(400))
async def list_(query: Paged, _: Operator, services: Injected) -> Success[list[TenantView]]:
    """List all tenants, by id."""
    cursors = Cursors(services.signer, "tenants")
    place = cursors.open(query.cursor)
    found = await services.tenants.page(query.limit + 1, str(place["after"]) if place else None)
    return cursors.page(found, query.limit, TenantView.of, lambda last: {"after": last.id})


@router.get("/tenants/{tenant_id}", summary="Look at a tenant", responses=errors(404))
async def get(tenant_id: TenantId, _: Operator, services: Injected) -> Success[TenantView]:
    """Show a tenant."""
    return success(TenantView.of(await services.tenants.find(tenant_id)))


@router.patch("/tenants/{tenant_id}", summary="Change a tenant", responses=errors(400, 404, 413))
async def change(tenant_id: TenantId, body: TenantChange, _: Operator, services: Injected) -> Success[TenantView]:
    """Change name, tier, limits, repositories or providers; the rest stays. Replicas apply it within 30 seconds."""
    return success(TenantView.of(await services.tenants.change(tenant_id, **body.fields)))


@router.post("/tenants/{tenant_id}/suspend", summary="Suspend a tenant", responses=errors(400, 404, 409))
async def suspend(
    tenant_id: TenantId, _: Operator, services: Injected, body: Suspension | None = None
) -> Success[TenantView]:
    """Suspend a tenant: within 30 seconds its keys and links open nothing, and nothing that waits begins.

    What runs already gets no new credentials, no access to git hosts and no money for model calls; with
    `cancelRunning` it is cancelled. Results that are being uploaded are kept.
    """
    tenant = await services.tenants.suspend(tenant_id, cancel_running=body is not None and body.cancel_running)
    return success(TenantView.of(tenant))


@router.post("/tenants/{tenant_id}/resume", summary="Resume a tenant", responses=errors(404))
async def resume(tenant_id: TenantId, _: Operator, services: Injected) -> Success[TenantView]:
    """Let a suspended tenant's keys work again, within 30 seconds."""
    return success(TenantView.of(await services.tenants.change(tenant_id, status="active")))
