"""/artifacts: what a dispatch left, and the links that open it without an API key.

A link stands in the access logs of the load balancer, token and all: it opens once (docs/adr/0016-artifact-links.md).
Its path names no file, as firewalls block the names of some.
"""

import asyncio
from datetime import datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import RedirectResponse

from control_plane.addresses import public_url
from control_plane.auth import AuthenticatedRoute, MayRead, suspended
from control_plane.envelope import Success, success
from control_plane.errors import ApiError, ErrorCode
from control_plane.openapi import DispatchId, errors
from control_plane.routes.access import Injected, owned
from control_plane.schemas.results import ArtifactList, ArtifactQuery, ArtifactView, LinkQuery, WithheldView
from control_plane.services import Services
from control_plane.signing import BadTokenError, Json
from control_plane.threads import calling_tenant
from outpost.domain.artifacts import attempt_prefix
from outpost.domain.dispatch import Dispatch
from outpost.domain.ids import new_id, now
from outpost.store.artifacts import Stored

router = APIRouter(route_class=AuthenticatedRoute, tags=["artifacts"])
links = APIRouter(tags=["artifacts"])

PRESIGNED_SECONDS = 60


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
    row = await owned(services, caller, dispatch_id)
    stored = await asyncio.to_thread(services.artifacts.listing, row) if row.attempt else []
    until = now() + timedelta(seconds=query.expires_in)
    base = public_url(request, services.hosts)
    withheld = [found for found in stored if found.withheld and row.released is None]
    listed = ArtifactList(
        dispatch_id=row.id,
        attempt=row.attempt,
        artifacts=[_view(services, row, found, base, until) for found in stored if found not in withheld],
        withheld=[WithheldView(name=each.artifact, type=each.artifact.type, size=each.size) for each in withheld],
    )
    return success(request, listed)


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
    try:
        grant = services.signer.open("artifact", (dispatch_id,), query.token)
    except BadTokenError as error:
        raise _dead("The link is damaged, or its token belongs to another dispatch") from error
    until, tenant_id = int(grant["until"]), str(grant["tenant"])
    if until <= now().timestamp():
        raise _dead("The link has ended")
    if not await services.authenticator.is_active(tenant_id):
        raise suspended(tenant_id)
    calling_tenant.set(tenant_id)
    key = attempt_prefix(tenant_id, dispatch_id, int(grant["attempt"])) + str(grant["name"])
    async with request.app.state.turns.take(tenant_id):
        url = await asyncio.to_thread(services.artifacts.presign, key, PRESIGNED_SECONDS)
        if not await asyncio.to_thread(services.links.open, str(grant["id"]), until):
            raise _dead("The link was opened before")
    return RedirectResponse(url, 307, {"Cache-Control": "no-store"})


def _view(services: Services, row: Dispatch, found: Stored, base: str, until: datetime) -> ArtifactView:
    grant: Json = {"id": new_id(), "tenant": row.tenant_id, "attempt": row.attempt, "name": found.name}
    token = services.signer.seal("artifact", (row.id,), grant | {"until": int(until.timestamp())})
    return ArtifactView.model_validate(
        {
            "name": found.artifact.value,
            "type": found.artifact.type,
            "size": found.size,
            "url": f"{base}artifacts/{row.id}/download?token={token}",
            "expires_at": until,
        },
        by_name=True,
    )


def _dead(why: str) -> ApiError:
    return ApiError(ErrorCode.AUTHENTICATION_ERROR, f"{why}: list the artifacts again for a new one.")
