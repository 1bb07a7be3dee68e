"""Which of the files that an agent made are its results: pure decisions."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet

from worker.collection.inventory import MAX_FILE_BYTES, Inventory
from worker.collection.leftovers import Leftover, leftover
from worker.collection.omissions import Omissions, Rank
from worker.collection.paths import folders_above, folders_of

MOST_NEW_FILES = 50_000
MAX_NEW_BYTES = 2**30
"""Of all new files together."""
IGNORED = "ignored by the repository"
REFUSED = "git refuses names like its own"
HISTORY = "history of a repository of its own, whose files are collected like all others"


def unfit(path: bytes, inventory: Inventory) -> str | None:
    """Return why no patch can hold what stands at `path`, or None."""
    if path in inventory.large:
        return f"larger than {MAX_FILE_BYTES >> 20} MiB"
    return inventory.unfit.get(path)


class Chooser:
    """Decides for one repository; what it leaves out it notes in `omissions`."""

    def __init__(self, base: Iterable[bytes], prefix: bytes, inventory: Inventory, omissions: Omissions) -> None:
        """`base`: the files that were there at the beginning; `prefix`: of the repository below the workspace."""
        self._old = folders_of(base)
        self._prefix = prefix
        self._inventory = inventory
        self._omissions = omissions
        self._moved: AbstractSet[bytes] = frozenset()

    def is_any_left_out(self, paths: Iterable[bytes]) -> bool:
        """Return whether a new file is left out, unless the repository had it at another place."""
        return any(self._leftover(path) or self._prefix + path in self._inventory.large for path in paths)

    def keep_moved(self, moved: Mapping[bytes, bytes]) -> None:
        """Take these new files, which were moved (path -> path before), for the repository's own.

        So is all that is beside one in a folder of leftovers that was moved with it: of the same name, with the file at
        the same path below it.
        """
        for path, origin in moved.items():
            if (found := self._leftover(path)) and found.place.endswith(b"/"):
                above = found.place[:-1].rpartition(b"/")[0]
                below = (b"/" + self._prefix + path).removeprefix(b"/" + above if above else b"")
                if (b"/" + self._prefix + origin).endswith(below):
                    self._old.add(found.place.removeprefix(self._prefix))
        self._moved = moved.keys()

    def without_leftovers(self, paths: Iterable[bytes], forced: AbstractSet[bytes]) -> list[bytes]:
        """Return new files without those that programs left behind.

        `forced`: files that the repository ignores and that the agent added or committed all the same: it wants them.
        """
        kept, left = list[bytes](), Counter[Leftover]()
        for path in paths:
            found = None if path in forced or path in self._moved else self._leftover(path)
            if found is None:
                kept.append(path)
            else:
                left[found] += 1
        for found, count in sorted(left.items()):
            self._omissions.note(found.place, found.reason, count, Rank.LEFTOVER)
        return kept

    def _leftover(self, path: bytes) -> Leftover | None:
        """Return what a file is left over from, unless the repository itself has files of that kind there."""
        found = leftover(self._prefix + path, self._inventory.caches, self._inventory.environments)
        return None if found is None or found.place.removeprefix(self._prefix) in self._old else found

    def choose(self, new: Mapping[bytes, int], room: int = MAX_NEW_BYTES) -> list[bytes]:
        """Return those new files (path -> bytes) that a patch can hold and that are not too many or too much together.

        `room`: bytes that the disk has for them.

        Beyond a limit whole folders go, those with the most first: a folder that is new, or the files of one kind that
        were added to an old one.
        """
        fit = dict[bytes, int]()
        for path, size in new.items():
            reason = unfit(self._prefix + path, self._inventory)
            if reason and path not in self._moved:
                self._omissions.note(self._prefix + path, reason)
            else:
                fit[path] = size
        most, why = min(
            (MAX_NEW_BYTES, f"more than {_mib(MAX_NEW_BYTES)} of new files"),
            (room, f"the disk has no room for more than {_mib(room)} of new files"),
        )
        if len(fit) <= MOST_NEW_FILES and sum(fit.values()) <= most:
            return sorted(fit)
        groups: dict[bytes, list[bytes]] = defaultdict(list)
        for path in fit:
            groups[self._group(path)].append(path)
        counts = {group: len(paths) for group, paths in groups.items()}
        sizes = {group: sum(fit[path] for path in paths) for group, paths in groups.items()}
        self._drop(groups, counts, MOST_NEW_FILES, f"more than {MOST_NEW_FILES:,} new files")
        self._drop(groups, sizes, most, why)
        return sorted(path for paths in groups.values() for path in paths)

    def _drop(self, groups: dict[bytes, list[bytes]], measure: Mapping[bytes, int], limit: int, reason: str) -> None:
        excess = sum(measure[group] for group in groups) - limit
        for group in sorted(groups, key=lambda group: measure[group], reverse=True):
            if excess <= 0:
                return
            excess -= measure[group]
            self._omissions.note(self._prefix + group, reason, len(groups.pop(group)))

    def _group(self, path: bytes) -> bytes:
        """Return the highest folder above a file that is new, or a pattern of its kind in an old one."""
        for folder in folders_above(path):
            if folder not in self._old:
                return folder
        folder, slash, name = path.rpartition(b"/")
        stem, dot, kind = name.rpartition(b".")
        return folder + slash + (b"*." + kind if stem and dot else b"*")

    def note_ignored(self, paths: Iterable[bytes]) -> None:
        """Note each file or folder (with a final slash) that the repository ignores."""
        left = set[Leftover]()
        for path in paths:
            found = self._leftover(path + b"?" if path.endswith(b"/") else path)
            if found is None:
                files = None if path.endswith(b"/") else 1
                self._omissions.note(self._prefix + path, IGNORED, files, Rank.IGNORED)
            elif found not in left:
                left.add(found)
                self._omissions.note(found.place, found.reason, None, Rank.LEFTOVER)


def _mib(size: int) -> str:
    return f"{size >> 20:,} MiB"
