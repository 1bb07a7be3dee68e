"""Promotions: the result of a dispatch, published by a dispatch of its own. All but the service is pure."""

import asyncio
import hashlib
from collections.abc import Iterator
from datetime import datetime
from typing import NamedTuple

from control_plane.admission import Policy, Refusal, new_row
from control_plane.auth import Principal
from control_plane.errors import ApiError, ErrorCode, invalid
from control_plane.schemas.results import PromotionRequest
from control_plane.services.dispatches import Accepted, DispatchService
from control_plane.settings import Stores
from outpost.domain.artifacts import Artifact, Summary
from outpost.domain.dispatch import Dispatch, Promotion, Publication, Spec, Status
from outpost.domain.findings import BRIEF_PLACES, Findings
from outpost.domain.ids import now
from outpost.domain.repository import check_branch
from outpost.store.dispatches import Idempotency

TIMEOUT_SECONDS = 600
"""Clone, push and pull request take seconds; the reconciler ends a promotion after this."""


class PromotionService:
    """Promotes results on behalf of a caller."""

    def __init__(self, policy: Policy, stores: Stores, dispatches: DispatchService) -> None:
        self._policy = policy
        self._stores = stores
        self._dispatches = dispatches

    async def promote(self, dispatch_id: str, request: PromotionRequest, caller: Principal) -> Accepted:
        """Promote the result of a dispatch. Raises `ApiError`: 400, 404, or 409 where nothing can be promoted."""
        if refusals := list(_refusals(request, self._policy)):
            raise invalid(*refusals)
        source = await self._dispatches.find(dispatch_id, caller)
        summary = await asyncio.to_thread(self._stores.artifacts.summary, source) if source.attempt else None
        result = promoted(source, summary, create_pr=request.create_pr)
        row = promotion(source, result, request, caller, self._policy, now())
        text = publication(source, result.findings, request).model_dump_json()
        return await asyncio.to_thread(self._create, row, text, caller.tenant.limits.daily)

    def _create(self, row: Dispatch, text: str, daily: int) -> Accepted:
        """Write the row, unless the same promotion is there and did not fail: each failed one has one successor."""
        assert row.spec.promotes is not None  # noqa: S101 - a promotion has what it promotes
        # No client can use such a key: theirs have no spaces.
        first = key = f"promote {row.spec.promotes.dispatch_id} {row.spec.promotes.branch}"
        while True:
            found = self._stores.dispatches.create(row, text, daily, Idempotency(key, ""))
            if found.id == row.id or not found.status.terminal or found.status is Status.SUCCESS:
                break
            key = f"{first} after {found.id}"
        if found.spec.promotes and found.spec.promotes.fingerprint != row.spec.promotes.fingerprint:
            existing = f"Dispatch {found.id} promotes this result to {row.spec.promotes.branch!r} with other options"
            raise ApiError(ErrorCode.CONFLICT, f"{existing}: choose another branch.")
        return Accepted(found, replayed=found.id != row.id)


def _refusals(body: PromotionRequest, policy: Policy) -> Iterator[Refusal]:
    try:
        check_branch(body.branch)
    except ValueError as error:
        yield "branch", str(error)
    if body.create_pr:
        if not policy.pull_requests:
            yield "createPr", "no forge is configured here: leave it out, and open the pull request by hand"
        return
    for name, value in (("prTitle", body.pr_title), ("prBody", body.pr_body)):
        if value is not None:
            yield name, "has no effect without createPr: set createPr to true, or leave it out"


class Result(NamedTuple):
    """What can be promoted."""

    base_commit: str | None
    """The commit that the patch applies to; None for the first one of a repository."""
    findings: Findings | None
    """The secrets found in what the dispatch left."""
    withheld: bool
    """Whether the patch was withheld for them: then it has been released."""


