"""Writes the changes of a staged repository as git's patch, and searches what they add for secrets."""

import os
import subprocess
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import IO

from worker.collection.calls import Calls
from worker.collection.staging import Tree
from worker.git import git
from worker.patch import PatchReader
from worker.secret_scan import SecretScan

_DIFF = (
    "diff",
    "--cached",
    "--binary",
    "--full-index",
    "--no-color",
    "--no-ext-diff",
    "--no-textconv",
    # As an argument it outranks what the agent's .gitmodules says about its submodules.
    "--ignore-submodules=none",
    "--submodule=short",
)
_NO_FUNCTION = ("-c", "diff.default.xfuncname=$.")
"""Keeps git from putting a line of the file before, cut anywhere, behind the place of a change: nothing matches."""


def write_diff(calls: Calls, tree: Tree, scan: SecretScan, artifact: str, file: IO[bytes]) -> int:
    """Append the patch to a file, with paths below the workspace, and return how many files it changes.

    Raises `subprocess.CalledProcessError`.
    """
    variables = calls.variables(tree.files, tree.index, *tree.stores)
    base = tree.base or calls.run(git("hash-object", "-t", "tree", "/dev/null"), **variables).decode().strip()
    prefix = os.fsdecode(tree.prefix)
    # Lines of a rename have no prefix: `git apply` would rename the file of that name in the workspace itself.
    renames = "--no-renames" if prefix or _removes_links(calls, base, variables) else "--find-renames"
    options = _NO_FUNCTION if tree.base_is_new else ()
    command = git(*options, *_DIFF, renames, f"--src-prefix=a/{prefix}", f"--dst-prefix=b/{prefix}", base)
    patch = PatchReader(scan, artifact, all_new=tree.base_is_new)
    file.writelines(patch.passed(calls.stream(command, **variables)))
    for change in patch.binaries:
        before, after = (partial(_blob, calls, name, variables) for name in (change.before, change.after))
        known = before if _is_content(change.before) and not tree.base_is_new else None
        try:
            if _is_content(change.after):
                scan.content(artifact, change.path, after(), known)
            if _is_content(change.before) and tree.base_is_new:
                scan.content(artifact, change.path, before())
        except subprocess.CalledProcessError:
            # Such as too large for the time left: the patch is whole all the same.
            scan.unsearched(artifact, change.path)
    return patch.files


def _removes_links(calls: Calls, base: str, variables: Mapping[str, str | Path]) -> bool:
    """Return whether symbolic links are removed.

    A patch that renames one has no mode of it, and then `git apply` refuses what is below a folder in its place
    ("beyond a symbolic link", git 2.39).
    """
    removed = git("diff-index", "--cached", "--no-renames", "--diff-filter=D", "-z", base)
    return any(record.startswith(b":120000 ") for record in calls.records(removed, **variables))


def _blob(calls: Calls, name: str, variables: Mapping[str, str | Path]) -> Iterator[bytes]:
    return calls.stream(git("cat-file", "blob", name), **variables)


def _is_content(blob: str) -> bool:
    return bool(blob.strip("0"))
