"""The agent's branches, tags, stashes, and the commits that no ref names any more."""

import os
import re
import subprocess
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from worker.collection.calls import Calls
from worker.collection.inventory import tolerant
from worker.collection.omissions import Omissions

MOST_REFS = 200
UNREADABLE = "commits that git cannot read"
_MOST_EACH = 1_000
"""Refs that are read one by one."""
_NOT_THE_AGENTS = tuple(
    b"refs/%s/" % name for name in (b"remotes", b"prefetch", b"bisect", b"worktree", b"rewritten", b"replace")
)
_OURS = b"refs/outpost/"
"""Names that this collection gives."""
_PEOPLES = (b"refs/heads/", b"refs/tags/", b"refs/stash", _OURS)

_FOLDER = re.compile(rb"file:|(?![^/]*:).")
"""What the URL of a folder begins with (git-clone: "GIT URLS"): others have a colon before their first slash."""

Graph = Mapping[bytes, tuple[bytes, ...]]
"""Commits that only the agent has -> their parents."""


@dataclass(frozen=True)
class Refs:
    """Tips of the agent's repository."""

    named: Mapping[bytes, bytes] = field(default_factory=dict)
    """Ref -> object."""
    commits: Mapping[bytes, bytes] = field(default_factory=dict)
    """Ref -> commit, which differs for an annotated tag."""
    others: frozenset[bytes] = frozenset()
    """Refs to a file or a folder."""
    reflog: tuple[bytes, ...] = ()
    """Commits that a ref named at some time, newest first."""
    upstream: frozenset[bytes] = frozenset()
    """Commits that the remote of the clone has."""
    other_remotes: frozenset[bytes] = frozenset()
    """Commits that other remotes have."""

    @property
    def tips(self) -> list[bytes]:
        """Every object to begin at."""
        return [*{*self.named.values(), *self.reflog}]


def read_refs(calls: Calls, git_dir: Path, files: Path, omissions: Omissions) -> Refs:
    """Read the refs of the agent's git directory, each by itself where one is damaged, which is noted."""
    form = "--format=%(objectname) %(*objectname) %(objecttype) %(refname)"
    listed = calls.ask(git_dir, files, "for-each-ref", "--sort=-creatordate", form)
    found = _each_ref(calls, git_dir, files, omissions) if listed is None else _parsed(listed)
    named = {ref: name for ref, (name, *_) in found.items() if not ref.startswith((*_NOT_THE_AGENTS, _OURS))}
    commits = {ref: found[ref][1] for ref in named}
    for ref in _damaged(calls, git_dir, files):
        if not ref.startswith(_NOT_THE_AGENTS):
            omissions.note(ref, UNREADABLE, None)
    for ref, commit in _unnamed(calls, git_dir, files, set(named.values())):
        named[ref] = commits[ref] = commit
    reflog = calls.ask(git_dir, files, "rev-list", "--no-walk=unsorted", "--max-count=1000", "--reflog") or b""
    origin, more = _remotes(calls, git_dir, files)
    upstream = frozenset(commit for ref, (_, commit, _) in found.items() if ref.startswith(origin))
    other_remotes = frozenset(commit for ref, (_, commit, _) in found.items() if ref.startswith(more))
    others = (ref for ref, (_, _, kind) in found.items() if kind in (b"blob", b"tree"))
    return Refs(named, commits, frozenset(others), tuple(reflog.split()), upstream, other_remotes)


def _remotes(calls: Calls, git_dir: Path, files: Path) -> tuple[tuple[bytes, ...], tuple[bytes, ...]]:
    """Return what the refs of `origin` begin with, and those of all other remotes.

    Not of those that lead to a folder on this machine: what was pushed there ends with it.
    """
    listed = calls.ask(git_dir, files, "remote", "--verbose") or b""
    urls = [line.split(b"\t", 1) for line in listed.splitlines() if b"\t" in line]
    folders = {name for name, url in urls if _FOLDER.match(url)}
    names = {b"origin", *(name for name, _ in urls)} - folders
    found = [[b"refs/remotes/%s/" % name for name in names if (name == b"origin") is first] for first in (True, False)]
    return tuple(found[0]), tuple(found[1])


