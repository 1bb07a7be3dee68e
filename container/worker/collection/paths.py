"""Paths below a repository, as bytes: pure functions."""

from collections.abc import Collection, Iterable, Iterator


def folders_of(paths: Iterable[bytes]) -> set[bytes]:
    """Return all folders above the paths, each with a final slash."""
    return {folder for path in paths for folder in folders_above(path)}


def folders_above(path: bytes) -> Iterator[bytes]:
    """Yield the folders above a path, the highest first, each with a final slash."""
    position = path.find(b"/")
    while position >= 0:
        yield path[: position + 1]
        position = path.find(b"/", position + 1)


def is_below(path: bytes, folders: Collection[bytes]) -> bool:
    """Return whether a path is in one of the folders, at any depth."""
    position = path.find(b"/")
    while position >= 0:
        if path[:position] in folders:
            return True
        position = path.find(b"/", position + 1)
    return False
