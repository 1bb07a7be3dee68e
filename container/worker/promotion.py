"""An attempt without an agent: the result of another dispatch is committed, pushed, and proposed as a pull request."""

from outpost.domain.artifacts import Summary, promoted_patch
from outpost.domain.dispatch import Status
from outpost.domain.ids import now
from outpost.domain.promotion import Promotion, Publication
from outpost.domain.reasons import Reason, ReasonCode
from outpost.domain.repository import forge_repository
from outpost.fleet.forge import ForgeError
from worker.attempt import Attempt
from worker.clone import CloneError
from worker.forge import PullRequest, open_pull_request
from worker.lease import ForgeTokenError
from worker.outcome import Outcome, cancelled, failed
from worker.publish import Publisher, PublishError
from worker.stop import Cause, Stopped
from worker.store import DownloadError

_FAILURES: dict[type[Exception], tuple[ReasonCode, str]] = {
    CloneError: (ReasonCode.CLONE_FAILED, "The repository could not be cloned"),
    ForgeTokenError: (ReasonCode.FORGE_TOKEN_UNAVAILABLE, "There is no token of the forge"),
    DownloadError: (ReasonCode.PATCH_FAILED, "The patch could not be read"),
    ForgeError: (ReasonCode.PULL_REQUEST_FAILED, "The branch was pushed, but the pull request was not opened"),
}


class PromotionAttempt(Attempt):
    """Runs one assignment of the kind `promote`. May run twice: the same promotion ends in the same place."""

    _commit: str | None = None
    _pull_request: str | None = None

    def _work(self) -> Outcome:
        promotion = self._assignment.spec.promotes
        assert promotion is not None  # noqa: S101 - what makes it a promotion
        try:
            self._fetch()
            self._stop.check()
            self._lease.started()
            self._results.started_at = now()
            message = self._publish(promotion)
            self._lease.ended(0)
        except PublishError as error:
            return failed(error.code, f"The result was not published: {error}.")
        except tuple(_FAILURES) as error:
            code, what = _FAILURES[type(error)]
            return failed(code, f"{what}: {error}.")
        except Stopped as stopped:
            if stopped.cause is Cause.CANCELLED:
                return cancelled()
            raise
        return Outcome(Status.SUCCESS, Reason.of(ReasonCode.COMPLETED, message), 0)

    def _fetch(self) -> None:
        self._log_event(f"cloning {self._assignment.spec.repo}")
        self._workspace.clone(self._assignment.spec, self._stop, self._forge_token())

    def _publish(self, promotion: Promotion) -> str:
        """Commit, push and propose. Returns what was done; raises the errors of each step, and `Stopped`."""
        words = Publication.model_validate_json(self._assignment.task)
        if findings := promotion.findings:
            places = filter(None, (findings.describe(known=True), findings.describe(known=False)))
            self._log_event(f"secrets, or texts in the format of one, in the result: {', '.join(places)}", "warning")
        patch = self._workspace.private / "promoted.patch"
        self._store.get_file(promoted_patch(self._assignment.tenant_id, promotion), patch)
        publisher = Publisher(self._workspace, self._settings)
        default = publisher.default_branch()
        if promotion.branch == default and not promotion.to_default:
            message = f"{default} is the repository's default branch, and the promotion does not set toDefault"
            raise PublishError(ReasonCode.DEFAULT_BRANCH, message)
        self._workspace.commit_before = promotion.base_commit
        self._commit = publisher.commit(promotion, words, patch)
        token = self._forge_token()
        self._lease.require()  # a push cannot be taken back
        self._stop.check()
        publisher.push(self._commit, promotion.branch, self._workspace.url, token)
        done = f"Pushed {self._commit} to {promotion.branch}."
        self._log_event(done)
        if not promotion.create_pr:
            return done
        self._propose(promotion.branch, self._base(publisher, default), words, token)
        return f"{done} Pull request: {self._pull_request}"

    def _base(self, publisher: Publisher, default: str | None) -> str:
        """Return the branch that the dispatch worked on, or the default one where it worked on a tag or on none."""
        worked_on = self._assignment.spec.branch
        base = worked_on if worked_on and publisher.has_branch(worked_on) else default
        if base is None:
            raise ForgeError("the repository has no default branch to merge into")
        return base

    def _propose(self, branch: str, base: str, words: Publication, token: str | None) -> None:
        """Open the pull request. Raises `ForgeError`."""
        forge, name = self._settings.forge_url, forge_repository(self._workspace.url, self._settings.git_base_url)
        if forge is None or token is None or name is None:
            raise ForgeError("no forge is configured for this repository")
        wanted = PullRequest(branch, base, words.pr_title, words.pr_body)
        self._pull_request = open_pull_request(forge, token, name, wanted)
        self._log_event(f"pull request {self._pull_request}")

    def _summary(self, outcome: Outcome) -> Summary:
        made = {"commit_after": self._commit, "pull_request": self._pull_request}
        return super()._summary(outcome).model_copy(update=made)
