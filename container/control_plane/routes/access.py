"""What several routes need: the services, and a dispatch that the caller owns."""

from typing import Annotated

from fastapi import Depends, Request

from control_plane.auth import Principal
from control_plane.errors import invalid, not_found
from control_plane.services import Services
from control_plane.signing import BadTokenError, Json
from outpost.domain.dispatch import Dispatch
from outpost.domain.ids import is_id


async def _services(request: Request) -> Services:
    services: Services = request.app.state.services
    return services


Injected = Annotated[Services, Depends(_services)]


async def owned(services: Services, caller: Principal, dispatch_id: str) -> Dispatch:
    """Read a dispatch of the caller's tenant. Raises the same 404 for all others, whether they exist or not."""
    row = await services.reader.get(dispatch_id) if is_id(dispatch_id) else None
    if row is None or row.tenant_id != caller.tenant.id:
        raise not_found("dispatch")
    return row


def open_cursor(services: Services, purpose: str, context: tuple[str, ...], cursor: str | None) -> Json | None:
    """Return what a cursor says, or None without one. Raises a 400 for one that was not made here for this list."""
    if cursor is None:
        return None
    try:
        return services.signer.open(purpose, context, cursor)
    except BadTokenError as error:
        raise invalid(("cursor", "belongs to another list or filter, or is damaged: begin again without it")) from error
