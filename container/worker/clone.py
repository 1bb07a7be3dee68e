"""Brings a repository here from its forge, without any file of it checked out.

A forge redirects a repository that was renamed or transferred (GitHub Docs, "Renaming a repository"), and GitLab one
whose URL lacks `.git`. git would send the token along, so it follows none; the place is looked up here and used only
if it is the same owner's, below the platform's base URL: other owners' repositories are other grants.
"""

import os
import signal
import subprocess
import time
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.parse import urljoin, urlsplit, urlunsplit

from outpost.domain.dispatch import Spec
from outpost.domain.repository import check_branch, check_repo, clone_url, forge_repository
from outpost.fleet.forge import NoRedirect
from worker.git import allowed_protocols, authorization, basic_credentials, git, git_environment, last_line
from worker.lines import printable
from worker.settings import Settings
from worker.stop import StopSignal

CLONE_SECONDS = 600.0
_SHOWN_BRANCHES = 5
_REDIRECT_SECONDS = 15.0
_HOPS = 3
_DISCOVERY = "/info/refs"
"""Where a client of git's smart HTTP protocol begins (gitprotocol-http)."""
_LFS_SECONDS = 60.0
_POINTER = "version https://git-lfs.github.com/spec/v1"
"""The first line of a file that Git LFS keeps elsewhere (Git LFS specification, "The Pointer")."""


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
        """Clone, and return the repository's URL, another one where it was renamed. Raises `CloneError`, `Stopped`."""
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
            url = _current_url(url, self.settings.git_base_url, self.token)
            self._run(*options, "--", url, str(self.target))
        return url

    def check_head(self, url: str) -> None:
        """Raise `CloneError` when the remote's HEAD names a branch that does not exist beside others."""
        listed = self._run("ls-remote", "--heads", "--", url).decode("utf-8", "replace").splitlines()
        branches = [printable(line.partition("refs/heads/")[2].encode()) for line in listed]
        if branches:
            more = ", ..." if len(branches) > _SHOWN_BRANCHES else ""
            shown = ", ".join(branches[:_SHOWN_BRANCHES])
            raise CloneError(f"its HEAD names a branch that does not exist: give one as branch ({shown}{more})")

    def _run(self, *arguments: str) -> bytes:
        """Run git until it ends or the dispatch does, and return its output. Raises `CloneError`, `Stopped`."""
        errors, output, base_url = self.scratch / "clone.log", self.scratch / "clone.out", self.settings.git_base_url
        environment = git_environment(
            self.settings.agent_path,
            GIT_ALLOW_PROTOCOL=allowed_protocols(base_url),
            **authorization(base_url, self.token),
        )
        with errors.open("wb") as stderr, output.open("wb") as stdout:
            process = subprocess.Popen(
                git(*arguments),
                env=environment,
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


def _current_url(url: str, base_url: str, token: str | None) -> str:
    """Return the URL that the forge redirects `url` to. Raises `CloneError`."""
    for _ in range(_HOPS):
        location = _location(url, token)
        if location is None:
            return url
        place = urlsplit(urljoin(f"{url}{_DISCOVERY}", location))
        target = urlunsplit(place._replace(path=place.path.removesuffix(_DISCOVERY), query="", fragment=""))
        if _owner(target, base_url) is None or _owner(target, base_url) != _owner(url, base_url):
            raise CloneError(f"the repository has moved to {printable(target.encode())[:200]}: dispatch with that one")
        url = target
    raise CloneError(f"the forge redirects more than {_HOPS} times")


def _owner(url: str, base_url: str) -> str | None:
    repository = forge_repository(url, base_url)
    return repository.partition("/")[0].lower() if repository else None


def _location(url: str, token: str | None) -> str | None:
    """Return the header `Location` of a redirect, None of any other response. Raises `CloneError`."""
    request = urllib.request.Request(f"{url}{_DISCOVERY}?service=git-upload-pack")  # noqa: S310 - the configured forge
    if token is not None:
        request.add_unredirected_header("Authorization", basic_credentials(token))
    try:
        with urllib.request.build_opener(NoRedirect).open(request, timeout=_REDIRECT_SECONDS):
            return None
    except HTTPError as error:
        with error:
            return error.headers.get("Location") if 300 <= error.code < 400 else None
    except (URLError, OSError, HTTPException) as error:
        raise CloneError(f"the forge does not say where the repository has moved: {error}") from error


def lfs_pointers(environment: Mapping[str, str]) -> list[str]:
    """Return the printable paths of HEAD's pointers, sorted; `environment` is git's, with GIT_DIR.

    Only a repository whose `.gitattributes` name the filter is searched: the search reads every file.
    """
    if not _paths(environment, "filter=lfs", ":(glob)**/.gitattributes"):
        return []
    attributes = ":(exclude,glob)**/.gitattributes"
    return sorted(printable(path) for path in _paths(environment, _POINTER, ".", attributes))


def _paths(environment: Mapping[str, str], text: str, *pathspecs: str) -> list[bytes]:
    """Return the paths of HEAD's files that contain `text`; none when git fails or takes too long."""
    command = git("grep", "--name-only", "--null", "--fixed-strings", "-e", text, "HEAD", "--", *pathspecs)
    try:
        done = subprocess.run(command, env=environment, capture_output=True, timeout=_LFS_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return []
    return [name.partition(b":")[2] for name in done.stdout.split(b"\0") if name]
