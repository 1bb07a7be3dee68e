"""Tracked files that the agent moved: they are the repository's at their new place as well, whatever that is named."""

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from worker.collection.calls import Calls, reading
from worker.collection.inventory import sizes_of
from worker.collection.record import LINK, Entries, parse_entries
from worker.git import git


def find_moved(
    calls: Calls, files: Path, base: Entries, left: Entries, new: list[bytes], variables: Mapping[str, str | Path]
) -> set[bytes]:
    """Return which of the `new` files hold what a file of `base` did that is not among those that are `left`.

    Raises `subprocess.CalledProcessError`.
    """
    contents = {base[path].object for path in base.keys() - left.keys() if base[path].mode != LINK}
    if not contents:
        return set()
    names = calls.list_file(contents, end=b"\n")
    listed = calls.run(reading(names, git("cat-file", "--batch-check=%(objectsize)")), **variables)
    wanted = {int(size) for size in listed.split() if size.isdigit()}
    alike = [path for path, size in sizes_of(calls, files, new).items() if size in wanted]
    index = {**variables, "GIT_INDEX_FILE": calls.scratch / "index-moved"}
    here = ("-C", os.fspath(files))
    try:
        add = git(*here, "update-index", "-z", "--add", "--stdin")
        calls.feed(add, (path + b"\0" for path in alike), **index)
    except subprocess.CalledProcessError:
        return set()  # one of them cannot be read, which is noted where all files are
    held = parse_entries(calls.records(git(*here, "ls-files", "--stage", "-z"), **index))
    return {path for path, entry in held if entry.object in contents}
