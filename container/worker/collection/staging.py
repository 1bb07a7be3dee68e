"""Puts the files of a repository as the agent left them into an index of this collection.

The working tree is the truth: of a file that the agent committed and then changed or removed, the last state counts.
What the agent committed or put into its index although the repository ignores it belongs to the result.
"""

import os
import subprocess
from collections.abc import Iterable, Iterator
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import Path

from worker.collection.adding import add_readable
from worker.collection.calls import Calls
from worker.collection.choice import HISTORY, REFUSED, Chooser, unfit
from worker.collection.commits import copy_objects
from worker.collection.index_changes import AS_BEGAN, MODE, TAKEN_OUT, as_began, ignored, index_modes
from worker.collection.inventory import Inventory, sizes_of
from worker.collection.moved import find_moved
from worker.collection.nested import Links, plan_links
from worker.collection.omissions import Omissions
from worker.collection.paths import folders_of, is_below
from worker.collection.record import LINK, Entries, Entry, Record, parse_entries
from worker.collection.sparse import not_checked_out
from worker.git import git

_COPIES = 3
"""What a new file takes of the disk: an object, its lines in the patch, and some of a bundle."""
_DEPTH = 20
"""Repositories inside repositories."""
_MOST_EMBEDDED = 200


@dataclass(frozen=True)
class Tree:
    """A repository of the agent's: its folder, and the commit that it is compared with."""

    path: bytes
    """Below the workspace; empty for the workspace itself."""
    files: Path
    record: Record
    base: str | None
    index: str
    """Name of its index in this collection."""
    git_dir: Path
    """The agent's."""
    began_sparse: bool = False
    """Whether the agent was given the files of its root folder only."""
    stores: tuple[Path, ...] = ()
    """Object stores of the agent's that hold `base`."""
    base_is_new: bool = False
    """Whether `base` may be a commit of the agent's: what a patch shows of it is its work as well."""

    @property
    def prefix(self) -> bytes:
        """What stands before its paths below the workspace."""
        return self.path + b"/" if self.path else b""


