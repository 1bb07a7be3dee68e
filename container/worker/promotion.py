"""The steps of an attempt without an agent: the result of another dispatch is committed, pushed, and proposed.

It may run twice: the same promotion ends in the same place. There is no working tree, so nothing of the repository is
ever run: the patch is applied to an index of this one call; hooks, filters and diff drivers have nothing to act on.
"""

import re
import subprocess
from http import HTTPStatus
from pathlib import Path
from urllib.parse import quote, urlencode

from outpost.domain.artifacts import promoted_patch
from outpost.domain.dispatch import Promotion, Publication, Status
from outpost.domain.ids import now
from outpost.domain.reasons import Reason, ReasonCode
from outpost.domain.repository import forge_repository
from outpost.fleet.forge import ForgeApi, ForgeError
from worker.git import allowed_protocols, authorization, last_line
from worker.lines import beginning, printable
from worker.outcome import Outcome, failed
from worker.settings import Settings
from worker.step_context import StepContext
from worker.workspace import Workspace

SECONDS = 300.0
"""What each call of git may take."""
_FORGE_SECONDS = 30.0
"""What each call of the forge's API may take."""
COMMITTER = ("Outpost", "outpost@outpost.invalid")
_BRANCHES = "refs/remotes/origin/"
"""Where the clone keeps the forge's branches; HEAD there is the default one."""
# How GitHub (branch protection GH006, rulesets GH013), GitLab, Gitea and Forgejo, and Bitbucket refuse such a push.
_PROTECTED = re.compile(
    r"protected branch|GH006|(?:Changes must be|can only be) (?:made|modified) through (?:a )?pull requests?",
    re.IGNORECASE,
)


class PublishError(Exception):
    """The result could not be published; `code` says which step failed."""

    def __init__(self, code: ReasonCode, message: str) -> None:
        super().__init__(message)
        self.code = code


class Publisher:
    """Works on the harness's own clone of the repository."""

    def __init__(self, workspace: Workspace, settings: Settings) -> None:
        self._workspace = workspace
        self._settings = settings

    def default_branch(self) -> str | None:
        """Return the repository's default branch; None when it has no commit yet. Raises `PublishError`."""
        done = self._call(ReasonCode.PATCH_FAILED, "symbolic-ref", "--quiet", f"{_BRANCHES}HEAD")
        return done.stdout.decode("utf-8", "replace").strip().removeprefix(_BRANCHES) or None

    def has_branch(self, name: str) -> bool:
        """Return whether the repository had the branch when it was cloned. Raises `PublishError`."""
        done = self._call(ReasonCode.PATCH_FAILED, "show-ref", "--verify", "--quiet", f"{_BRANCHES}{name}")
        return done.returncode == 0

    def commit(self, promotion: Promotion, publication: Publication, patch: Path) -> str:
        """Return a commit of the patch on its base; the same promotion makes the same one. Raises `PublishError`."""
        code, base = ReasonCode.PATCH_FAILED, promotion.base_commit
        self._run(code, "read-tree", f"{base}^{{tree}}" if base else "--empty")
        self._run(code, "apply", "--cached", "--binary", "--whitespace=nowarn", "--", str(patch))
        tree = self._run(code, "write-tree").strip()
        at = f"@{int(promotion.committed_at.timestamp())} +0000"
        variables = {
            "GIT_AUTHOR_NAME": publication.author_name,
            "GIT_AUTHOR_EMAIL": publication.author_email,
            "GIT_AUTHOR_DATE": at,
            "GIT_COMMITTER_NAME": COMMITTER[0],
            "GIT_COMMITTER_EMAIL": COMMITTER[1],
            "GIT_COMMITTER_DATE": at,
        }
        arguments = ("commit-tree", *(("-p", base) if base else ()), "-F", "-", tree)
        return self._run(code, *arguments, text=publication.message, **variables).strip()

    def push(self, commit: str, branch: str, url: str, token: str | None) -> None:
        """Make `branch` the commit, unless that would lose others'. Raises `PublishError`."""
        done = self._call(
            ReasonCode.PUSH_FAILED,
            *("push", "--porcelain", "--no-verify"),
            *("--", url, f"{commit}:refs/heads/{branch}"),
            GIT_ALLOW_PROTOCOL=allowed_protocols(self._settings.git_base_url),
            **authorization(self._settings.git_base_url, token),
        )
        if done.returncode != 0:
            raise _refusal(done.stdout, done.stderr)

    def _run(self, code: ReasonCode, *arguments: str, text: str = "", **variables: str) -> str:
        done = self._call(code, *arguments, text=text, **variables)
        if done.returncode != 0:
            raise PublishError(code, last_line(done.stderr))
        return done.stdout.decode("utf-8", "replace")

    def _call(
        self, code: ReasonCode, *arguments: str, text: str = "", **variables: str
    ) -> subprocess.CompletedProcess[bytes]:
        try:
            index = self._workspace.private / "promotion.index"
            return self._workspace.git(
                *arguments, timeout=SECONDS, check=False, text=text, GIT_INDEX_FILE=index, **variables
            )
        except subprocess.TimeoutExpired as error:
            raise PublishError(code, f"git took longer than {SECONDS:.0f} s") from error


