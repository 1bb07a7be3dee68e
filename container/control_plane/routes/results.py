"""/dispatch/{id}/promote and /release: publish a result; release one that holds the value of a known secret."""

from fastapi import APIRouter, Response

from control_plane.auth import AuthenticatedRoute, MayPromote, MayRelease
from control_plane.envelope import Success, success
from control_plane.openapi import DispatchId, errors
from control_plane.routes.access import Injected
from control_plane.schemas.dispatches import DispatchView
from control_plane.schemas.results import PromotionRequest, ReleaseRequest

router = APIRouter(route_class=AuthenticatedRoute, tags=["dispatch"])

_NOT_PROMOTED = "Nothing to promote, the patch is withheld, or promoted to this branch with other options."
_NOT_RELEASED = "Nothing is withheld, or the dispatch has not ended."


@router.post(
    "/dispatch/{dispatch_id}/promote",
    status_code=202,
    summary="Promote a dispatch's result",
    responses=errors(400, 404, 409, 413, 429, conflict=_NOT_PROMOTED),
)
async def promote(
    dispatch_id: DispatchId,
    body: PromotionRequest,
    caller: MayPromote,
    services: Injected,
    response: Response,
) -> Success[DispatchView]:
    """Push the patch of a successful dispatch to a branch of its repository, and open a pull request if asked to.

    The response is a dispatch of kind `promote` to follow like any other; its `reason` names the commit and the pull
    request. Promoting a dispatch to the same branch again within 24 hours returns the same promotion and the
    header `Idempotent-Replay: true`, unless that one failed: then it is tried anew. Other options for the same branch
    are refused with 409, and so is a patch that is withheld for the secrets in it, until it is released. What has the
    format of a secret is named in the promotion's `findings` and at the end of the pull request's text.
    """
    accepted = await services.promotions.promote(dispatch_id, body, caller)
    if accepted.replayed:
        response.headers["Idempotent-Replay"] = "true"
    return success(DispatchView.as_created(accepted.row))


@router.post(
    "/dispatch/{dispatch_id}/release",
    summary="Release withheld results",
    responses=errors(400, 404, 409, 413, conflict=_NOT_RELEASED),
)
async def release(
    dispatch_id: DispatchId,
    body: ReleaseRequest,
    caller: MayRelease,
    services: Injected,
    response: Response,
) -> Success[DispatchView]:
    """Let results be fetched and promoted although they hold the value of a known secret. It cannot be taken back.

    The request names every known secret that was found, so that nobody releases what they have not looked at; the
    files are then as the agent made them, secrets included. Releasing again changes nothing and returns the first
    release and the header `Idempotent-Replay: true`.
    """
    released = await services.dispatches.release(dispatch_id, caller, body)
    if released.replayed:
        response.headers["Idempotent-Replay"] = "true"
    return success(DispatchView.of(released.row))
