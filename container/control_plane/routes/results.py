"""/dispatch/{id}/promote and /release: publish a result; release one that holds the value of a known secret."""

import asyncio

from fastapi import APIRouter, Request, Response

from control_plane.auth import AuthenticatedRoute, MayPromote, MayRelease
from control_plane.envelope import Success, success
from control_plane.errors import ApiError, ErrorCode, invalid
from control_plane.openapi import CONFLICT, DispatchId, Responses, errors
from control_plane.routes.access import Injected, owned
from control_plane.schemas.dispatches import DispatchView
from control_plane.schemas.results import PromotionRequest, ReleaseRequest
from control_plane.services import Services
from control_plane.services.promotions import check, promoted, promotion, publication
from outpost.domain.dispatch import Dispatch, Status
from outpost.domain.findings import Findings, Release
from outpost.domain.ids import now
from outpost.domain.lifecycle import ReleaseWithheld, TransitionError
from outpost.store.dispatches import Idempotency

router = APIRouter(route_class=AuthenticatedRoute, tags=["dispatch"])

_NOT_PROMOTED: Responses = {
    409: {
        **CONFLICT,
        "description": "Nothing to promote, the patch is withheld, or promoted to this branch with other options.",
    }
}


@router.post(
    "/dispatch/{dispatch_id}/promote",
    status_code=202,
    summary="Promote a dispatch's result",
    responses=errors(400, 404, 409, 413, 429) | _NOT_PROMOTED,
)
async def promote(
    dispatch_id: DispatchId,
    body: PromotionRequest,
    caller: MayPromote,
    services: Injected,
    request: Request,
    response: Response,
) -> Success[DispatchView]:
    """Push the patch of a successful dispatch to a branch of its repository, and open a pull request if asked to.

    The answer is a dispatch of kind `promote` to follow like any other; its `reason` names the commit and the pull
    request. Promoting a dispatch to the same branch again within 24 hours answers with the same promotion and the
    header `Idempotent-Replay: true`, unless that one failed: then it is tried anew. Other options for the same branch
    are refused with 409, and so is a patch that is withheld for the secrets in it, until it is released. What has the
    format of a secret is named in the promotion's `findings` and at the end of the pull request's text.
    """
    check(body, services.policy)
    source = await owned(services, caller, dispatch_id)
    summary = await asyncio.to_thread(services.artifacts.summary, source) if source.attempt else None
    result = promoted(source, summary, create_pr=body.create_pr)
    row = promotion(source, result, body, caller, services.policy, now())
    text = publication(source, result.findings, body).model_dump_json()
    created = await asyncio.to_thread(_create, services, row, text, caller.tenant.limits.daily)
    if created.id != row.id:
        response.headers["Idempotent-Replay"] = "true"
    return success(request, DispatchView.as_created(created))


def _create(services: Services, row: Dispatch, text: str, daily: int) -> Dispatch:
    """Write the row, unless the same promotion is there and did not fail: each failed one has one successor."""
    assert row.spec.promotes is not None  # noqa: S101 - a promotion has what it promotes
    # No client can use such a key: theirs have no spaces.
    key = f"promote {row.spec.promotes.dispatch_id} {row.spec.promotes.branch}"
    while True:
        found = services.dispatches.create(row, text, daily, Idempotency(key, ""))
        if found.id == row.id or not found.status.terminal or found.status is Status.SUCCESS:
            break
        key = f"{key.partition(' after ')[0]} after {found.id}"
    if found.spec.promotes and found.spec.promotes.fingerprint != row.spec.promotes.fingerprint:
        told = f"Dispatch {found.id} promotes this result to {row.spec.promotes.branch!r} with other options"
        raise ApiError(ErrorCode.CONFLICT, f"{told}: choose another branch.")
    return found


_NOT_RELEASED: Responses = {409: {**CONFLICT, "description": "Nothing is withheld, or the dispatch has not ended."}}


@router.post(
    "/dispatch/{dispatch_id}/release",
    summary="Release withheld results",
    responses=errors(400, 404, 409, 413) | _NOT_RELEASED,
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