# What a server of the operator's own must allow (git-config: receive.denyCurrentBranch; git-daemon: receive-pack).
_REMEDIES = (
    (
        re.compile(r"branch is currently checked out|refusing to update checked out branch"),
        "the repository there has this branch checked out: set `git config receive.denyCurrentBranch updateInstead` in "
        "it, make it bare, or choose another branch",
    ),
    (
        re.compile(r"service not enabled|access denied or repository not exported"),
        "the git daemon there takes no pushes: set `git config daemon.receivepack true` in the repository, or start "
        "the daemon with --enable=receive-pack",
    ),
)


def _with_remedy(message: str) -> str:
    remedies = (remedy for pattern, remedy in _REMEDIES if pattern.search(message))
    return "; ".join((message, *remedies))


def _refusal(stdout: bytes, stderr: bytes) -> PublishError:
    """Return why a push failed: a line `!<tab>from:to<tab>[rejected] (fetch first)`, and what the forge says to it."""
    refused = [line for line in stdout.splitlines() if line.startswith(b"!\t")]
    if not refused:
        return PublishError(ReasonCode.PUSH_FAILED, _with_remedy(last_line(stderr)))
    remarks = [line.removeprefix(b"remote:").strip() for line in stderr.splitlines() if line.startswith(b"remote:")]
    parts = [printable(part) for part in [refused[0].split(b"\t")[-1], *filter(None, remarks)]]
    message = beginning("; ".join(parts), 500)
    protected = _PROTECTED.search(message) is not None
    code = ReasonCode.BRANCH_PROTECTED if protected else ReasonCode.PUSH_FAILED
    return PublishError(code, f"the branch {'is protected and ' * protected}was not pushed: {_with_remedy(message)}")


def open_pull_request(api: ForgeApi, repository: str, head: str, base: str, publication: Publication) -> str:
    """Open a pull request of `owner/name`, unless one is open already; return its URL. Raises `ForgeError`."""
    path = f"/repos/{quote(repository)}/pulls"
    wanted = {"title": publication.pr_title, "head": head, "base": base, "body": publication.pr_body}
    try:
        return str(api.call("POST", path, wanted)["html_url"])
    except ForgeError as error:
        if error.status != HTTPStatus.UNPROCESSABLE_ENTITY or "already exists" not in str(error):
            raise
    owner = repository.partition("/")[0]
    query = urlencode({"head": f"{owner}:{head}", "base": base, "state": "open"})
    found = api.call("GET", f"{path}?{query}")
    if not found:
        raise ForgeError(f"the forge says that there is a pull request of {head}, and shows none")
    return str(found[0]["html_url"])


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
