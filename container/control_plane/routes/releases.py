"""/dispatch/{id}/release: let results be fetched and promoted that hold the value of a known secret."""

import asyncio

from fastapi import APIRouter, Request, Response

from control_plane.auth import AuthenticatedRoute, MayRelease
from control_plane.envelope import Success, success
from control_plane.errors import ApiError, ErrorCode, invalid
from control_plane.openapi import CONFLICT, DispatchId, Responses, errors
from control_plane.routes.access import Injected, owned
from control_plane.schemas.dispatches import DispatchView
from control_plane.schemas.releases import ReleaseRequest
from control_plane.services import Services
from outpost.domain.dispatch import Dispatch
from outpost.domain.findings import Findings, Release
from outpost.domain.ids import now
from outpost.domain.lifecycle import ReleaseWithheld, TransitionError

router = APIRouter(route_class=AuthenticatedRoute, tags=["dispatch"])

_REFUSED: Responses = {409: {**CONFLICT, "description": "Nothing is withheld, or the dispatch has not ended."}}


@router.post(
    "/dispatch/{dispatch_id}/release",
    summary="Release withheld results",
    responses=errors(400, 404, 409, 413) | _REFUSED,
)
async def release(
    dispatch_id: DispatchId,
    body: ReleaseRequest,
    caller: MayRelease,
    services: Injected,
    request: Request,
    response: Response,
) -> Success[DispatchView]:
    """Let results be fetched and promoted although they hold the value of a known secret. It cannot be taken back.

    The request names every known secret that was found, so that nobody releases what they have not looked at; the
    files are then as the agent made them, secrets included. Releasing again changes nothing and answers with the first
    release and the header `Idempotent-Replay: true`.
    """
    row = await owned(services, caller, dispatch_id)
    findings = _withheld(row)
    if set(body.secrets) != set(findings.secrets):
        raise invalid(("secrets", f"must name what was found, which is {', '.join(sorted(findings.secrets))}"))
    wanted = Release(by=caller.key.prefix, at=now(), reason=body.reason)
    if row.released is None:
        row = await asyncio.to_thread(_released, services, row, wanted)
    if row.released != wanted:
        response.headers["Idempotent-Replay"] = "true"
    return success(request, DispatchView.of(row))


def _withheld(row: Dispatch) -> Findings:
    """Return what was found in withheld results. Raises a 409 where there are none yet, or none at all."""
    if not row.status.terminal:
        raise ApiError(ErrorCode.CONFLICT, f"Dispatch {row.id} is {row.status}: release its results when it has ended.")
    if row.findings is None or not row.findings.withheld:
        raise ApiError(ErrorCode.CONFLICT, f"Dispatch {row.id} withholds nothing: there is nothing to release.")
    return row.findings


def _released(services: Services, row: Dispatch, wanted: Release) -> Dispatch:
    try:
        return services.dispatches.change(row.id, ReleaseWithheld(wanted))
    except TransitionError:  # another request was quicker
        found = services.dispatches.get(row.id)
        if found is None or found.released is None:
            raise
        return found
