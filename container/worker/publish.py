"""Makes a result a commit and pushes it: without a working tree, so that nothing of the repository is ever run.

The patch is applied to an index of this one call; hooks, filters and diff drivers have nothing to act on.
"""

import subprocess
from pathlib import Path

from outpost.domain.promotion import Promotion, Publication
from outpost.domain.reasons import ReasonCode
from worker.git import allowed_protocols, authorization, git
from worker.settings import Settings
from worker.workspace import Workspace, last_line

SECONDS = 300.0
"""What each call of git may take."""
COMMITTER = ("Outpost", "outpost@outpost.invalid")


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
        self._variables: dict[str, str | Path] = {
            "GIT_DIR": workspace.git_dir,
            "GIT_INDEX_FILE": workspace.private / "promotion.index",
        }

    def default_branch(self) -> str:
        """Return the branch that the clone began with. Raises `PublishError`."""
        return self._run(ReasonCode.PATCH_FAILED, "symbolic-ref", "--short", "HEAD").strip()

    def commit(self, promotion: Promotion, words: Publication, patch: Path) -> str:
        """Return a commit of the patch on its base; the same promotion makes the same one. Raises `PublishError`."""
        code, base = ReasonCode.PATCH_FAILED, promotion.base_commit
        self._run(code, "read-tree", f"{base}^{{tree}}")
        self._run(code, "apply", "--cached", "--binary", "--whitespace=nowarn", "--", str(patch))
        tree = self._run(code, "write-tree").strip()
        at = f"@{int(promotion.committed_at.timestamp())} +0000"
        author = {"GIT_AUTHOR_NAME": words.author_name, "GIT_AUTHOR_EMAIL": words.author_email, "GIT_AUTHOR_DATE": at}
        name, email = COMMITTER
        committer = {"GIT_COMMITTER_NAME": name, "GIT_COMMITTER_EMAIL": email, "GIT_COMMITTER_DATE": at}
        made = self._run(code, "commit-tree", "-p", base, "-F", "-", tree, text=words.message, **author, **committer)
        return made.strip()

    def push(self, commit: str, branch: str, url: str, token: str | None) -> None:
        """Make `branch` the commit, unless that would lose others'. Raises `PublishError`."""
        self._run(
            ReasonCode.PUSH_FAILED,
            *("push", "--porcelain", "--quiet", "--no-verify"),
            *("--", url, f"{commit}:refs/heads/{branch}"),
            GIT_ALLOW_PROTOCOL=allowed_protocols(self._settings.git_base_url),
            **authorization(self._settings.git_base_url, token),
        )

    def _run(self, code: ReasonCode, *arguments: str, text: str = "", **variables: str) -> str:
        try:
            done = subprocess.run(
                git(*arguments),
                env=self._workspace.environment(**self._variables, **variables),
                cwd=self._workspace.private,
                input=text.encode(),
                capture_output=True,
                timeout=SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise PublishError(code, f"git took longer than {SECONDS:.0f} s") from error
        if done.returncode != 0:
            raise PublishError(code, _rejection(done.stdout) or last_line(done.stderr))
        return done.stdout.decode("utf-8", "replace")


def _rejection(told: bytes) -> str | None:
    """Return why a push was refused: a line `!<tab>from:to<tab>[rejected] (fetch first)`."""
    refused = [line for line in told.decode("utf-8", "replace").splitlines() if line.startswith("!\t")]
    return f"the branch was not pushed: {refused[0].split(chr(9))[-1]}" if refused else None
