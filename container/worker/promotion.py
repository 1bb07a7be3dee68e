"""The steps of an attempt without an agent: the result of another dispatch is committed, pushed, and proposed.

It may run twice: the same promotion ends in the same place.
"""

from outpost.domain.artifacts import promoted_patch
from outpost.domain.dispatch import Status
from outpost.domain.ids import now
from outpost.domain.promotion import Promotion, Publication
from outpost.domain.reasons import Reason, ReasonCode
from outpost.domain.repository import forge_repository
from outpost.fleet.forge import ForgeApi, ForgeError
from worker.outcome import Outcome, failed
from worker.publish import Publisher, PublishError, open_pull_request
from worker.step_context import StepContext

_FORGE_SECONDS = 30.0
"""What each call of the forge's API may take."""


def clone_repository(context: StepContext) -> None:
    """Clone the repository that the result is for. Raises `CloneError`, `ForgeTokenError`, `Stopped`."""
    context.log.event(f"cloning {context.assignment.spec.repo}")
    context.workspace.clone(context.assignment.spec, context.stop, context.forge_token())


def publish(context: StepContext) -> Outcome:
    """Publish the result, and return the outcome; raises what `publish_result` does, except `PublishError`."""
    promotion = context.assignment.spec.promotes
    assert promotion is not None  # noqa: S101 - what makes it a promotion
    context.stop.check()
    context.calls.started()
    context.results.started_at = now()
    try:
        message = publish_result(context, promotion)
    except PublishError as error:
        return failed(error.code, f"The result was not published: {error}.")
    context.heartbeat.ended(0)
    return Outcome(Status.SUCCESS, Reason.of(ReasonCode.COMPLETED, message), 0)


def publish_result(context: StepContext, promotion: Promotion) -> str:
    """Commit, push and propose; return what was done.

    Raises `PublishError`, `DownloadError`, `ForgeTokenError`, `ForgeError`, `BrokerError` and `Stopped`.
    """
    results, workspace, log = context.results, context.workspace, context.log
    publication = Publication.model_validate_json(context.assignment.task)
    if findings := promotion.findings:
        places = filter(None, (findings.describe(known=True), findings.describe(known=False)))
        log.event(f"secrets, or texts in the format of one, in the result: {', '.join(places)}", "warning")
    patch = workspace.private / "promoted.patch"
    context.store.get_file(promoted_patch(context.assignment.tenant_id, promotion), patch)
    publisher = Publisher(workspace, context.worker.settings)
    default = publisher.default_branch()
    if promotion.branch == default and not promotion.to_default:
        message = f"{default} is the repository's default branch, and the promotion does not set toDefault"
        raise PublishError(ReasonCode.DEFAULT_BRANCH, message)
    workspace.commit_before = promotion.base_commit
    results.commit = publisher.commit(promotion, publication, patch)
    token = context.forge_token()
    context.calls.require()  # a push cannot be taken back
    context.stop.check()
    publisher.push(results.commit, promotion.branch, workspace.url, token)
    done = f"Pushed {results.commit} to {promotion.branch}."
    log.event(done)
    if not promotion.create_pr:
        return done
    base = _base(context, publisher, default)
    settings = context.worker.settings
    name = forge_repository(workspace.url, settings.git_base_url)
    if settings.forge_url is None or token is None or name is None:
        raise ForgeError("no forge is configured for this repository")
    api = ForgeApi(settings.forge_url, token, _FORGE_SECONDS)
    results.pull_request = open_pull_request(api, name, promotion.branch, base, publication)
    log.event(f"pull request {results.pull_request}")
    return f"{done} Pull request: {results.pull_request}"


def _base(context: StepContext, publisher: Publisher, default: str | None) -> str:
    """Return the branch that the dispatch worked on, or the default one where it worked on a tag or on none."""
    worked_on = context.assignment.spec.branch
    base = worked_on if worked_on and publisher.has_branch(worked_on) else default
    if base is None:
        raise ForgeError("the repository has no default branch to merge into")
    return base
