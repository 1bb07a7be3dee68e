"""Collects what the agent did: a patch against the commit that it began with, and what a patch cannot hold.

Runs when nothing of the agent lives any more. git works on the agent's files with the agent's rights, but with the
harness's git directory, which the agent could not write, and an index and an object store made for this one call.
What is collected beside the patch never costs the patch.
"""

import contextlib
import errno
import os
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

import structlog

from outpost.domain.artifacts import Artifact
from outpost.domain.collection import MAX_TEXT_LENGTH, Collection, KeptRef, NestedChange
from outpost.domain.findings import Findings
from worker.collection.calls import Calls
from worker.collection.commits import CommitCollector
from worker.collection.diff import write_diff
from worker.collection.inventory import Inventory, take_inventory
from worker.collection.nested import find_outside_worktrees, find_worktrees
from worker.collection.nested_trees import NestedTrees
from worker.collection.omissions import Omissions, shown, without_requested
from worker.collection.record import read_record
from worker.collection.requested import RequestedFiles
from worker.collection.staging import Staging, Tree
from worker.secret_scan import SecretScan
from worker.workspace import Workspace

_Result = TypeVar("_Result")
_NO_ROOM = (os.strerror(errno.ENOSPC).encode(), b"Out of diskspace")
"""How git reports it."""
_log = structlog.get_logger()


class CollectError(Exception):
    """The changes could not be read; the text is git's last line."""


class NoRoomError(CollectError):
    """The disk is too full to write the patch."""


@dataclass(frozen=True)
class Patch:
    """What the agent did."""

    file: Path
    files_changed: int
    more: Mapping[Artifact, Path]
    """Further artifacts: commits, edits in nested repositories."""
    collection: Collection
    """What was kept beside the patch, and what was left out."""
    findings: Findings
    """The secrets found in it. Artifacts with the value of a known one are stored as withheld."""
    commit_after: str | None


