"""/tenants/{id}/secrets: what a tenant's agents may be given. Values go in and never come out."""

import asyncio
from typing import Annotated

from fastapi import APIRouter, Path, Request

from control_plane.auth import Administrator, AuthenticatedRoute
from control_plane.envelope import Success, success
from control_plane.errors import ApiError, ErrorCode, invalid, not_found, unavailable
from control_plane.openapi import TenantId, errors
from control_plane.routes.access import Injected
from control_plane.routes.tenants import existing
from control_plane.schemas.tenants import SecretRequest, SecretView
from outpost.domain.ids import now
from outpost.domain.secrets import check_name
from outpost.store.secrets import SecretBusyError, TooManySecretsError

router = APIRouter(route_class=AuthenticatedRoute, tags=["tenants"])

Name = Annotated[str, Path(description="Name of the secret.", examples=["NPM_TOKEN"])]


@router.put("/tenants/{tenant_id}/secrets/{name}", summary="Set a secret", responses=errors(400, 404, 409, 413, 503))
async def put(
    tenant_id: TenantId, name: Name, body: SecretRequest, _: Administrator, services: Injected, request: Request
) -> Success[SecretView]:
    """Set a secret of a tenant, in place of an earlier value. Dispatches that start later are given the new one.

    An admin key of the tenant itself may do this, and an admin key of the operator.
    """
    try:
        check_name(name)
    except ValueError as error:
        raise invalid(("name", f"{name!r} {error}")) from error
    await existing(services, tenant_id)
    value = body.value.get_secret_value()
    try:
        secret = await asyncio.to_thread(services.secrets.put, tenant_id, name, value, now())
    except TooManySecretsError as error:
        raise ApiError(ErrorCode.CONFLICT, str(error)) from error
    except SecretBusyError as error:
        raise unavailable(str(error)) from error
    return success(request, SecretView.of(secret))


@router.get("/tenants/{tenant_id}/secrets", summary="List secrets", responses=errors(404))
async def list_(
    tenant_id: TenantId, _: Administrator, services: Injected, request: Request
) -> Success[list[SecretView]]:
    """List the names of a tenant's secrets: at most 100."""
    await existing(services, tenant_id)
    found = await asyncio.to_thread(services.tenants.secrets, tenant_id)
    return success(request, [SecretView.of(each) for each in found.values()])


@router.delete("/tenants/{tenant_id}/secrets/{name}", summary="Delete a secret", responses=errors(404))
async def delete(
    tenant_id: TenantId, name: Name, _: Administrator, services: Injected, request: Request
) -> Success[SecretView]:
    """Delete a secret for good. A dispatch that waits and names it will fail with SECRET_UNAVAILABLE."""
    await existing(services, tenant_id)
    secret = await asyncio.to_thread(services.secrets.delete, tenant_id, name)
    if secret is None:
        raise not_found("secret")
    return success(request, SecretView.of(secret))
