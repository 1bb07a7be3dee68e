"""/tenants/{id}/secrets: what a tenant's agents may be given. Values go in and never come out."""

from typing import Annotated

from fastapi import APIRouter, Path

from control_plane.auth import Administrator, AuthenticatedRoute
from control_plane.envelope import Success, success
from control_plane.openapi import TenantId, errors
from control_plane.routes.access import Injected
from control_plane.schemas.tenants import SecretRequest, SecretView

router = APIRouter(route_class=AuthenticatedRoute, tags=["tenants"])

Name = Annotated[str, Path(description="Name of the secret.", examples=["NPM_TOKEN"])]


@router.put("/tenants/{tenant_id}/secrets/{name}", summary="Set a secret", responses=errors(400, 404, 409, 413, 503))
async def put(
    tenant_id: TenantId, name: Name, body: SecretRequest, _: Administrator, services: Injected
) -> Success[SecretView]:
    """Set a secret of a tenant, in place of an earlier value. Dispatches that start later are given the new one.

    An admin key of the tenant itself may do this, and an admin key of the operator.
    """
    value = body.value.get_secret_value()
    return success(SecretView.of(await services.tenants.put_secret(tenant_id, name, value)))


@router.get("/tenants/{tenant_id}/secrets", summary="List secrets", responses=errors(404))
async def list_(tenant_id: TenantId, _: Administrator, services: Injected) -> Success[list[SecretView]]:
    """List the names of a tenant's secrets: at most 100."""
    return success([SecretView.of(each) for each in await services.tenants.secrets(tenant_id)])


@router.delete("/tenants/{tenant_id}/secrets/{name}", summary="Delete a secret", responses=errors(404))
async def delete(tenant_id: TenantId, name: Name, _: Administrator, services: Injected) -> Success[SecretView]:
    """Delete a secret for good. A dispatch that waits and names it will fail with SECRET_UNAVAILABLE."""
    return success(SecretView.of(await services.tenants.delete_secret(tenant_id, name)))
