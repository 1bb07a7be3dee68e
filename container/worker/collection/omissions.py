"""What was left out: counted in full, named as far as anybody reads it."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import IntEnum

from outpost.domain.collection import MAX_RAW_LENGTH, LeftOut

_MOST_NAMED = 20
"""Files of one folder that are named one by one; of more the folder is named."""
_MOST_FOLDERS = 5_000


class Rank(IntEnum):
    """In which order entries are named: nobody misses a cache."""

    LOST = 0
    IGNORED = 1
    LEFTOVER = 2


@dataclass
class _Group:
    rank: Rank
    named: list[tuple[bytes, int | None]] = field(default_factory=list)
    places: int = 0


class Omissions:
    """Collects what is left out."""

    def __init__(self) -> None:
        self._groups: dict[tuple[bytes, str], _Group] = {}
        self._uncounted = 0

    def note(self, path: bytes, reason: str, files: int | None = 1, rank: Rank = Rank.LOST) -> None:
        """Note a file, or a folder with a final slash. `files`: how many; None when they were not counted."""
        key = path.rstrip(b"/").rpartition(b"/")[0], reason
        if key not in self._groups and len(self._groups) == _MOST_FOLDERS:
            self._uncounted += 1
            return
        group = self._groups.setdefault(key, _Group(rank))
        if (path, files) in group.named:
            return
        group.places += 1
        if len(group.named) < _MOST_NAMED:
            group.named.append((path, files))

    def entries(self) -> list[LeftOut]:
        """Return an entry for each place, or for each folder with many of them."""
        found: list[LeftOut] = []
        for (folder, reason), group in sorted(self._groups.items(), key=lambda item: item[1].rank):
            if group.places > len(group.named):
                found.append(_entry(folder + b"/*" if folder else b"*", reason, group.places))
            else:
                found += [_entry(path, reason, files) for path, files in group.named]
        if self._uncounted:
            found.append(_entry(b"*", "in more folders than are counted", self._uncounted))
        return found


def shown(path: bytes) -> str:
    """Return a path as it is shown: a question mark for each character that is invisible, cut to `MAX_RAW_LENGTH`."""
    text = path.decode("utf-8", "replace")[:MAX_RAW_LENGTH]
    return "".join(character if character.isprintable() else "?" for character in text)


def without_requested(left_out: Iterable[LeftOut], requested: Iterable[bytes]) -> list[LeftOut]:
    """Return what was left out, without the requested files; an entry of a folder with some says where they are."""
    files = {shown(path) for path in requested}
    folders = {file[: number + 1] for file in files for number, letter in enumerate(file) if letter == "/"}
    return [
        item.model_copy(update={"reason": f"{item.reason}; the requested files below it are in collected.tar.gz"})
        if item.path in folders
        else item
        for item in left_out
        if item.path not in files
    ]


def _entry(path: bytes, reason: str, files: int | None) -> LeftOut:
    return LeftOut(path=shown(path), reason=reason, files=files)
