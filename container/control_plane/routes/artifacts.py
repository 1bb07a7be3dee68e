"""/artifacts: what a dispatch left, and the links that open it without an API key."""

import asyncio
from datetime import datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import RedirectResponse

from control_plane.auth import AuthenticatedRoute, MayRead, suspended
from control_plane.envelope import Success, success
from control_plane.errors import ApiError, ErrorCode
from control_plane.openapi import DispatchId, errors
from control_plane.routes.access import Injected, owned
from control_plane.schemas.artifacts import ArtifactList, ArtifactQuery, ArtifactView, LinkQuery
from control_plane.services import Services
from control_plane.signing import BadTokenError, Json
from outpost.domain.artifacts import attempt_prefix
from outpost.domain.dispatch import Dispatch
from outpost.domain.ids import now
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
    """List what the winning attempt left (of a live dispatch: its current attempt), with a link to each file."""
    row = await owned(services, caller, dispatch_id)
    stored = await asyncio.to_thread(services.artifacts.listing, row) if row.attempt else []
    until = now() + timedelta(seconds=query.expires_in)
    base = str(request.base_url)
    views = [_view(services, row, found, base, until) for found in stored]
    return success(request, ArtifactList(dispatch_id=row.id, attempt=row.attempt, artifacts=views))


@links.get(
    "/artifacts/{dispatch_id}/{name}",
    status_code=307,
    response_class=RedirectResponse,
    summary="Open an artifact",
    responses=errors(400, 401, 403) | {307: {"description": "To storage, for 60 seconds."}},
)
async def open_(
    dispatch_id: DispatchId,
    name: Annotated[str, Path(description="File name.")],
    query: Annotated[LinkQuery, Query()],
    services: Injected,
) -> RedirectResponse:
    """Redirect to an artifact. The token of the link is all it takes; it ends at its time or with the tenant."""
    try:
        grant = services.signer.open("artifact", (dispatch_id, name), query.token)
    except BadTokenError as error:
        raise _dead("The link is damaged, or its token belongs to another file") from error
    if int(grant["until"]) <= now().timestamp():
        raise _dead("The link has ended")
    tenant_id = str(grant["tenant"])
    if not await services.authenticator.is_active(tenant_id):
        raise suspended(tenant_id)
    key = attempt_prefix(tenant_id, dispatch_id, int(grant["attempt"])) + name
    url = await asyncio.to_thread(services.artifacts.presign, key, PRESIGNED_SECONDS)
    return RedirectResponse(url, 307, {"Cache-Control": "no-store"})


def _view(services: Services, row: Dispatch, found: Stored, base: str, until: datetime) -> ArtifactView:
    grant: Json = {"tenant": row.tenant_id, "attempt": row.attempt, "until": int(until.timestamp())}
    token = services.signer.seal("artifact", (row.id, found.artifact), grant)
    return ArtifactView.model_validate(
        {
            "name": found.artifact.value,
            "type": found.artifact.type,
            "size": found.size,
            "url": f"{base}artifacts/{row.id}/{found.artifact}?token={token}",
            "expires_at": until,
        },
        by_name=True,
    )


def _dead(why: str) -> ApiError:
    return ApiError(ErrorCode.AUTHENTICATION_ERROR, f"{why}: list the artifacts again for a new one.")
