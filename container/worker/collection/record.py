"""What the agent's own git directory has on record: its index and the commit that it is on."""

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from worker.collection.calls import Calls

LINK = b"160000"
"""The mode of a submodule's entry: its object is a commit of another repository."""


class Entry(NamedTuple):
    """A file of an index or a commit."""

    mode: bytes
    object: bytes


Entries = dict[bytes, Entry]

_EMPTY = (
    b"e69de29bb2d1d6434b8b29ae775ad8c2e48c5391",
    b"473a0f4c3be8a93681a267e3b1e9a7dcda1185436fe141f7749120a303721813",
)
"""The object of an empty file, by SHA-1 and by SHA-256."""


@dataclass(frozen=True)
class Record:
    """What can be read of it; a damaged git directory has nothing on record."""

    readable: bool = False
    """Whether there is a git directory that git can read."""
    objects: Path = Path("/nonexistent")
    """Its object store."""
    head: str | None = None
    """The commit that the agent is on."""
    has_index: bool = False
    """Whether there is an index that can be read."""
    index: Entries = field(default_factory=dict)
    skipped: frozenset[bytes] = frozenset()
    """Files of the index that a sparse checkout left out."""
    conflicts: frozenset[bytes] = frozenset()
    """Files of the index with more than one state: those of the commits that are being merged."""
    committed: Entries = field(default_factory=dict)
    """Files of `head`."""
    modules: frozenset[bytes] = frozenset()
    """Folders that `.gitmodules` names."""
    continues: bool = False
    """Whether the git directory still has the commit that the run began with, so that its index says what was removed.
    """

    @property
    def added(self) -> set[bytes]:
        """The files that the agent has in its index or committed."""
        return {path for each in (self.index, self.committed) for path in each if each[path].mode != LINK}

    def taken_out(self, base: Entries) -> set[bytes]:
        """Return the files and submodules of `base` that the index does not have any more.

        An index without any of them was made anew: then only what `head` does not have either counts.
        """
        if not self.continues:
            return set()
        gone = base.keys() - self.index.keys()
        return gone - self.committed.keys() if base.keys().isdisjoint(self.index) else gone

    def staged_only(self, base: Entries, result: Entries) -> set[bytes]:
        """Return the files of which the agent's index holds contents that are neither in a commit nor in `result`."""
        kept = {entry.object for each in (base, self.committed, result) for entry in each.values()}
        return {
            path
            for path, entry in self.index.items()
            if path in result
            and entry.mode != LINK
            and path not in self.conflicts
            and entry.object not in _EMPTY  # also of `git add --intent-to-add`
            and entry.object not in kept
        }

    @property
    def submodules(self) -> set[bytes]:
        """The folders of submodules."""
        links = {path for each in (self.index, self.committed) for path in each if each[path].mode == LINK}
        return links | self.modules

    def link(self, path: bytes, width: int) -> list[bytes]:
        """Return the commits that index and commit name for a submodule, with names of `width` characters.

        Of a conflict the commit's counts.
        """
        found = ({} if path in self.conflicts else self.index).get(path), self.committed.get(path)
        return [entry.object for entry in found if entry and entry.mode == LINK and len(entry.object) == width]


def read_record(calls: Calls, git_dir: Path, files: Path, base: str | None) -> Record:
    """Read what the agent's git directory `git_dir` says about `files`."""
    head = calls.ask(git_dir, files, "rev-parse", "--verify", "--quiet", "HEAD^{commit}")
    name = head.decode("ascii", "replace").strip() if head else None
    index = calls.ask(git_dir, files, "ls-files", "-t", "--stage", "-z")
    listed = (index or b"").split(b"\0")
    tree = calls.ask(git_dir, files, "ls-tree", "-r", "-z", "--full-tree", name) if name else None
    continues = base is not None and calls.ask(git_dir, files, "cat-file", "-e", f"{base}^{{tree}}") is not None
    modules = calls.ask(git_dir, files, *_MODULES, "--file", str(files / ".gitmodules"), *_PATHS) or b""
    objects = calls.ask(git_dir, files, "rev-parse", "--git-path", "objects")
    if objects is None:
        return Record(objects=git_dir / "objects")
    return Record(
        readable=True,
        objects=files / os.fsdecode(objects.removesuffix(b"\n")),
        head=name,
        has_index=index is not None,
        index=dict(parse_entries(line[2:] for line in listed)),
        skipped=frozenset(_tagged(b"S ", listed)),
        conflicts=frozenset(_tagged(b"M ", listed)),
        committed=dict(parse_entries((tree or b"").split(b"\0"))),
        modules=frozenset(filter(_is_inside, (pair.partition(b"\n")[2].rstrip(b"/") for pair in modules.split(b"\0")))),
        continues=continues and bool(index),
    )


def _tagged(tag: bytes, listed: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the files with a tag of `ls-files -t`."""
    return (line.partition(b"\t")[2] for line in listed if line.startswith(tag))


_MODULES = ("config", "--no-includes", "-z")
_PATHS = ("--get-regexp", r"^submodule\..*\.path$")


def parse_entries(records: Iterable[bytes]) -> Iterator[tuple[bytes, Entry]]:
    """Yield path and entry of the lines of `ls-files --stage` (mode, object, stage) or `ls-tree` (mode, type, object).

    Of a conflict the last stage counts. Paths that lead elsewhere, which only a forged index or tree has, are skipped.
    """
    for record in records:
        meta, tab, path = record.partition(b"\t")
        if tab and _is_inside(path):
            mode, second, third = meta.split(b" ")
            yield path, Entry(mode, third if len(third) > 1 else second)


def _is_inside(path: bytes) -> bool:
    return not {b"", b".", b"..", b".git"} & set(path.split(b"/"))
