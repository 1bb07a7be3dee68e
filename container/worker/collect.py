"""Collects what the agent changed, as one patch against the commit that it began with.

Runs when nothing of the agent lives any more. git works on the agent's files with the agent's rights, but with the
harness's git directory, which the agent could not write, and an index and an object store made for this one call.
"""

import contextlib
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from outpost.domain.artifacts import Artifact
from outpost.domain.collection import Collection
from outpost.domain.findings import Findings
from worker.collection.calls import Calls
from worker.collection.inventory import take_inventory
from worker.collection.nested import find_worktrees
from worker.collection.record import read_record
from worker.collection.staging import Staged, Staging, Tree
from worker.git import git
from worker.patch import BinaryChange, PatchReader
from worker.secret_scan import SecretScan
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
    "--ignore-submodules=none",
    "--submodule=short",
)


class CollectError(Exception):
    """The changes could not be read; the text is git's last line."""


@dataclass(frozen=True)
class Patch:
    """What the agent changed."""

    file: Path
    files_changed: int
    collection: Collection
    """What was kept beside it, and what was left out."""
    findings: Findings
    """The secrets found in it. Artifacts with the value of a known one are stored as withheld."""
    commit_after: str | None


class Collector:
    """One collection; `seconds` bound all of it."""

    def __init__(self, workspace: Workspace, scan: SecretScan, seconds: float) -> None:
        self._workspace = workspace
        self._scan = scan
        self._calls = Calls(workspace, seconds)
        self._scratch = self._calls.scratch
        self._variables = self._calls.variables(workspace.path, "index")

    def collect(self) -> Patch:
        """Write the patch as git makes it, and search it for secrets. Raises `CollectError`."""
        files = self._workspace.path
        try:
            if not files.is_dir() or files.is_symlink():
                raise CollectError("the workspace folder was removed or replaced")
            self._workspace.make_folders(self._scratch, self._scratch / "objects")
            return self._write(self._stage(files))
        except subprocess.CalledProcessError as error:
            raise CollectError(_describe(error)) from error
        except OSError as error:  # the agent may have left no room on the disk
            raise CollectError(f"the patch could not be written: {error.strerror}") from error

    def _stage(self, files: Path) -> Staged:
        """Put the files into the index."""
        calls, base = self._calls, self._workspace.commit_before
        # What the agent made unreadable for itself would be left out; what stays so is.
        with contextlib.suppress(subprocess.CalledProcessError):
            calls.run(["chmod", "-R", "u+rwX", "--", str(files)])
        inventory = take_inventory(calls, files)
        worktrees = find_worktrees(calls, files, inventory)
        self._record = read_record(calls, files / ".git", files, base)
        tree = Tree(b"", files, self._record, base, "index")
        return Staging(calls, tree, inventory, worktrees).stage()

    def _write(self, staged: Staged) -> Patch:
        target = self._workspace.private / "changes.patch"
        patch = PatchReader(self._scan, Artifact.PATCH)
        base = self._workspace.commit_before or self._empty_tree()
        diff = self._workspace.stream_as_agent(git(*_DIFF, base), timeout=self._calls.left(), **self._variables)
        with target.open("wb") as file:
            file.writelines(patch.passed(diff))
        for change in patch.binaries:
            self._search(change)
        left_out = Collection.of(staged.left_out)
        return Patch(target, patch.files, left_out, self._scan.findings, self._record.head)

    def _search(self, change: BinaryChange) -> None:
        before = None if _is_none(change.before) else lambda: self._blob(change.before)
        if not _is_none(change.after):
            self._scan.content(Artifact.PATCH, change.path, self._blob(change.after), before)

    def _blob(self, blob: str) -> Iterator[bytes]:
        command = git("cat-file", "blob", blob)
        return self._workspace.stream_as_agent(command, timeout=self._calls.left(), **self._variables)

    def _empty_tree(self) -> str:
        return self._run(git("hash-object", "-t", "tree", "/dev/null")).decode().strip()

    def _run(self, argv: list[str]) -> bytes:
        return self._workspace.as_agent(argv, timeout=self._calls.left(), **self._variables)


def _describe(error: subprocess.CalledProcessError) -> str:
    """Return the last line that a program printed about its failure."""
    lines = (error.stderr or b"").decode("utf-8", "replace").strip().splitlines() or ["no error was printed"]
    return f"{error.cmd[0]} ended with {error.returncode}: {lines[-1]}"


def _is_none(blob: str) -> bool:
    return not blob.strip("0")
