"""The agent's commits that the repository does not have, on whatever branch: a bundle for `git fetch`.

Objects of the agent's are copied with `git index-pack`, which checks them, and only their store is read: no
configuration of the agent's takes part.
"""

import re
import shlex
from collections.abc import Iterable
from pathlib import Path

from worker.collection.calls import Calls, safe_git
from worker.git import git

MAX_BUNDLE_BYTES = 256 * 2**20
MOST_COMMITS = 10_000
MOST_REFS = 200
BUNDLE = "commits.bundle"
_OBJECT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")


def copy_objects(calls: Calls, store: Path, objects: Iterable[bytes], *, revisions: bool = False) -> None:
    """Copy objects of the agent's store into this collection's. Raises `subprocess.CalledProcessError`.

    `revisions`: they are commits and what these do not need (`^<commit>`), and come with all that they refer to.
    """
    wanted = [*objects]
    if not wanted:
        return
    listed = calls.list_file(())
    listed.write_bytes(b"".join(name + b"\n" for name in wanted))
    pack = safe_git("pack-objects", "--quiet", "--stdout", "--delta-base-offset")
    read = ["env", f"GIT_OBJECT_DIRECTORY={store}", *pack, *(["--revs", "--thin"] if revisions else [])]
    write = git("index-pack", "--stdin", "--fix-thin", f"--max-input-size={MAX_BUNDLE_BYTES}")
    script = f"{shlex.join(read)} < {shlex.quote(str(listed))} | {shlex.join(write)}"
    calls.run(["bash", "-o", "pipefail", "-c", script], **calls.variables(calls.workspace.path, "no-index"))
