"""Repositories inside the workspace: which are submodules, which are worktrees of the workspace's own repository.

Any other is files like all others, without its history: as a submodule that no `.gitmodules` names (which is what
`git add` would make of it) nobody could fetch it.
"""

import os.path
import re
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from pathlib import Path

from worker.collection.calls import Calls
from worker.collection.inventory import Inventory, tolerant
from worker.collection.record import LINK, Entries, Record

_MAX_LINK_BYTES = 8 * 1024
"""Of a `.git` file."""
_POINTER = b"gitdir: "


def find_worktrees(calls: Calls, root: Path, inventory: Inventory, submodules: AbstractSet[bytes]) -> dict[bytes, Path]:
    """Return the folders that are further worktrees of the workspace's repository, or of one of its submodules.

    Each with its git directory.
    """
    links = [folder for folder, size in inventory.repositories.items() if 0 <= size <= _MAX_LINK_BYTES]
    if not links:
        return {}
    listed = calls.list_file(bytes(root) + b"/" + folder + b"/.git" for folder in sorted(links))
    # Alternately a path and the file's content.
    grep = ["grep", "--null-data", "--null", "--with-filename", "--text", "--max-count=1", "-e", "^gitdir: ", "--"]
    fields = [*tolerant(calls.records(["xargs", "-0", "-a", str(listed), *grep]))]
    found: dict[bytes, Path] = {}
    for file, content in zip(fields[::2], fields[1::2], strict=False):
        folder = file.removeprefix(bytes(root) + b"/").removesuffix(b"/.git")
        if git_dir := _worktree_dir(folder, content, bytes(root), submodules):
            found[folder] = root / os.fsdecode(git_dir)
    return found


def find_outside_worktrees(calls: Calls, root: Path) -> list[bytes]:
    """Return the folders of the repository's worktrees that are there and not among the workspace's files."""
    listed = calls.ask(root / ".git", root, "worktree", "list", "--porcelain", "-z") or b""
    worktrees = [worktree.split(b"\0") for worktree in listed.split(b"\0\0")[1:] if worktree]
    folders = (
        lines[0].removeprefix(b"worktree ")
        for lines in worktrees
        if not any(line.startswith(b"prunable") for line in lines)
    )
    inside = bytes(root.resolve()) + b"/"
    return [folder for folder in folders if not folder.startswith(inside) or folder.startswith(inside + b".git/")]


def _worktree_dir(folder: bytes, content: bytes, root: bytes, submodules: AbstractSet[bytes]) -> bytes | None:
    """Return the git directory of a worktree below the workspace, or None when the folder is no worktree of these.

    A persistent workspace has another root in each run, with the same last folder, and git writes absolute paths.
    """
    target = content.removeprefix(_POINTER).split(b"\n")[0].rstrip(b"\r")
    path = os.path.normpath(os.path.join(root, folder, target))  # noqa: PTH118 - bytes
    before, _, below = path.rpartition(b"/" + os.path.basename(root) + b"/")  # noqa: PTH119 - bytes
    if path.startswith(root + b"/"):
        below = path.removeprefix(root + b"/")
    elif root in before:
        return None
    match = _WORKTREE.fullmatch(below)
    return below if match and (not match[1] or match[1] in submodules) else None


_WORKTREE = re.compile(rb"(?:(.+)/)?\.git/(?:modules/.+/)?worktrees/[^/]+", re.DOTALL)
"""Below the workspace: of its own repository, of a submodule that git keeps in it, or of one with a folder `.git`."""


@dataclass(frozen=True)
class Links:
    """What becomes of the submodules of one repository."""

    entries: Mapping[bytes, bytes | None] = field(default_factory=dict)
    """Changed entries: path -> commit, or None for a submodule that was removed."""
    inside: tuple[bytes, ...] = ()
    """Those that stay, whose folders may hold edits."""


def plan_links(
    base: Entries,
    record: Record,
    populated: Mapping[bytes, bytes | None],
    missing: AbstractSet[bytes],
    not_checked_out: AbstractSet[bytes],
    width: int = 40,
) -> Links:
    """Decide on submodules as `git add --all` would, except that a folder that was never filled says nothing.

    `populated`: folders with a repository of their own -> the commit that is checked out there.
    `width`: characters of the repository's object names: it can name no commit of another object format.
    """
    populated = {path: commit if commit and len(commit) == width else None for path, commit in populated.items()}
    entries: dict[bytes, bytes | None] = {}
    inside: list[bytes] = []
    taken_out = record.taken_out(base)
    for path in sorted({path for path, entry in base.items() if entry.mode == LINK} - not_checked_out):
        before = base[path].object
        recorded = record.link(path, width)
        replaced = record.continues and path in record.index and record.index[path].mode != LINK
        if path in missing or path in taken_out or replaced:
            entries[path] = None
            continue
        inside.append(path)
        # What is checked out counts, unless it is still the old one: then a new one in index or commit does.
        now = populated.get(path) or before
        after = now if now != before else next((commit for commit in recorded if commit != before), before)
        if after != before:
            entries[path] = after
    new = {path for path in record.modules - base.keys() if path in populated or record.link(path, width)}
    for path in sorted(new):
        commit = populated.get(path) or next(iter(record.link(path, width)), None)
        if commit is not None:
            entries[path] = commit
            inside.append(path)
    return Links(entries, tuple(inside))
