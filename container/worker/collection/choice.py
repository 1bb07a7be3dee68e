"""Which of the files that an agent made are its results: pure decisions."""

from collections import Counter, defaultdict
from collections.abc import Collection as Sized
from collections.abc import Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from typing import NamedTuple

from outpost.domain.collection import LeftOut
from worker.collection.inventory import MAX_FILE_BYTES, Inventory
from worker.collection.leftovers import Leftover, leftover
from worker.lines import printable

MOST_NEW_FILES = 50_000
MAX_NEW_BYTES = 2**30
"""Of all new files together."""
IGNORED = "ignored by the repository"
REFUSED = "git refuses names like its own"
HISTORY = "history of a repository of its own, whose files are in the patch"


class Choice(NamedTuple):
    """What goes into the patch, and what does not."""

    kept: list[bytes]
    left_out: list[LeftOut]


def place(path: bytes, reason: str, files: int | None = 1) -> LeftOut:
    """Return an entry of what was left out."""
    return LeftOut(path=printable(path.replace(b"\n", b"?"))[:256], reason=reason, files=files)


def unfit(path: bytes, inventory: Inventory) -> str | None:
    """Return why no patch can hold what stands at `path`, or None."""
    if path in inventory.large:
        return f"larger than {MAX_FILE_BYTES >> 20} MiB"
    return inventory.unfit.get(path)


def without_leftovers(
    paths: Iterable[bytes], forced: AbstractSet[bytes], prefix: bytes, inventory: Inventory
) -> tuple[list[bytes], list[tuple[bytes, Leftover]]]:
    """Return new files, and those of them that programs left behind.

    `forced`: files that the repository ignores and that the agent added or committed all the same; they are wanted.
    `prefix`: of the folder that the paths are below.
    """
    kept, left = list[bytes](), list[tuple[bytes, Leftover]]()
    for path in paths:
        found = None if path in forced else leftover(prefix + path, inventory.caches, inventory.environments)
        if found is None:
            kept.append(path)
        else:
            left.append((path, found))
    return kept, left


def choose(new: Mapping[bytes, int], base: Sized[bytes], prefix: bytes, inventory: Inventory) -> Choice:
    """Return those new files (path -> bytes) that a patch can hold, and that are not too many or too much together.

    `base`: the files that were there at the beginning. Beyond a limit whole folders go, those with the most first: a
    folder that is new, or the files of one kind that were added to an old one.
    """
    left_out = [place(prefix + path, reason) for path in new if (reason := unfit(prefix + path, inventory))]
    fit = {path: size for path, size in new.items() if unfit(prefix + path, inventory) is None}
    if len(fit) <= MOST_NEW_FILES and sum(fit.values()) <= MAX_NEW_BYTES:
        return Choice(sorted(fit), left_out)
    old = {folder for path in base for folder in _folders(path)}
    groups: dict[bytes, list[bytes]] = defaultdict(list)
    for path in fit:
        groups[_group(path, old)].append(path)
    counts = {group: len(paths) for group, paths in groups.items()}
    sizes = {group: sum(fit[path] for path in paths) for group, paths in groups.items()}
    for measure, limit, reason in (
        (counts, MOST_NEW_FILES, f"more than {MOST_NEW_FILES:,} new files"),
        (sizes, MAX_NEW_BYTES, f"more than {MAX_NEW_BYTES >> 20:,} MiB of new files"),
    ):
        excess = sum(measure[group] for group in groups) - limit
        for group in sorted(groups, key=lambda group: measure[group], reverse=True):
            if excess > 0:
                excess -= measure[group]
                left_out.append(place(prefix + group, reason, len(groups.pop(group))))
    return Choice(sorted(path for paths in groups.values() for path in paths), left_out)


def _folders(path: bytes) -> Iterator[bytes]:
    position = path.find(b"/")
    while position >= 0:
        yield path[: position + 1]
        position = path.find(b"/", position + 1)


def _group(path: bytes, old: AbstractSet[bytes]) -> bytes:
    """Return the highest folder above a file that is new, or a pattern of its kind in an old one."""
    for folder in _folders(path):
        if folder not in old:
            return folder
    folder, slash, name = path.rpartition(b"/")
    stem, dot, kind = name.rpartition(b".")
    return folder + slash + (b"*." + kind if stem and dot else b"*")


def describe_unfit(paths: Iterable[bytes], prefix: bytes, inventory: Inventory) -> list[LeftOut]:
    """Return an entry for each path that no patch can hold; of many in one folder, one for all of a kind."""
    groups: dict[tuple[bytes, str], list[bytes]] = defaultdict(list)
    for path in sorted(paths):
        folder = path.rstrip(b"/").rpartition(b"/")[0]
        groups[folder, inventory.unfit[prefix + path]].append(path)
    entries: list[LeftOut] = []
    for (folder, reason), found in groups.items():
        if len(found) > _MOST_NAMED:
            entries.append(place(prefix + (folder and folder + b"/") + b"*", reason, len(found)))
        else:
            entries += [place(prefix + path, reason) for path in found]
    return entries


_MOST_NAMED = 20
"""Pipes, sockets and devices of one folder that are named one by one."""


def without_requested(left_out: Iterable[LeftOut], requested: Iterable[bytes]) -> list[LeftOut]:
    """Return what was left out, without the files that were asked for; of a folder with such files that is said."""
    files = {place(path, "").path for path in requested}
    folders = {file[: number + 1] for file in files for number, letter in enumerate(file) if letter == "/"}
    entries = [item for item in left_out if item.path not in files]
    return [
        item.model_copy(update={"reason": f"{item.reason}; in collected.tar.gz is what was asked for"})
        if item.path in folders
        else item
        for item in entries
    ]


def describe_leftovers(left: Iterable[tuple[bytes, Leftover]]) -> list[LeftOut]:
    """Return one entry for each place."""
    counts = Counter(found for _, found in left)
    return [place(found.place, found.reason, count) for found, count in sorted(counts.items())]


def describe_ignored(paths: Iterable[bytes], inventory: Inventory, worktrees: AbstractSet[bytes]) -> list[LeftOut]:
    """Return an entry for each file or folder (with a final slash) that the repository ignores; caches come last."""
    plain, left = list[LeftOut](), set[Leftover]()
    for path in paths:
        inside = path + b"?" if path.endswith(b"/") else path
        if found := leftover(inside, inventory.caches, inventory.environments):
            left.add(found)
        elif path.rstrip(b"/") not in worktrees:
            plain.append(place(path, IGNORED, None if path.endswith(b"/") else 1))
    return plain + [place(found.place, found.reason, None) for found in sorted(left)]
