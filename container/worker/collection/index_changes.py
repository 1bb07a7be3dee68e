"""What the agent's index says of a file that stays as it is in the working tree: not tracked any more, another mode."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from worker.collection.calls import Calls, reading
from worker.collection.inventory import tolerant
from worker.collection.record import LINK, Entries, Entry, Record
from worker.git import git

TAKEN_OUT = "taken out of the index alone, which removes only files that the repository ignores"
MODE = "of another mode in the index, which counts, than in the working tree"
AS_BEGAN = "committed in another state; in the working tree, which counts, it is as the run began with it"
_FILE, _PROGRAM = b"100644", b"100755"


def index_modes(record: Record, base: Entries, result: Entries) -> Iterator[tuple[bytes, Entry]]:
    """Yield the entries of `result` to change: a mode that the agent set in its index alone.

    `git update-index --chmod` and `git add --chmod` do so. A mode that was changed in the working tree counts.
    """
    for path, entry in result.items():
        theirs = record.index.get(path)
        before = base[path].mode if path in base else _FILE
        if theirs is None or path in record.conflicts or entry.mode != before:
            continue
        if theirs.mode != before and {theirs.mode, before} == {_FILE, _PROGRAM}:
            yield path, Entry(theirs.mode, entry.object)


def as_began(record: Record, base: Entries, result: Entries) -> Iterator[bytes]:
    """Yield the files with a change in the agent's commit and index that the working tree has not.

    Git can take them for unchanged, by a conversion of line ends for example.
    """
    for path, before in base.items():
        theirs = record.committed.get(path)
        if theirs is None or record.index.get(path) != theirs or result.get(path) != before:
            continue
        if theirs.object != before.object and len(theirs.object) == len(before.object) and before.mode != LINK:
            yield path


def ignored(calls: Calls, files: Path, paths: list[bytes], variables: Mapping[str, str | Path]) -> set[bytes]:
    """Return which of the paths the repository's rules ignore, tracked or not."""
    if not paths:
        return set()
    check = git("-C", os.fspath(files), "check-ignore", "--no-index", "-z", "--stdin")
    # git takes the paths for pathspecs, of which a colon in front is magic (gitglossary: pathspec).
    listed = calls.list_file(b"./" + path for path in paths)
    return {path.removeprefix(b"./") for path in tolerant(calls.records(reading(listed, check), **variables))}
