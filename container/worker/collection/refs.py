"""The agent's branches, tags, stashes, and the commits that no ref names any more."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from worker.collection.calls import Calls

MOST_REFS = 200
MOST_ABANDONED = 20
"""Commits of the reflog that are kept, the newest."""
_NOT_THE_AGENTS = tuple(
    b"refs/%s/" % name for name in (b"remotes", b"prefetch", b"bisect", b"worktree", b"rewritten", b"replace")
)
_OURS = b"refs/outpost/"
"""Names that this collection gives."""

Graph = Mapping[bytes, tuple[bytes, ...]]
"""Commits that only the agent has -> their parents."""


@dataclass(frozen=True)
class Refs:
    """Tips of the agent's repository."""

    named: Mapping[bytes, bytes] = field(default_factory=dict)
    """Ref -> object."""
    commits: Mapping[bytes, bytes] = field(default_factory=dict)
    """Ref -> commit, which differs for an annotated tag."""
    reflog: tuple[bytes, ...] = ()
    """Commits that a ref named at some time, newest first."""

    @property
    def tips(self) -> list[bytes]:
        """Every object to begin at."""
        return [*{*self.named.values(), *self.reflog}]


def read_refs(calls: Calls, git_dir: Path, files: Path) -> Refs:
    """Read the refs of the agent's git directory; a damaged one has none."""
    named, commits = dict[bytes, bytes](), dict[bytes, bytes]()
    form = "--format=%(objectname) %(*objectname) %(refname)"
    listed = calls.ask(git_dir, files, "for-each-ref", "--sort=-creatordate", form) or b""
    for line in listed.splitlines():
        name, peeled, ref = line.split(b" ", 2)
        if not ref.startswith((*_NOT_THE_AGENTS, _OURS)):
            named[ref], commits[ref] = name, peeled or name
    for ref, commit in _unnamed(calls, git_dir, files, set(named.values())):
        named[ref] = commits[ref] = commit
    reflog = calls.ask(git_dir, files, "rev-list", "--no-walk=unsorted", "--max-count=1000", "--reflog") or b""
    return Refs(named, commits, tuple(reflog.split()))


def _unnamed(calls: Calls, git_dir: Path, files: Path, named: set[bytes]) -> Iterable[tuple[bytes, bytes]]:
    """Yield detached heads of all worktrees, and all stashes but the last, which has a ref, under names of ours."""
    listed = calls.ask(git_dir, files, "worktree", "list", "--porcelain", "-z") or b""
    heads = [line.removeprefix(b"HEAD ") for line in listed.split(b"\0") if line.startswith(b"HEAD ")]
    for number, head in enumerate(heads[:MOST_REFS]):
        if head not in named and head.strip(b"0"):
            yield _OURS + (b"head" if number == 0 else b"worktree-%d" % number), head
    stashes = calls.ask(git_dir, files, "rev-list", "--walk-reflogs", f"--max-count={MOST_REFS}", "refs/stash") or b""
    for number, stash in enumerate(stashes.split()):
        if number:
            yield _OURS + b"stash-%d" % number, stash


def new_refs(refs: Refs, graph: Graph, ours: Mapping[bytes, bytes]) -> tuple[dict[bytes, bytes], dict[bytes, bytes]]:
    """Return the refs with something new for a bundle, and the tags that are only new names of known commits.

    `ours`: the refs that the repository was cloned with. One ref of each commit comes before the others.
    """
    changed = {ref: name for ref, name in refs.named.items() if ours.get(ref) != name}
    wanted = {ref: name for ref, name in changed.items() if refs.commits[ref] in graph or name != refs.commits[ref]}
    first = {name: ref for ref, name in reversed(wanted.items())}
    wanted = {first[name]: name for name in wanted.values()} | wanted
    labels = {ref: name for ref, name in changed.items() if ref.startswith(b"refs/tags/") and ref not in wanted}
    return wanted, labels


def abandoned(refs: Refs, graph: Graph, wanted: Mapping[bytes, bytes]) -> dict[bytes, bytes]:
    """Return commits of the reflog that no wanted ref leads to, the last of each line, under names of ours."""
    reached = _reached(graph, (refs.commits[ref] for ref in wanted))
    lost = _reached(graph, refs.reflog) - reached
    parents = {parent for commit in lost for parent in graph[commit]}
    last = [commit for commit in dict.fromkeys(refs.reflog) if commit in lost - parents]
    return {_OURS + b"reflog-%d" % number: commit for number, commit in enumerate(last[:MOST_ABANDONED], start=1)}


def _reached(graph: Graph, tips: Iterable[bytes]) -> set[bytes]:
    found: set[bytes] = set()
    waiting = [tip for tip in tips if tip in graph]
    while waiting:
        commit = waiting.pop()
        if commit not in found:
            found.add(commit)
            waiting += [parent for parent in graph[commit] if parent in graph]
    return found
