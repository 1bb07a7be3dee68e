"""Finds the files that Git LFS keeps elsewhere: repository and workspace have pointers in their place."""

import subprocess
from collections.abc import Mapping

from worker.git import git
from worker.lines import printable

_SECONDS = 60.0
_POINTER = "version https://git-lfs.github.com/spec/v1"
"""The first line of a pointer (Git LFS specification, "The Pointer")."""


def lfs_pointers(environment: Mapping[str, str]) -> list[str]:
    """Return the printable paths of HEAD's pointers, sorted; `environment` is git's, with GIT_DIR.

    Only a repository whose `.gitattributes` name the filter is searched: the search reads every file.
    """
    if not _paths(environment, "filter=lfs", ":(glob)**/.gitattributes"):
        return []
    attributes = ":(exclude,glob)**/.gitattributes"
    return sorted(printable(path) for path in _paths(environment, _POINTER, ".", attributes))


def _paths(environment: Mapping[str, str], text: str, *pathspecs: str) -> list[bytes]:
    """Return the paths of HEAD's files that contain `text`; none when git fails or takes too long."""
    command = git("grep", "--name-only", "--null", "--fixed-strings", "-e", text, "HEAD", "--", *pathspecs)
    try:
        done = subprocess.run(command, env=environment, capture_output=True, timeout=_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return []
    return [name.partition(b":")[2] for name in done.stdout.split(b"\0") if name]