class Staging:
    """Stages one repository."""

    def __init__(
        self, calls: Calls, tree: Tree, inventory: Inventory, worktrees: Iterable[bytes], omissions: Omissions
    ) -> None:
        """`worktrees`: folders of the workspace that are further worktrees of it."""
        self._omissions = omissions
        self._calls = calls
        self._tree = tree
        self._inventory = inventory
        self._worktrees = frozenset(path for path in worktrees if path.startswith(tree.prefix) and path != tree.path)
        self._variables = calls.variables(tree.files, tree.index, *tree.stores)
        self._embedded = 0
        self._unread: set[bytes] = set()
        """Files of the agent's index whose contents git cannot read."""

    def stage(self) -> dict[bytes, bytes | None]:
        """Fill the index. Raises `subprocess.CalledProcessError`.

        Returns the submodules that may hold edits, below the workspace -> the commit that the base names for each.
        """
        tree, prefix = self._tree, self._tree.prefix
        base = self._begin()
        not_checked_out = self._keep_what_was_not_checked_out(base)
        links = self._set_links(base, not_checked_out)
        chooser = Chooser(base, prefix, self._inventory, self._omissions)
        reasons = self._block(base)
        changed = self._changed()
        untracked = self._untrack(base, not_checked_out)
        changed = [path for path in changed if path not in untracked]
        reasons = {path: reason for path, reason in reasons.items() if path not in untracked}
        visible = [*self._new(tree.files)]
        if chooser.is_any_left_out(visible):
            chooser.keep_moved(find_moved(self._calls, tree.files, base, self._entries(), visible, self._variables))
        forced = {path for path in tree.record.added - base.keys() - set(visible) if not is_below(path, links.inside)}
        sizes = self._sizes(chooser.without_leftovers([*visible, *forced], forced))
        for path in sorted((forced & tree.record.index.keys()) - sizes.keys() - tree.record.committed.keys()):
            self._omissions.note(prefix + path, "in the index only: removed from the working tree")
        kept = chooser.choose(sizes, self._calls.room() // _COPIES)
        reasons |= self._add([*changed, *kept])
        result = self._set_modes(base, self._entries())
        refused = {path for path in changed if result.get(path) == base.get(path)} | (set(kept) - result.keys())
        reasons |= dict.fromkeys(refused - reasons.keys(), REFUSED)
        for path in sorted(tree.record.staged_only(base, result) - reasons.keys() - self._unread):
            self._omissions.note(prefix + path, "staged in another state than it has in the working tree, which counts")
        for path in self._unfit(base.keys() | sizes.keys()):
            reasons[path] = self._inventory.unfit[prefix + path]
        others = dict.fromkeys(as_began(tree.record, base, result), AS_BEGAN)
        reasons = others | dict.fromkeys(tree.record.taken_out(base) & result.keys(), TAKEN_OUT) | reasons
        for path in sorted(reasons):
            self._omissions.note(prefix + path, reasons[path])
        chooser.note_ignored(self._ignored())
        self._note_histories(base, links.inside)
        return {prefix + path: base[path].object if path in base else None for path in links.inside}

    def _keep_what_was_not_checked_out(self, base: Entries) -> AbstractSet[bytes]:
        """Mark the files that a sparse checkout left out; what the agent committed of them counts."""
        tree, record = self._tree, self._tree.record
        if tree.base is None:
            return frozenset()
        missing = set(self._git("ls-files", "--deleted", "-z").split(b"\0")) - {b""}
        kept = not_checked_out(self._calls, tree.git_dir, tree.files, record, missing, began_sparse=tree.began_sparse)
        if kept:
            unseen = {
                path: record.index[path]
                for path in (kept | record.skipped) & record.index.keys()
                if record.index[path] != base.get(path) and record.index[path].mode != LINK
            }
            unseen = dict(self._copied([*unseen.items()]))
            lines = (b"%s %s\t%s\0" % (entry.mode, entry.object, path) for path, entry in unseen.items())
            self._feed(["update-index", "-z", "--index-info"], lines)
            self._feed(
                ["update-index", "-z", "--skip-worktree", "--stdin"],
                (path + b"\0" for path in sorted(kept | unseen.keys())),
            )
        return kept

    def _copied(self, unseen: list[tuple[bytes, Entry]]) -> list[tuple[bytes, Entry]]:
        """Copy the contents of files that only the agent's object store has; return those that git could read."""
        try:
            copy_objects(self._calls, self._tree.record.objects, {entry.object for _, entry in unseen})
        except subprocess.CalledProcessError:
            if len(unseen) > 1:
                middle = len(unseen) // 2
                return [*self._copied(unseen[:middle]), *self._copied(unseen[middle:])]
            self._unread.add(unseen[0][0])
            self._omissions.note(self._tree.prefix + unseen[0][0], "in the index, with a content that git cannot read")
            return []
        return unseen

    def _begin(self) -> Entries:
        if self._tree.base is not None:
            self._git("read-tree", self._tree.base)
        return self._entries()

    def _entries(self) -> Entries:
        return dict(parse_entries(self._calls.records(self._command("ls-files", "--stage", "-z"), **self._variables)))

    def _set_links(self, base: Entries, skipped: AbstractSet[bytes]) -> Links:
        """Put the submodules into the index."""
        missing = set(self._git("ls-files", "--deleted", "-z").split(b"\0"))
        # A file or a link in place of a submodule is not missing to git.
        missing |= self._sizes([path for path, entry in base.items() if entry.mode == LINK]).keys()
        zero = b"0" * len(self._tree.base or "0" * 40)
        links = plan_links(base, self._tree.record, self._populated(), missing, skipped, width=len(zero))
        lines = (
            b"%s %s\t%s\0" % (LINK if commit else b"0", commit or zero, path) for path, commit in links.entries.items()
        )
        self._feed(["update-index", "-z", "--index-info"], lines)
        return links

    def _populated(self) -> dict[bytes, bytes | None]:
        """Return the folders directly of this repository that hold one of their own -> the commit checked out there."""
        prefix, found = self._tree.prefix, dict[bytes, bytes | None]()
        known = {path for path, entry in self._entries().items() if entry.mode == LINK} | self._tree.record.modules
        for path in known:
            if prefix + path in self._inventory.repositories and prefix + path not in self._worktrees:
                folder = self._calls.workspace.path / _path(prefix + path)
                head = self._calls.ask(folder / ".git", folder, "rev-parse", "--verify", "--quiet", "HEAD^{commit}")
                found[path] = head.strip() if head else None
        return found

    def _block(self, base: Entries) -> dict[bytes, str]:
        """Keep git from reading what stands in place of a tracked file and is none; returns the reasons."""
        prefix = self._tree.prefix
        reasons = {path: reason for path in base if (reason := unfit(prefix + path, self._inventory))}
        # A submodule that was replaced, and files that a new one replaces, are no files of the index any more.
        compared = reasons.keys() & {path for path, entry in self._entries().items() if entry.mode != LINK}
        large = [path for path in compared if prefix + path in self._inventory.large]
        for path, size in self._blob_sizes(large, base).items():
            if size == self._inventory.large[prefix + path]:  # as large as before: it is compared
                del reasons[path]
        mark = ["update-index", "-z", "--assume-unchanged", "--stdin"]
        self._feed(mark, (path + b"\0" for path in sorted(compared & reasons.keys())))
        return reasons

    def _blob_sizes(self, paths: list[bytes], base: Entries) -> dict[bytes, int]:
        return {path: int(self._git("cat-file", "-s", base[path].object.decode())) for path in paths}

    def _changed(self) -> list[bytes]:
        """Take removed files out of the index, and return the tracked ones that were changed."""
        self._git("update-index", "-q", "--refresh", "--ignore-submodules")
        listed = self._git("diff-files", "--name-status", "--no-renames", "--ignore-submodules=all", "-z").split(b"\0")
        changes = dict(zip(listed[1::2], listed[::2], strict=False))
        # A repository in place of a file is another type to git, and nothing to add: its files are.
        others = [path for path, status in changes.items() if status == b"T"]
        removed = set(others) - self._sizes(others).keys()
        removed |= {path for path, status in changes.items() if status == b"D"}
        self._feed(["update-index", "-z", "--force-remove", "--stdin"], (path + b"\0" for path in sorted(removed)))
        return [path for path in changes if path not in removed]

    def _untrack(self, base: Entries, not_checked_out: AbstractSet[bytes]) -> AbstractSet[bytes]:
        """Take the files out of the index that the agent took out of its own and that the repository ignores now."""
        gone = self._tree.record.taken_out(base) - not_checked_out
        present = sorted(gone & self._entries().keys()) if gone else []
        untracked = ignored(self._calls, self._tree.files, present, self._variables)
        self._feed(["update-index", "-z", "--force-remove", "--stdin"], (path + b"\0" for path in sorted(untracked)))
        return untracked

    def _set_modes(self, base: Entries, result: Entries) -> Entries:
        """Give files the modes that they have in the agent's index alone; returns the index."""
        modes = dict(index_modes(self._tree.record, base, result))
        lines = (b"%s %s\t%s\0" % (entry.mode, entry.object, path) for path, entry in modes.items())
        self._feed(["update-index", "-z", "--index-info"], lines)
        for path in sorted(modes):
            self._omissions.note(self._tree.prefix + path, MODE)
        return result | modes

    def _new(self, files: Path, below: bytes = b"", depth: int = 0) -> Iterator[bytes]:
        """Yield the new files that no rule ignores, those of repositories that are only files as well."""
        variables = self._variables | {"GIT_WORK_TREE": files}
        if below:
            variables["GIT_INDEX_FILE"] = self._calls.scratch / "no-index"
        listing = git("-C", str(files), "ls-files", "--others", "--exclude-standard", "-z")
        for path in self._calls.records(listing, **variables):
            whole = self._tree.prefix + below + path
            if is_below(whole + b"/", self._worktrees):  # git does not see it where the workspace has moved
                continue
            if not path.endswith(b"/"):
                yield below + path
            elif depth == _DEPTH or self._embedded == _MOST_EMBEDDED:
                self._omissions.note(whole, "in more repositories than are looked at", None)
            else:
                self._embedded += 1
                self._omissions.note(whole + b".git", HISTORY, None)
                yield from self._new(files / _path(path), below + path, depth + 1)

    def _note_histories(self, base: Entries, submodules: Iterable[bytes]) -> None:
        """Note repositories that the agent made in folders with tracked files, which git lists as this one's."""
        tracked, prefix = folders_of(base), self._tree.prefix
        others = self._inventory.repositories.keys() - self._worktrees - {prefix + path for path in submodules}
        found = [path for path in others if path.startswith(prefix) and path.removeprefix(prefix) + b"/" in tracked]
        for path in sorted(found)[:_MOST_EMBEDDED]:
            folder = self._calls.workspace.path / _path(path)
            if self._calls.ask(folder / ".git", folder, "rev-parse", "--verify", "--quiet", "HEAD^{commit}"):
                self._omissions.note(path + b"/.git", HISTORY, None)

    def _ignored(self) -> Iterator[bytes]:
        listing = self._command("ls-files", "--others", "--ignored", "--exclude-standard", "--directory", "-z")
        records = self._calls.records(listing, **self._variables)
        return (path for path in records if not is_below(self._tree.prefix + path + b"/", self._worktrees))

    def _unfit(self, seen: AbstractSet[bytes]) -> list[bytes]:
        """Return what else no patch can hold, unless the repository ignores it or it is another repository's."""
        prefix, others = self._tree.prefix, self._inventory.repositories.keys() - {self._tree.path}
        below = (path.removeprefix(prefix) for path in self._inventory.unfit if path.startswith(prefix))
        found = [path for path in below if path not in seen and not is_below(prefix + path, others)]
        left = ignored(self._calls, self._tree.files, found, self._variables)
        return [path for path in found if path not in left]

    def _sizes(self, paths: list[bytes]) -> dict[bytes, int]:
        return sizes_of(self._calls, self._tree.files, paths)

    def _add(self, paths: list[bytes]) -> dict[bytes, str]:
        """Bring the index up to the files; returns those that could not be read, and why."""
        command = self._command("update-index", "-z", "--add", "--remove", "--replace", "--stdin")
        return add_readable(self._calls, command, paths, self._variables)

    def _command(self, *arguments: str) -> list[str]:
        return git("-C", str(self._tree.files), *arguments)

    def _git(self, *arguments: str) -> bytes:
        return self._calls.run(self._command(*arguments), **self._variables)

    def _feed(self, arguments: list[str], data: Iterable[bytes]) -> None:
        self._calls.feed(self._command(*arguments), data, **self._variables)


def _path(name: bytes) -> Path:
    return Path(os.fsdecode(name))
