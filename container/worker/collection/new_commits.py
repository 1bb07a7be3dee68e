"""The commits in the agent's object store that the repository does not have, whatever became of the refs."""

import shlex
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from worker.collection.calls import Calls, reading, safe_git

MOST_LISTED = 200_000
_LIST_SECONDS = 60.0
_KILLED = (-9, 128 + 9)


def list_new_commits(calls: Calls, store: Path) -> list[bytes] | None:
    """Return their names; None when there are more than MOST_LISTED. Raises `subprocess.CalledProcessError`."""
    # Both lists are sorted by name (git-cat-file: --batch-all-objects).
    listing = shlex.join(safe_git("cat-file", "--batch-all-objects", "--batch-check=%(objectname) %(objecttype)"))
    ours, theirs = f'env GIT_OBJECT_DIRECTORY="$0" {listing}', f'env GIT_OBJECT_DIRECTORY="$1" {listing}'
    script = f"comm -13 <({ours}) <({theirs}) | grep ' commit$' | head -n {MOST_LISTED + 1}"
    command = ["bash", "-c", script, str(calls.workspace.git_dir / "objects"), str(store)]
    variables = calls.variables(calls.workspace.path, "no-index")
    listed = calls.workspace.as_agent(command, timeout=min(_LIST_SECONDS, calls.left()), **variables)
    names = [line.split(b" ")[0] for line in listed.splitlines()]
    return names if len(names) <= MOST_LISTED else None


def read_parents(
    calls: Calls, commits: Sequence[bytes], variables: Mapping[str, str | Path]
) -> dict[bytes, tuple[bytes, ...]]:
    """Return commit -> its parents, without what git cannot read. Raises `subprocess.CalledProcessError`."""
    if not commits:
        return {}
    command = safe_git("log", "--no-walk=unsorted", "--no-show-signature", "--format=%H %P", "--stdin")
    try:
        listed = calls.run(reading(calls.list_file(commits, end=b"\n"), command), **variables)
    except subprocess.CalledProcessError as error:
        if error.returncode in _KILLED:
            raise
        middle = len(commits) // 2
        parts = (commits[:middle], commits[middle:]) if middle else ()
        return {name: found for part in parts for name, found in read_parents(calls, part, variables).items()}
    return {name: tuple(parents) for name, *parents in (line.split() for line in listed.splitlines())}
