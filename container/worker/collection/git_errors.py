"""Reads in the errors of `git update-index` which file it failed at: pure."""

import re


def unread_path(errors: bytes, paths: list[bytes]) -> bytes | None:
    """Return the path that git could not read; None when it failed at something else.

    git prints `open("<path>")`, `readlink("<path>")`, `read error while indexing` or `short read while indexing`, and
    then `fatal: Unable to process path <path>`, with control characters as question marks.
    """
    before, found, text = errors.rpartition(b"fatal: Unable to process path ")
    if not found or not _READING.search(before):
        return None
    shown = text.removesuffix(b"\n")
    return next((path for path in paths if _CONTROL.sub(b"?", path) == shown), None)


_READING = re.compile(rb'(?m)^error: (?:open\("|readlink\("|read error while indexing|short read while indexing)')
_CONTROL = re.compile(rb"[\x00-\x08\x0b-\x1f\x7f]")
