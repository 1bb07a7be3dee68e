"""Collects what the agent changed, as one patch against the commit that it began with.

Runs when nothing of the agent lives any more. git works on the agent's files with the agent's rights, but with the
harness's git directory, which the agent could not write, and an index and an object store made for this one call.
"""

import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from outpost.redaction.redactor import Redactor
from worker.git import git
from worker.patch import PatchScrubber, holds_secret, pieces_of
from worker.workspace import Workspace

_DIFF = (
    "diff",
    "--cached",
    "--binary",
    "--full-index",
    "--find-renames",
    "--no-color",
    "--no-ext-diff",
    "--no-textconv",
)
_CHOICE_BYTES = 1024 * 1024
"""As much is read of the folders that an agent chose to check out; more is no choice."""


class CollectError(Exception):
    """The changes could not be read; the text is git's last line."""


@dataclass(frozen=True)
class Patch:
    """What the agent changed."""

    file: Path
    files_changed: int
    left_out: int
    """Files whose names git does not take."""
    withheld: bool
    """The patch holds a secret that cannot be taken out; `file` is not to be stored."""
    commit_after: str | None


class Collector:
    """One collection; `seconds` bound all of it."""

    def __init__(self, workspace: Workspace, scrubber: Redactor, seconds: float) -> None:
        self._workspace = workspace
        self._scrubber = scrubber
        self._deadline = time.monotonic() + seconds
        self._scratch = scratch = workspace.root / "collect"
        self._variables = {
            "GIT_DIR": workspace.git_dir,
            "GIT_WORK_TREE": workspace.path,
            "GIT_INDEX_FILE": scratch / "index",
            "GIT_OBJECT_DIRECTORY": scratch / "objects",
            "GIT_ALTERNATE_OBJECT_DIRECTORIES": workspace.git_dir / "objects",
        }

    def collect(self) -> Patch:
        """Write the patch without secrets. Raises `CollectError`."""
        try:
            self._workspace.make_folders(self._scratch, self._scratch / "objects")
            return self._write(self._stage())
        except subprocess.CalledProcessError as error:
            lines = (error.stderr or b"").decode("utf-8", "replace").strip().splitlines() or ["no error was printed"]
            raise CollectError(f"{error.cmd[0]} ended with {error.returncode}: {lines[-1]}") from error
        except OSError as error:  # the agent may have left no room on the disk
            raise CollectError(f"the patch could not be written: {error.strerror}") from error

    def _stage(self) -> int:
        """Put all files into the index, those of repositories that the agent made inside too; returns as `_add`."""
        workspace = self._workspace
        if not workspace.path.is_dir() or workspace.path.is_symlink():
            raise CollectError("the workspace folder was removed or replaced")
        files = str(workspace.path)
        # What the agent made unreadable for itself would be left out.
        self._run(["chmod", "-R", "u+rwX", files])
        self._run(["find", files, "-mindepth", "2", "-name", ".git", "-prune", "-exec", "rm", "-rf", "{}", "+"])
        if workspace.commit_before is not None:
            self._run(git("read-tree", workspace.commit_before))
            if workspace.began_sparse:
                self._keep_what_was_not_checked_out(workspace.commit_before)
        return self._add(files)

    def _keep_what_was_not_checked_out(self, base: str) -> None:
        """Mark the files that a sparse checkout left out: that they are missing is no deletion."""
        missing = set(self._run(git("ls-files", "--deleted", "-z")).split(b"\0")) - {b""}
        kept = missing & self._not_checked_out(base, missing)
        mark = git("update-index", "-z", "--skip-worktree", "--stdin")
        listed = (path + b"\0" for path in sorted(kept))
        self._workspace.feed_as_agent(mark, listed, timeout=self._left(), **self._variables)

    def _not_checked_out(self, base: str, missing: set[bytes]) -> set[bytes]:
        """Ask the agent's own git, as the agent may have checked out more, and may have deleted some of that.

        Its index tells, unless it was lost or made anew: then it marks no missing file of any folder. In that case the
        folders count that the agent chose, and without a choice that can be read only the root folder was checked out.
        """
        files = self._workspace.path
        beyond_root = {path for path in missing if b"/" in path}
        try:
            entries = self._ask_agents_git("ls-files", "-t", "-z", f"--with-tree={base}").split(b"\0")
            marked = {entry.removeprefix(b"S ") for entry in entries if entry.startswith(b"S ")}
            if not beyond_root or marked & beyond_root:
                return marked
            read = ["head", "-c", str(_CHOICE_BYTES), "--", str(files / ".git" / "info" / "sparse-checkout")]
            choice = self._workspace.as_agent(read, timeout=10)
            sparse = self._ask_agents_git("config", "--type=bool", "--default=false", "core.sparseCheckout")
        except subprocess.CalledProcessError:
            return beyond_root
        return marked | _not_chosen(beyond_root, choice) if sparse == b"true\n" else marked

    def _ask_agents_git(self, *arguments: str) -> bytes:
        files = self._workspace.path
        own = {"GIT_DIR": files / ".git", "GIT_WORK_TREE": files}
        return self._workspace.as_agent(git("-C", str(files), *arguments), timeout=self._left(), **own)

    def _add(self, files: str) -> int:
        """Add every file; returns how many git refuses for a name like its own, such as `.GIT` or `git~1`."""
        try:
            self._run(git("add", "--all", "--sparse", "--ignore-errors", "--", files))
        except subprocess.CalledProcessError as error:
            lines: list[str] = (error.stderr or b"").decode("utf-8", "replace").splitlines()
            errors = [line for line in lines if line.startswith(("error:", "fatal:"))]
            refused = sum(line.startswith("error: invalid path ") for line in errors)
            followed = sum(line.startswith("error: unable to add ") for line in errors)
            if error.returncode != 1 or not refused or refused + followed < len(errors):
                raise
            return refused
        return 0

    def _write(self, left_out: int) -> Patch:
        target = self._workspace.private / "changes.patch"
        patch = PatchScrubber(self._scrubber)
        base = self._workspace.commit_before or self._empty_tree()
        diff = self._workspace.stream_as_agent(git(*_DIFF, base), timeout=self._left(), **self._variables)
        with target.open("wb") as file:
            file.writelines(patch.scrub(pieces_of(diff)))
        blobs = (blob for blob in patch.binary_blobs if blob.strip("0"))
        withheld = patch.secret_in_header or any(self._blob_holds_secret(blob) for blob in blobs)
        return Patch(target, patch.files, left_out, withheld, self._commit_after())

    def _blob_holds_secret(self, blob: str) -> bool:
        self._scrubber.restart()
        content = self._workspace.stream_as_agent(
            git("cat-file", "blob", blob), timeout=self._left(), **self._variables
        )
        return holds_secret(content, self._scrubber)

    def _empty_tree(self) -> str:
        return self._run(git("hash-object", "-t", "tree", "/dev/null")).decode().strip()

    def _commit_after(self) -> str | None:
        """Return the agent's own HEAD; None when it has none that git can read."""
        head = git("-C", str(self._workspace.path), "rev-parse", "--verify", "--quiet", "HEAD^{commit}")
        try:
            return self._workspace.as_agent(head, timeout=10).decode("ascii").strip()
        except (subprocess.CalledProcessError, UnicodeDecodeError):
            return None

    def _run(self, argv: list[str]) -> bytes:
        return self._workspace.as_agent(argv, timeout=self._left(), **self._variables)

    def _left(self) -> float:
        return max(1.0, self._deadline - time.monotonic())


def _not_chosen(paths: set[bytes], choice: bytes) -> set[bytes]:
    """Return those of `paths`, none in the root folder, that `.git/info/sparse-checkout` leaves out.

    Only what git writes for whole folders is understood (`/a/` all of it, with `!/a/*/` its own files only); anything
    else chooses nothing.
    """
    lines = set(choice.split(b"\n")) - {b""}
    folders = {line for line in lines if len(line) > 1 and line.startswith(b"/") and line.endswith(b"/")}
    whole = {folder for folder in folders if b"!" + folder + b"*/" not in lines}
    understood = folders | {b"!" + folder + b"*/" for folder in folders - whole} | {b"/*", b"!/*/"}
    if len(choice) == _CHOICE_BYTES or lines - understood:
        return paths

    def chosen(path: bytes) -> bool:
        names = path.split(b"/")[:-1]
        above = [b"/" + b"/".join(names[: n + 1]) + b"/" for n in range(len(names))]
        return above[-1] in folders or not whole.isdisjoint(above)

    return {path for path in paths if not chosen(path)}
