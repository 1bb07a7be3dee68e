"""Brings a repository here from its forge, without any file of it checked out."""

import os
import signal
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from outpost.domain.dispatch import Spec
from outpost.domain.repository import check_branch, check_repo, clone_url
from worker.git import allowed_protocols, authorization, git, git_environment, last_line
from worker.lines import printable
from worker.redirect import MovedError, current_url
from worker.settings import Settings
from worker.stop import StopSignal

CLONE_SECONDS = 600.0
_SHOWN_BRANCHES = 5


class CloneError(Exception):
    """The repository could not be brought here; the text is git's last line."""


@dataclass(frozen=True)
class Cloning:
    """The clone of one repository into `target`; `scratch` is a folder for git's messages."""

    settings: Settings
    target: Path
    scratch: Path
    stop: StopSignal
    token: str | None

    def clone(self, spec: Spec) -> str:
        """Clone, and return the repository's URL, which is another one where it was renamed.

        Raises `CloneError`, `Stopped`.
        """
        try:
            url = clone_url(check_repo(spec.repo or "", self.settings.git_allowed_hosts), self.settings.git_base_url)
            options = _options(spec)
        except ValueError as error:
            raise CloneError(str(error)) from error
        try:
            self._run(*options, "--", url, str(self.target))
        except CloneError as error:
            # git follows no redirect when it has a token, which would go along.
            if self.token is None or "returned error: 30" not in str(error):
                raise
            url = self._moved(url)
            self._run(*options, "--", url, str(self.target))
        return url

    def _moved(self, url: str) -> str:
        try:
            return current_url(url, self.settings.git_base_url, self.token)
        except MovedError as error:
            raise CloneError(str(error)) from error

    def check_head(self, url: str) -> None:
        """Check that a clone without a commit is of a repository without branches.

        Raises `CloneError` when the remote's HEAD names a branch that does not exist beside others.
        """
        listed = self._run("ls-remote", "--heads", "--", url).decode("utf-8", "replace").splitlines()
        branches = [printable(line.partition("refs/heads/")[2].encode()) for line in listed]
        if branches:
            more = ", ..." if len(branches) > _SHOWN_BRANCHES else ""
            shown = ", ".join(branches[:_SHOWN_BRANCHES])
            raise CloneError(f"its HEAD names a branch that does not exist: give one as branch ({shown}{more})")

    def _run(self, *arguments: str) -> bytes:
        """Run git until it ends or the dispatch does, and return its output. Raises `CloneError`, `Stopped`."""
        errors, output = self.scratch / "clone.log", self.scratch / "clone.out"
        with errors.open("wb") as stderr, output.open("wb") as stdout:
            process = subprocess.Popen(
                git(*arguments),
                env=self._environment(),
                cwd=self.scratch,
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
                start_new_session=True,
            )
            _finish(process, self.stop)
        if process.returncode != 0:
            raise CloneError(last_line(errors.read_bytes()))
        return output.read_bytes()

    def _environment(self) -> Mapping[str, str]:
        base_url = self.settings.git_base_url
        return git_environment(
            self.settings.agent_path,
            GIT_ALLOW_PROTOCOL=allowed_protocols(base_url),
            **authorization(base_url, self.token),
        )


def _options(spec: Spec) -> list[str]:
    """Return the command `clone` with its options. Raises `ValueError` for a branch that git does not accept."""
    options = ["clone", "--quiet", "--no-checkout", "--no-recurse-submodules", "--template="]
    if spec.branch is not None:
        options.append(f"--branch={check_branch(spec.branch)}")
    if spec.workspace_init_mode == "minimal":
        options += ["--depth=1", "--no-tags", "--sparse"]
    return options


def _finish(process: subprocess.Popen[bytes], stop: StopSignal) -> None:
    """Wait for git, or end it with its helpers. Raises `CloneError`, `Stopped`."""
    deadline = time.monotonic() + CLONE_SECONDS
    try:
        while process.poll() is None:
            stop.check()
            if time.monotonic() > deadline:
                raise CloneError(f"git took longer than {CLONE_SECONDS:.0f} s")
            stop.wait(0.02)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