def _parsed(listed: bytes) -> dict[bytes, tuple[bytes, bytes, bytes]]:
    """Return ref -> (object, commit, type) of lines `<object> <object of a tag> <type> <ref>`."""
    fields = (line.split(b" ", 3) for line in listed.splitlines())
    return {ref: (name, peeled or name, kind) for name, peeled, kind, ref in fields}


def _each_ref(
    calls: Calls, git_dir: Path, files: Path, omissions: Omissions
) -> dict[bytes, tuple[bytes, bytes, bytes]]:
    """Return the refs whose objects are there; git lists none when it cannot read the object of one."""
    listed = calls.ask(git_dir, files, "for-each-ref", f"--count={_MOST_EACH}", "--format=%(objectname) %(refname)")
    if listed is None and calls.ask(git_dir, files, "rev-parse", "--git-dir") is not None:
        omissions.note(b"refs/*", "git cannot read the names of refs: their commits are kept as far as found", None)
    found = dict[bytes, tuple[bytes, bytes, bytes]]()
    for name, ref in (line.split(b" ", 1) for line in (listed or b"").splitlines()):
        commit = calls.ask(git_dir, files, "rev-parse", "--verify", "--quiet", f"{os.fsdecode(name)}^{{}}")
        if commit is None:
            omissions.note(ref, UNREADABLE, None)
        else:
            kind = calls.ask(git_dir, files, "cat-file", "-t", os.fsdecode(name)) or b""
            found[ref] = name, commit.strip(), kind.strip()
    return found


def _damaged(calls: Calls, git_dir: Path, files: Path) -> Iterable[bytes]:
    """Yield the refs whose files hold neither an object's name nor that of a ref: git passes over them."""
    where = calls.ask(git_dir, files, "rev-parse", "--git-path", "refs")
    folder = files / os.fsdecode(where.removesuffix(b"\n")) if where else git_dir / "refs"
    sound = "^(ref: .+|[0-9a-f]{40}|[0-9a-f]{64})$"
    grep = ["grep", "-r", "-L", "-Z", "--devices=skip", "--exclude=*.lock", "-E", "-e", sound, "--", str(folder)]
    with suppress(subprocess.CalledProcessError):
        for path in tolerant(calls.records(grep)):
            yield b"refs/" + path.removeprefix(bytes(folder) + b"/")


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
    """Return the refs with something new for a bundle, and those without: new tags of known commits, refs to files.

    `ours`: the refs that the repository was cloned with. One ref of each commit comes before the others, and branches,
    tags and stashes before what other programs write, such as Jujutsu.
    """
    named = sorted(refs.named.items(), key=lambda item: not item[0].startswith(_PEOPLES))
    changed = {ref: name for ref, name in named if ours.get(ref) != name}
    wanted = {ref: name for ref, name in changed.items() if refs.commits[ref] in graph or name != refs.commits[ref]}
    first = {name: ref for ref, name in reversed(wanted.items())}
    wanted = {first[name]: name for name in wanted.values()} | wanted
    plain = {ref: name for ref, name in changed.items() if ref not in wanted}
    return wanted, {ref: name for ref, name in plain.items() if ref.startswith(b"refs/tags/") or ref in refs.others}


def abandoned(refs: Refs, graph: Graph, wanted: Mapping[bytes, bytes]) -> dict[bytes, bytes]:
    """Return commits that no wanted ref leads to, the last of each line, under names of ours.

    Those of the reflog come first, the newest before the others; no reflog has those of a dropped stash.
    """
    lost = graph.keys() - reached(graph, (refs.commits[ref] for ref in wanted))
    last = lost - {parent for commit in lost for parent in graph[commit]}
    logged = [commit for commit in dict.fromkeys(refs.reflog) if commit in last]
    dangling = sorted(last - {*logged})
    names = {_OURS + b"reflog-%d" % number: commit for number, commit in enumerate(logged, start=1)}
    return names | {_OURS + b"dangling-%d" % number: commit for number, commit in enumerate(dangling, start=1)}


def reached(graph: Graph, tips: Iterable[bytes]) -> set[bytes]:
    """Return the commits of `graph` that the tips lead to, themselves included."""
    found: set[bytes] = set()
    waiting = [tip for tip in tips if tip in graph]
    while waiting:
        commit = waiting.pop()
        if commit not in found:
            found.add(commit)
            waiting += [parent for parent in graph[commit] if parent in graph]
    return found
