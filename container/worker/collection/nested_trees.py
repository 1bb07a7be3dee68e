"""Edits inside submodules, and what is not committed in further worktrees: each compared with a commit of its own."""

import os
import subprocess
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Literal

from worker.collection.calls import Calls
from worker.collection.inventory import Inventory, tolerant
from worker.collection.omissions import Omissions
from worker.collection.paths import is_below
from worker.collection.record import Record, read_record
from worker.collection.staging import Staging, Tree

MOST_NESTED = 100
_MOST_REMOTES = 100
_LEAST_SECONDS = 5.0
"""Less than this before the deadline, no other repository is begun."""

Kind = Literal["submodule", "worktree"]
_ELSEWHERE = "{} commits of a submodule that only its other branches, stashes or reflogs have: they are not kept"
_UNREADABLE_WORKTREE = "a worktree that git cannot read: compared with the commit that the run began with"
_UNPUBLISHED = "a submodule with commits that its remote does not have; nested.patch holds their changes"


class NestedTrees:
    """Walks through the repositories inside the workspace that are not its files."""

    def __init__(
        self, calls: Calls, root: Path, inventory: Inventory, worktrees: Mapping[bytes, Path], omissions: Omissions
    ) -> None:
        """`worktrees`: folders of further worktrees -> their git directories."""
        self._calls = calls
        self._root = root
        self._inventory = inventory
        self._worktrees = worktrees
        self._omissions = omissions
        self._seen: set[bytes] = set()
        """Git directories of the submodules that were looked at."""
        self._new: set[bytes] = set()
        """Submodules that may be the agent's: so is what they name."""

    def walk(self, submodules: Mapping[bytes, bytes | None]) -> Iterator[tuple[Kind, Tree]]:
        """Yield each repository with its files staged.

        `submodules`: of the workspace itself -> the commit that the base names for each.
        """
        waiting = deque[tuple[Kind, bytes, bytes | None]](("worktree", path, None) for path in sorted(self._worktrees))
        waiting.extend(self._with_files(submodules))
        for number in range(1, MOST_NESTED + 1):
            if not waiting or self._calls.left() < _LEAST_SECONDS:
                break
            kind, path, pointer = waiting.popleft()
            tree = self._tree(kind, path, pointer, f"index-{number}")
            try:
                found = Staging(self._calls, tree, self._inventory, self._worktrees, self._omissions).stage()
            except subprocess.CalledProcessError:
                self._omissions.note(path + b"/", f"a {kind} that git cannot read", None)
                continue
            # Pointers in a commit of the agent's are no commits that others have.
            waiting.extend(self._with_files(_named_in_base(found, path, submodules) if kind == "worktree" else found))
            yield kind, tree
        for kind, path, _ in waiting:
            self._omissions.note(path + b"/", f"a {kind} that was not looked at", None)
        self._note_emptied(submodules)

    def _note_emptied(self, submodules: Mapping[bytes, bytes | None]) -> None:
        """Note commits of submodules whose folders are empty again: git keeps their repositories."""
        modules = self._root.resolve() / ".git" / "modules"
        found = ["find", str(modules), "-name", "HEAD", "-type", "f", "!", "-path", "*/logs/*", "-printf", r"%h\0"]
        for git_dir in sorted(set(tolerant(self._calls.records(found))))[:MOST_NESTED]:
            name = git_dir.removeprefix(bytes(modules) + b"/")
            if git_dir not in self._seen and b"/worktrees/" not in name:
                pointer = submodules.get(name)
                base = pointer.decode("ascii", "replace") if pointer else None
                self._note_other_commits(Path(os.fsdecode(git_dir)), self._root, b".git/modules/" + name, base, "HEAD")

    def _with_files(self, submodules: Mapping[bytes, bytes | None]) -> Iterator[tuple[Kind, bytes, bytes | None]]:
        """Yield the submodules whose folders are not empty."""
        if not submodules:
            return
        root = bytes(self._root) + b"/"
        listed = self._calls.list_file(root + path for path in submodules)
        look = r'find "$@" -mindepth 1 -maxdepth 1 -printf "%H\0"'
        command = ["xargs", "-0", "-a", str(listed), "sh", "-c", look, "sh"]
        for path in sorted(set(tolerant(self._calls.records(command)))):
            yield "submodule", path.removeprefix(root), submodules[path.removeprefix(root)]

    def _tree(self, kind: Kind, path: bytes, pointer: bytes | None, index: str) -> Tree:
        files = self._root / os.fsdecode(path)
        if kind == "worktree":
            return self._worktree(path, files, index)
        git_dir = files / ".git"
        if path not in self._inventory.repositories:
            return Tree(path, files, Record(), None, index, git_dir)
        if where := self._calls.ask(git_dir, files, "rev-parse", "--absolute-git-dir"):
            self._seen.add(where.removesuffix(b"\n"))
        base = self._published(git_dir, files, pointer)
        record = read_record(self._calls, git_dir, files, base)
        if record.head != base and record.head is not None:
            self._omissions.note(path, _UNPUBLISHED, None)
        self._note_other_commits(git_dir, files, path, base)
        # What its remotes have is the agent's claim: they may be folders of its own.
        is_new = base is not None and (base.encode() != pointer or is_below(path, self._new))
        self._new |= {path} if is_new else set()
        return Tree(path, files, record, base, index, git_dir, stores=(record.objects,), base_is_new=is_new)

    def _worktree(self, path: bytes, files: Path, index: str) -> Tree:
        """Return a worktree with its own commit to compare with; one on a new branch without commits has none."""
        workspace, git_dir = self._calls.workspace, self._worktrees[path]
        record = read_record(self._calls, git_dir, files, None)
        began_sparse = workspace.began_sparse
        if record.readable:
            record = replace(record, continues=record.head is not None and bool(record.index))
            stores = (record.objects,)
            is_new = record.head is not None and not self._is_in_clone(record.head)
            return Tree(path, files, record, record.head, index, git_dir, began_sparse, stores, is_new)
        base = workspace.commit_before if git_dir.parent.parent == self._root / ".git" else None
        self._omissions.note(path + b"/", _UNREADABLE_WORKTREE, None)
        return Tree(path, files, Record(), base, index, git_dir, began_sparse)

    def _is_in_clone(self, commit: str) -> bool:
        git_dir = self._calls.workspace.git_dir
        return self._calls.ask(git_dir, self._root, "cat-file", "-e", f"{commit}^{{commit}}") is not None

    def _note_other_commits(self, git_dir: Path, files: Path, path: bytes, base: str | None, *heads: str) -> None:
        """Note commits that neither the submodule's remote has nor `nested.patch`.

        `heads`: what is checked out, unless the patch has its changes.
        """
        ours = ("--branches", "--glob=refs/stash", "--reflog", *heads)
        known = (*(() if heads else ("HEAD",)), *((base,) if base else ()))
        command = ("rev-list", "--count", "--ignore-missing", *ours, "--not", "--remotes", *known)
        count = self._calls.ask(git_dir, files, *command)
        if count and int(count):
            self._omissions.note(path, _ELSEWHERE.format(int(count)), None)

    def _published(self, git_dir: Path, files: Path, pointer: bytes | None) -> str | None:
        """Return the last commit of a submodule that others have too: of its remote, or that the repository names."""
        remotes = self._calls.ask(git_dir, files, "for-each-ref", "--format=%(objectname)", "refs/remotes") or b""
        known = [name.decode("ascii", "replace") for name in remotes.split()[:_MOST_REMOTES]]
        named = pointer.decode("ascii", "replace") if pointer else None
        if named and self._calls.ask(git_dir, files, "cat-file", "-e", f"{named}^{{commit}}") is not None:
            known.append(named)
        else:
            named = None
        found = self._calls.ask(git_dir, files, "merge-base", "HEAD", *known) if known else None
        return found.decode("ascii", "replace").strip() if found else named


def _named_in_base(
    inside: Iterable[bytes], worktree: bytes, submodules: Mapping[bytes, bytes | None]
) -> dict[bytes, bytes | None]:
    """Return the submodules of a worktree -> the commit that the base of the workspace names at the same place."""
    return {path: submodules.get(path.removeprefix(worktree + b"/")) for path in inside}
