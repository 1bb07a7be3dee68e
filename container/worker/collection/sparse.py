"""Files that a sparse checkout left out: that they are missing is no deletion."""

import subprocess
from collections.abc import Set as AbstractSet
from pathlib import Path

from worker.collection.calls import ASK_SECONDS, Calls
from worker.collection.record import Record

_CHOICE_BYTES = 1024 * 1024
"""As much is read of the folders that an agent chose to check out; more is no choice."""


def not_checked_out(
    calls: Calls, git_dir: Path, files: Path, record: Record, missing: set[bytes], *, began_sparse: bool
) -> AbstractSet[bytes]:
    """Return those of the `missing` files that a sparse checkout left out.

    The agent's own index says so, as it may have checked out more or less, and may have deleted some of that, unless
    the index was lost or made anew: then it marks no missing file of any folder. In that case, where the checkout was
    sparse from the beginning, the folders count that the agent chose, and without a choice that can be read only the
    root folder was checked out.
    """
    sparse = calls.ask(git_dir, files, "config", "--type=bool", "--default=false", "core.sparseCheckout")
    if not began_sparse:
        return missing & record.skipped if sparse == b"true\n" else frozenset()
    beyond_root = {path for path in missing if b"/" in path}
    if not record.has_index:
        return beyond_root
    marked = missing & record.skipped
    if not beyond_root or marked & beyond_root:
        return marked
    read = ["head", "-c", str(_CHOICE_BYTES), "--", str(git_dir / "info" / "sparse-checkout")]
    try:
        choice = calls.workspace.as_agent(read, timeout=ASK_SECONDS)
    except subprocess.CalledProcessError:
        return beyond_root
    if sparse is None:
        return beyond_root
    return marked | _not_chosen(beyond_root, choice) if sparse == b"true\n" else marked


def _not_chosen(paths: set[bytes], choice: bytes) -> set[bytes]:
    """Return those of `paths`, none in the root folder, that `.git/info/sparse-checkout` leaves out.

    Only what git writes for whole folders is understood (`/a/` all of it, with `!/a/*/` its own files only); anything
    else chooses nothing.
    """
    lines = set(choice.split(b"\n")) - {b""}
    folders = {line for line in lines if len(line) > 1 and line.startswith(b"/") and line.endswith(b"/")}
    whole = {folder for folder in folders if b"!" + folder + b"*/" not in lines}
    understood = folders | {b"!" + folder + b"*/" for folder in folders - whole} | {b"/*", b"!/*/"}
    if len(choice) == _CHOICE_BYTES or lines - understood:
        return paths

    def chosen(path: bytes) -> bool:
        names = path.split(b"/")[:-1]
        above = [b"/" + b"/".join(names[: n + 1]) + b"/" for n in range(len(names))]
        return above[-1] in folders or not whole.isdisjoint(above)

    return {path for path in paths if not chosen(path)}