class Collector:
    """One collection; `seconds` bound all of it."""

    def __init__(self, workspace: Workspace, scan: SecretScan, seconds: float, requested: Sequence[str] = ()) -> None:
        """`requested`: patterns of files to keep as they are."""
        self._workspace = workspace
        self._requested = requested
        self._scan = scan
        self._calls = Calls(workspace, seconds)
        self._omissions = Omissions()
        self._packed: list[bytes] = []
        """The requested files that were kept."""
        self._more: dict[Artifact, Path] = {}

    def collect(self) -> Patch:
        """Write the patch as git makes it, and what else there is, and search it for secrets. Raises `CollectError`."""
        files = self._workspace.path
        try:
            if not files.is_dir() or files.is_symlink():
                raise CollectError("the workspace folder was removed or replaced")
            self._workspace.make_folders(self._calls.scratch, self._calls.scratch / "objects")
            return self._collect(files)
        except subprocess.CalledProcessError as error:
            full = any(words in (error.stderr or b"") for words in _NO_ROOM)
            raise (NoRoomError if full else CollectError)(_describe(error)) from error
        except OSError as error:
            kind = NoRoomError if error.errno == errno.ENOSPC else CollectError
            raise kind(f"the patch could not be written: {error.strerror}") from error

    def _collect(self, files: Path) -> Patch:
        calls, base = self._calls, self._workspace.commit_before
        # What the agent made unreadable for itself would be left out; what stays so is.
        with contextlib.suppress(subprocess.CalledProcessError):
            self._workspace.make_readable(calls.left())
        inventory = take_inventory(calls, files)
        record = read_record(calls, files / ".git", files, base)
        worktrees = find_worktrees(calls, files, inventory, record.submodules)
        if not record.readable:
            self._omissions.note(
                b".git/", "gone, or git cannot read it: its commits are kept as far as they are found", None
            )
        for folder in find_outside_worktrees(calls, files):
            self._omissions.note(folder + b"/", "a worktree not among the files here: only its commits are kept", None)
        tree = Tree(b"", files, record, base, "index", files / ".git", self._workspace.began_sparse)
        submodules = Staging(calls, tree, inventory, worktrees, self._omissions).stage()
        target = self._place(Artifact.PATCH)
        with target.open("wb") as file:
            changed = write_diff(calls, tree, self._scan, Artifact.PATCH, file)
        refs = self._further("commits", tuple[KeptRef, ...](), partial(self._collect_commits, tree))
        nested = NestedTrees(calls, files, inventory, worktrees, self._omissions)
        changes = self._further("submodules", list[NestedChange](), partial(self._write_nested, nested, submodules))
        if self._requested:
            self._further("requested files", None, partial(self._pack_requested, tree, inventory))
        return Patch(
            file=target,
            files_changed=changed,
            more=self._more,
            collection=Collection.of(without_requested(self._omissions.entries(), self._packed), refs, changes),
            findings=self._scan.findings,
            commit_after=tree.record.head,
        )

    def _place(self, artifact: Artifact) -> Path:
        return self._workspace.private / artifact

    def _further(self, what: str, nothing: _Result, collect: Callable[[], _Result]) -> _Result:
        """Return what `collect` does; should it fail, `nothing`, and a note: the patch is there in any case."""
        try:
            return collect()
        except subprocess.CalledProcessError as error:
            _log.warning("not collected", what=what, error=_describe(error))
            reason = "git cannot read it, or took too long"
        except (OSError, EOFError, ValueError) as error:
            _log.warning("not collected", what=what, error=repr(error))
            reason = f"could not be kept: {getattr(error, 'strerror', None) or 'git ended early'}"
        self._omissions.note(os.fsencode(what), reason[:MAX_TEXT_LENGTH], None)
        return nothing

    def _collect_commits(self, tree: Tree) -> tuple[KeptRef, ...]:
        target = self._place(Artifact.COMMITS)
        collector = CommitCollector(self._calls, tree.files, tree.record.objects, target, self._omissions)
        refs = collector.collect()
        if refs:
            collector.search(self._scan)
            self._more[Artifact.COMMITS] = target
        return refs

    def _pack_requested(self, tree: Tree, inventory: Inventory) -> None:
        requested = RequestedFiles(self._calls, tree.files, tree.index, inventory.unfit, self._omissions)
        target = self._place(Artifact.COLLECTED)
        found = requested.find(self._requested)
        if found:
            requested.pack(found, target, self._scan)
            self._more[Artifact.COLLECTED] = target
            self._packed = found

    def _write_nested(self, nested: NestedTrees, submodules: Mapping[bytes, bytes | None]) -> list[NestedChange]:
        target, changes = self._place(Artifact.NESTED), list[NestedChange]()
        target.write_bytes(b"")
        for kind, tree in nested.walk(submodules):
            if count := self._further(os.fsdecode(tree.path), 0, partial(self._append, tree, target)):
                if submodules.get(tree.path) is None:  # the folder is the agent's, and in the patch's paths
                    self._scan.name(Artifact.NESTED, tree.path)
                changes.append(NestedChange(path=shown(tree.path), kind=kind, base=tree.base, files_changed=count))
        if changes:
            self._more[Artifact.NESTED] = target
        return changes

    def _append(self, tree: Tree, target: Path) -> int:
        """Append the changes of a nested repository; what cannot be written as a whole is not."""
        begin = target.stat().st_size
        try:
            with target.open("ab") as file:
                return write_diff(self._calls, tree, self._scan, Artifact.NESTED, file)
        except BaseException:
            os.truncate(target, begin)  # with the file closed: on a full disk its buffer could not be emptied
            raise


def _describe(error: subprocess.CalledProcessError) -> str:
    """Return the last line that a program printed about its failure."""
    lines = (error.stderr or b"").decode("utf-8", "replace").strip().splitlines() or ["no error was printed"]
    return f"{error.cmd[0]} ended with {error.returncode}: {lines[-1]}"
