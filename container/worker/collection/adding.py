"""Puts files into an index, also when some cannot be read."""

import re
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from worker.collection.calls import Calls

_MOST_FAILURES = 20
"""Files that fail one after the other, each of which makes git begin again."""
_READING = re.compile(rb'(?m)^error: (?:open\("|readlink\("|read error while indexing|short read while indexing)')
_CONTROL = re.compile(rb"[\x00-\x08\x0b-\x1f\x7f]")


def add_readable(
    calls: Calls, argv: Sequence[str], paths: list[bytes], variables: Mapping[str, str | Path]
) -> dict[bytes, str]:
    """Run a `git update-index -z --stdin` for `paths`; return those that could not be read, and why.

    Raises `subprocess.CalledProcessError`.
    """
    failed: dict[bytes, str] = {}
    while True:
        wanted = (path + b"\0" for path in paths if path not in failed)
        try:
            calls.feed(argv, wanted, **variables)
        except subprocess.CalledProcessError as error:
            path = _unread_path(error.stderr or b"", paths)
            if path is None or path in failed or len(failed) == _MOST_FAILURES:
                raise
            failed[path] = "unreadable"
        else:
            return failed


def _unread_path(errors: bytes, paths: list[bytes]) -> bytes | None:
    """Return the path that git could not read; None when it failed at something else.

    git prints `open("<path>")`, `readlink("<path>")`, `read error while indexing` or `short read while indexing`, and
    then `fatal: Unable to process path <path>`, with control characters as question marks.
    """
    before, found, text = errors.rpartition(b"fatal: Unable to process path ")
    if not found or not _READING.search(before):
        return None
    shown = text.removesuffix(b"\n")
    return next((path for path in paths if _CONTROL.sub(b"?", path) == shown), None)
