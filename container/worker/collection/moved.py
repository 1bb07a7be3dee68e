"""Tracked files that the agent moved: they are the repository's at their new place as well, whatever that is named."""

import os
import subprocess
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path

from worker.collection import choice
from worker.collection.adding import add_readable
from worker.collection.calls import Calls, reading
from worker.collection.inventory import sizes_of
from worker.collection.record import LINK, Entries, Entry, parse_entries
from worker.git import git


def find_moved(
    calls: Calls, files: Path, base: Entries, left: Entries, new: list[bytes], variables: Mapping[str, str | Path]
) -> dict[bytes, bytes]:
    """Return the `new` files with the contents of a file of `base` that is not among those `left` -> that file.

    Empty files say nothing, nor do contents of more or fewer new files than old ones. `variables` are those of the
    repository's index, which stays as it is. Raises `subprocess.CalledProcessError`.
    """
    gone = {path: base[path] for path in base.keys() - left.keys() if base[path].mode != LINK}
    if not gone:
        return {}
    names = calls.list_file({entry.object for entry in gone.values()}, end=b"\n")
    listed = calls.run(reading(names, git("cat-file", "--batch-check=%(objectsize)")), **variables)
    wanted = {int(size) for size in listed.split() if size.isdigit()} - {0}
    alike = _few({path: size for path, size in sizes_of(calls, files, new).items() if size in wanted})
    index = {**variables, "GIT_INDEX_FILE": f"{variables['GIT_INDEX_FILE']}-moved"}
    here = ("-C", os.fspath(files))
    add = git(*here, "update-index", "-z", "--info-only", "--add", "--remove", "--stdin")  # writes no objects
    try:
        add_readable(calls, add, alike, index)
    except subprocess.CalledProcessError:
        return {}  # more than a few cannot be read: what moved to where files are left out is left out, and noted
    old = _by_content(gone.items())
    found = _by_content(parse_entries(calls.records(git(*here, "ls-files", "--stage", "-z"), **index)))
    pairs = ((found[content], old[content]) for content in found.keys() & old.keys())
    return {
        path: origin
        for paths, origins in pairs
        if len(paths) == len(origins)
        for path, origin in zip(paths, origins, strict=True)
    }


def _few(sizes: Mapping[bytes, int]) -> list[bytes]:
    """Return the files (path -> bytes) to read, the smallest first: no more of them than a patch may hold."""
    few, total = list[bytes](), 0
    for path in sorted(sizes, key=lambda path: (sizes[path], path))[: choice.MOST_NEW_FILES]:
        total += sizes[path]
        if total > choice.MAX_NEW_BYTES:
            break
        few.append(path)
    return few


def _by_content(entries: Iterable[tuple[bytes, Entry]]) -> dict[bytes, list[bytes]]:
    """Return object -> its paths, sorted."""
    found = defaultdict[bytes, list[bytes]](list)
    for path, entry in sorted(entries):
        found[entry.object].append(path)
    return found
