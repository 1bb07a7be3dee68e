"""/artifacts: what a dispatch left, and the links that open it without an API key.

A link stands in the access logs of the load balancer, token and all: it opens once (docs/adr/0016-artifact-links.md).
Its path names no file, as firewalls block the names of some.
"""

from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import RedirectResponse

from control_plane.addresses import public_url
from control_plane.auth import AuthenticatedRoute, MayRead, suspended
from control_plane.envelope import Success, success
from control_plane.errors import ApiError, ErrorCode
from control_plane.openapi import DispatchId, errors
from control_plane.routes.access import Injected
from control_plane.schemas.results import ArtifactList, ArtifactQuery, ArtifactView, LinkQuery, WithheldView
from control_plane.threads import calling_tenant
from outpost.domain.ids import now
from outpost.store.artifacts import Stored

router = APIRouter(route_class=AuthenticatedRoute, tags=["artifacts"])
links = APIRouter(tags=["artifacts"])


@router.get("/artifacts/{dispatch_id}", summary="List artifacts", responses=errors(400, 404))
async def list_(
    dispatch_id: DispatchId,
    query: Annotated[ArtifactQuery, Query()],
    caller: MayRead,
    services: Injected,
    request: Request,
) -> Success[ArtifactList]:
    """List what the winning attempt left (of a live dispatch: its current attempt), with a link to each file.

    Each link opens its file once: list again for another. Files that hold the value of a known secret have no link
    until they are released: they are under `withheld`.
    """
    row = await services.dispatches.find(dispatch_id, caller)
    stored = await services.artifacts.listing(row)
    until = now() + timedelta(seconds=query.expires_in)
    base = public_url(request, services.settings.hosts)
    withheld = [found for found in stored if found.withheld and row.released is None]

    def view(found: Stored) -> ArtifactView:
        url = f"{base}artifacts/{row.id}/download?token={services.artifacts.token(row, found.name, until)}"
        return ArtifactView(name=found.artifact, type=found.artifact.type, size=found.size, url=url, expires_at=until)

    listed = ArtifactList(
        dispatch_id=row.id,
        attempt=row.attempt,
        artifacts=[view(found) for found in stored if found not in withheld],
        withheld=[WithheldView(name=each.artifact, type=each.artifact.type, size=each.size) for each in withheld],
    )
    return success(listed)


@links.get(
    "/artifacts/{dispatch_id}/download",
    status_code=307,
    response_class=RedirectResponse,
    summary="Download an artifact",
    responses=errors(400, 401, 403) | {307: {"description": "To storage, for 60 seconds."}},
)
async def download(
    dispatch_id: DispatchId, query: Annotated[LinkQuery, Query()], services: Injected, request: Request
) -> RedirectResponse:
    """Redirect to an artifact. The token of the link is all it takes; it works once, until its time or its tenant ends.

    List the artifacts again for another link.
    """
    if request.state.method == "HEAD":
        message = "A link opens once, so HEAD would use it up: send GET."
        raise ApiError(ErrorCode.METHOD_NOT_ALLOWED, message, headers={"Allow": "GET"})
    grant = services.artifacts.grant(dispatch_id, query.token)
    if not await services.authenticator.is_active(grant.tenant_id):
        raise suspended(grant.tenant_id)
    calling_tenant.set(grant.tenant_id)
    async with request.app.state.turns.take(grant.tenant_id):
        url = await services.artifacts.open(grant)
    return RedirectResponse(url, 307, {"Cache-Control": "no-store"})
