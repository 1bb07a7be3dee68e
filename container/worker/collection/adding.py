"""Puts files into an index, also when some cannot be read."""

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from worker.collection.calls import Calls
from worker.collection.git_errors import unread_path

_MOST_FAILURES = 20
"""Files that fail one after the other, each of which makes git begin again."""


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
            path = unread_path(error.stderr or b"", paths)
            if path is None or path in failed or len(failed) == _MOST_FAILURES:
                raise
            failed[path] = "unreadable"
        else:
            return failed