def promoted(source: Dispatch, summary: Summary | None, *, create_pr: bool) -> Result:
    """Return the result of a dispatch. Raises a 409 where there is nothing to promote, or it is withheld."""
    if source.spec.kind != "task":
        task = source.spec.promotes.dispatch_id if source.spec.promotes else "the dispatch of the task"
        raise _nothing(source, f"is a promotion itself: promote {task}")
    if source.status is not Status.SUCCESS:
        raise _nothing(source, f"is {source.status}: only the result of a successful one can be promoted")
    if source.spec.repo is None:
        raise _nothing(source, "had no repository: there is nothing to push to")
    if summary is None or summary.patch_bytes == 0:
        raise _nothing(source, "changed nothing: there is no patch to promote")
    if summary.commit_before is None and source.spec.workspace_init_mode == "none":
        raise _nothing(source, "did not begin with the repository: its files apply to none of the repository's commits")
    if summary.commit_before is None and create_pr:
        raise _nothing(source, "began with an empty repository, which has nothing to merge into: leave createPr out")
    findings = summary.findings
    withheld = findings is not None and Artifact.PATCH in findings.withheld
    if findings and withheld and source.released is None:
        raise _unreleased(source, findings)
    return Result(summary.commit_before, findings, withheld)


def _unreleased(source: Dispatch, findings: Findings) -> ApiError:
    return ApiError(
        ErrorCode.CONFLICT,
        f"The patch of dispatch {source.id} is withheld: {findings.describe(known=True)}. Look at each place, then "
        f"release it: POST /dispatch/{source.id}/release, `outpost release {source.id}` or the tool outpost_release, "
        "with a key that has the scope release.",
    )


def _nothing(source: Dispatch, why: str) -> ApiError:
    return ApiError(ErrorCode.CONFLICT, f"Dispatch {source.id} {why}.")


def promotion(
    source: Dispatch, result: Result, body: PromotionRequest, caller: Principal, policy: Policy, at: datetime
) -> Dispatch:
    """Return the row of a new promotion. Any worker can do it: it goes to those of the source's agent, if there are."""
    agent = source.spec.agent if source.spec.agent in policy.agents else next(iter(policy.agents))
    spec = Spec(
        kind="promote",
        agent=agent,
        repo=source.spec.repo,
        branch=source.spec.branch,
        timeout_seconds=TIMEOUT_SECONDS,
        retryable=True,  # the same promotion makes the same commit, and finds its own pull request
        promotes=Promotion(
            dispatch_id=source.id,
            attempt=source.attempt,
            base_commit=result.base_commit,
            branch=body.branch,
            to_default=body.to_default,
            create_pr=body.create_pr,
            committed_at=source.ended_at or source.created_at,
            withheld=result.withheld,
            findings=result.findings and result.findings.brief(),
            fingerprint=hashlib.sha256(body.model_dump_json().encode()).hexdigest(),
        ),
    )
    return new_row(spec, caller, policy, at)


def publication(source: Dispatch, findings: Findings | None, body: PromotionRequest) -> Publication:
    """Return the texts of the request, completed; a pull request names the secrets found in the patch."""
    message = body.message or f"Apply the result of dispatch {source.id}"
    return Publication(
        message=message,
        author_name=body.author_name,
        author_email=body.author_email,
        pr_title=body.pr_title or message.strip().partition("\n")[0][:256],
        pr_body=(f"Result of Outpost dispatch `{source.id}`." if body.pr_body is None else body.pr_body)
        + (_note(source, findings) if findings else ""),
    )


def _note(source: Dispatch, findings: Findings) -> str:
    """Return the places of secrets in the patch, and who released known ones, as a section in Markdown."""
    release = source.released
    known = f" (withheld at first; released by {release.by}: {' '.join(release.reason.split())})" if release else ""
    places = [place for place in findings.places if place.artifact == Artifact.PATCH][:BRIEF_PLACES]
    lines = [f"- `{str(place).replace('`', chr(39))}`{known if place.known else ''}" for place in places]
    if sum(findings.secrets.values()) + sum(findings.formats.values()) > len(lines):
        lines.append(f"\nThe file findings.json of dispatch `{source.id}` has more.")
    return "\n".join(["\n\n---\nOutpost found secrets, or texts in the format of secrets, in this result:\n", *lines])
