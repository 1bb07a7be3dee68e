"""The agent's commits that the repository does not have, on whatever branch: a bundle for `git fetch`.

Objects of the agent's are copied with `git index-pack`, which checks them, and only their store is read: no
configuration of the agent's takes part.
"""

import os
import shlex
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from pathlib import Path

from outpost.domain.collection import MAX_RAW_LENGTH, KeptRef
from worker.collection.calls import ASK_SECONDS, Calls, reading, safe_git
from worker.collection.omissions import Omissions
from worker.collection.refs import MOST_REFS, UNREADABLE, Graph, Refs, abandoned, new_refs, reached, read_refs
from worker.collection.search import search_commits
from worker.git import git
from worker.lines import printable
from worker.secret_scan import SecretScan

MAX_BUNDLE_BYTES = 256 * 2**20
MOST_COMMITS = 10_000
_SHALLOW_BYTES = 2**20
_MOST_LISTED = 200_000
_LIST_SECONDS = 60.0
_KILLED = (-9, 128 + 9)


class CommitCollector:
    """Collects the commits of the workspace's repository."""

    def __init__(self, calls: Calls, files: Path, store: Path, target: Path, omissions: Omissions) -> None:
        """`store`: the agent's objects; `target`: where the bundle is written."""
        self._calls = calls
        self._git_dir = files / ".git"
        self._files = files
        self._store = store
        self._omissions = omissions
        self._target = target
        self._known: tuple[bytes, ...] = ()
        """Commits that the repository was cloned with."""
        self._fetched: frozenset[bytes] = frozenset()
        """Those at the end of what the agent fetched shallowly: a remote's, as nobody commits on what is not there."""
        self._ours = calls.variables(files, "no-index")
        self._bundle: dict[str, str | Path] = self._ours | {"GIT_DIR": calls.scratch / "bundle.git"}
        """A repository of this collection, with the refs that the bundle gets."""

    def collect(self) -> tuple[KeptRef, ...]:
        """Write the bundle and return what is in it; nothing is written without commits.

        Raises `subprocess.CalledProcessError`.
        """
        if self._is_foreign():
            self._omissions.note(b".git/", "a repository of another object format: its commits are not kept", None)
            return ()
        listed = self._calls.run(git("for-each-ref", "--format=%(objectname) %(refname)"), **self._ours)
        ours = {ref: name for name, ref in (line.split(b" ", 1) for line in listed.splitlines())}
        base = self._calls.workspace.commit_before
        self._known = tuple(sorted({*ours.values(), *([base.encode()] if base else [])}))
        refs = read_refs(self._calls, self._git_dir, self._files, self._omissions)
        graph = self._graph(refs)
        if len(graph) > MOST_COMMITS and refs.other_remotes:
            graph = _without(graph, refs.other_remotes)
            reason = f"commits of other remotes: with them there were more than {MOST_COMMITS:,}"
            self._omissions.note(b"refs/remotes/*", reason, None)
        if len(graph) > MOST_COMMITS:
            self._omissions.note(b"commits", f"more than {MOST_COMMITS:,} commits", None)
            return ()
        wanted, labels = new_refs(refs, graph, ours)
        wanted |= abandoned(refs, graph, wanted)
        if len(wanted) > MOST_REFS:
            self._omissions.note(b"refs/*", f"more than {MOST_REFS} refs", len(wanted) - MOST_REFS)
            wanted = dict([*wanted.items()][:MOST_REFS])
        for name, commit in labels.items():
            self._omissions.note(name, f"a ref to {commit.decode()}, which is no new commit", None)
        return self._bundle_up(wanted) if wanted else ()

    def _is_foreign(self) -> bool:
        """Return whether the agent made its repository anew with hashes that the clone cannot name."""
        format_of = "rev-parse", "--show-object-format"
        theirs = self._calls.ask(self._git_dir, self._files, *format_of)
        return theirs is not None and theirs != self._calls.run(git(*format_of), **self._ours)

    def _bundle_up(self, wanted: Mapping[bytes, bytes]) -> tuple[KeptRef, ...]:
        copied = self._copy(wanted)
        if not copied:
            return ()
        self._lay_out(copied)
        with self._target.open("wb") as file:
            create = git("bundle", "create", "--quiet", "-", "--all", "--stdin")
            file.writelines(self._calls.stream(reading(self._revisions(()), create), **self._bundle))
        return tuple(self._described())

    def search(self, scan: SecretScan) -> None:
        """Search what is in the bundle for secrets. Raises `subprocess.CalledProcessError`."""
        revisions = self._revisions(())
        search_commits(self._calls, revisions, self._bundle, scan, self._target.name)
        if self._fetched:
            self._search_needed(revisions, scan)

    def _search_needed(self, revisions: Path, scan: SecretScan) -> None:
        """Search the subjects of the commits that the bundle needs, which it has; those of the clone are not new."""
        walk = safe_git("log", "--boundary", "--format=%m%H %s", "--all", "--stdin")
        for line in self._calls.run(reading(revisions, walk), **self._bundle).split(b"\n"):
            name, _, subject = line.removeprefix(b"-").partition(b" ")
            if name in self._fetched:
                scan.content(self._target.name, b"commit " + name, [subject])

    def _graph(self, refs: Refs) -> Graph:
        """Return the commits that the agent has and the repository does not -> their parents."""
        new = _list_new_commits(self._calls, self._store)
        if new is None:
            return self._walk(refs)
        graph = _read_parents(self._calls, new, self._ours | {"GIT_OBJECT_DIRECTORY": self._store})
        have = {*graph, *self._known}
        shallow = graph.keys() & self._agents_shallow()
        self._fetched = frozenset(commit for commit in shallow if graph[commit] and have.isdisjoint(graph[commit]))
        self._note_published(refs, reached(graph, refs.upstream))
        return _without(graph, {*refs.upstream, *self._below_shallow(), *self._fetched})

    def _note_published(self, refs: Refs, published: AbstractSet[bytes]) -> None:
        """Note branches without a commit that the remote does not have: that may be the agent's claim alone."""
        for ref, commit in refs.commits.items():
            if ref.startswith(b"refs/heads/") and commit in published:
                self._omissions.note(ref, "commits that the remote has, by refs/remotes/origin", None)

    def _below_shallow(self) -> Iterable[bytes]:
        """Return the commits that the oldest ones of a shallow clone are built on: the agent may have fetched them."""
        names = self._clones_shallow()[:MOST_REFS]
        contents = (self._calls.run(git("cat-file", "commit", name.decode()), **self._ours) for name in names)
        lines = (line for content in contents for line in content.partition(b"\n\n")[0].splitlines())
        return [line.removeprefix(b"parent ") for line in lines if line.startswith(b"parent ")]

    def _clones_shallow(self) -> list[bytes]:
        shallow = self._calls.workspace.git_dir / "shallow"
        return shallow.read_bytes().split() if shallow.is_file() else []

    def _agents_shallow(self) -> list[bytes]:
        """Return the commits whose parents the agent's repository does not have (gitrepository-layout: shallow)."""
        where = self._calls.ask(self._git_dir, self._files, "rev-parse", "--git-path", "shallow") or b""
        file = self._files / os.fsdecode(where.removesuffix(b"\n"))
        try:
            read = ["head", "-c", str(_SHALLOW_BYTES), "--", str(file)]
            return self._calls.workspace.as_agent(read, timeout=ASK_SECONDS).split()
        except subprocess.CalledProcessError:
            return []

    def _walk(self, refs: Refs) -> Graph:
        """Return the same of an agent that fetched too many commits to list: those that its refs lead to."""
        walk = safe_git("rev-list", "--parents", "--ignore-missing", f"--max-count={MOST_COMMITS + 1}", "--stdin")
        revisions = self._revisions([*refs.tips, *(b"^" + name for name in refs.upstream | refs.other_remotes)])
        variables = self._ours | {"GIT_OBJECT_DIRECTORY": self._store}
        listed = self._calls.run(reading(revisions, walk), **variables)
        return {line.split()[0]: tuple(line.split()[1:]) for line in listed.splitlines()}

    def _copy(self, refs: Mapping[bytes, bytes]) -> dict[bytes, bytes]:
        """Copy the commits of all refs, or of each by itself where one is damaged, and return those that are whole."""
        try:
            wanted = [*self._shallow_lines(), *refs.values(), *self._not_known()]
            copy_objects(self._calls, self._store, wanted, walk=True, most=MAX_BUNDLE_BYTES)
        except subprocess.CalledProcessError:
            return self._copy_each(refs)
        return dict(refs)

    def _copy_each(self, refs: Mapping[bytes, bytes]) -> dict[bytes, bytes]:
        copied, room = dict[bytes, bytes](), MAX_BUNDLE_BYTES
        for ref, name in refs.items():
            have = [b"^" + commit for commit in copied.values()]
            try:
                wanted = [*self._shallow_lines(), name, *have, *self._not_known()]
                copy_objects(self._calls, self._store, wanted, walk=True, most=room)
            except subprocess.CalledProcessError as error:
                too_large = b"pack exceeds maximum allowed size" in (error.stderr or b"")
                limit = f"more than {MAX_BUNDLE_BYTES >> 20} MiB of commits"
                self._omissions.note(ref, limit if too_large else UNREADABLE, None)
            else:
                copied[ref] = name
                room = MAX_BUNDLE_BYTES - self._packed_bytes()
        return copied

    def _packed_bytes(self) -> int:
        listed = self._calls.run(["du", "--bytes", "--summarize", "--", str(self._calls.scratch / "objects")])
        return int(listed.split()[0])

    def _revisions(self, tips: Iterable[bytes]) -> Path:
        fetched = (b"^" + name for name in sorted(self._fetched))
        return self._calls.list_file([*tips, *self._not_known(), *fetched], end=b"\n")

    def _not_known(self) -> Iterable[bytes]:
        return (b"^" + name for name in self._known)

    def _shallow_lines(self) -> Iterable[bytes]:
        """Return what keeps `git pack-objects --revs` from asking for the parents of commits."""
        return (b"--shallow " + name for name in sorted(self._fetched))

    def _lay_out(self, refs: Mapping[bytes, bytes]) -> None:
        """Make a repository of this collection with the refs."""
        folder = str(self._bundle["GIT_DIR"])
        names = {40: "sha1", 64: "sha256"}
        kind = names[len(next(iter(refs.values())))]
        init = git("init", "--quiet", "--bare", "--template=", f"--object-format={kind}", folder)
        self._calls.run(init)
        shallow = [*self._clones_shallow(), *sorted(self._fetched)]
        if shallow:
            self._calls.run(["cp", "--", str(self._calls.list_file(shallow, end=b"\n")), f"{folder}/shallow"])
        creations = (b"create %s\0%s\0" % (name, commit) for name, commit in refs.items())
        self._calls.feed(git("update-ref", "-z", "--stdin"), creations, **self._bundle)

    def _described(self) -> Iterable[KeptRef]:
        form = "--format=%(refname)%00%(objectname)%00%(*objectname)%00%(subject)%00"
        fields = [*self._calls.records(git("for-each-ref", form), **self._bundle)]
        for name, commit, peeled, subject in zip(*(fields[number::4] for number in range(4)), strict=False):
            yield KeptRef(
                name=printable(name.lstrip(b"\n"))[:MAX_RAW_LENGTH],
                commit=(peeled or commit).decode(),
                subject=printable(subject)[:MAX_RAW_LENGTH],
            )


def _without(graph: Graph, tips: Iterable[bytes]) -> Graph:
    """Return the commits that the tips do not lead to."""
    left = reached(graph, tips)
    return {commit: parents for commit, parents in graph.items() if commit not in left}


def copy_objects(
    calls: Calls, store: Path, objects: Iterable[bytes], *, walk: bool = False, most: int | None = None
) -> None:
    """Copy objects of the agent's store into this collection's. Raises `subprocess.CalledProcessError`.

    `walk`: they are commits and what these build on (`^<commit>`), and come with all that they refer to.
    `most`: bytes of their pack.
    """
    wanted = [*objects]
    if not wanted:
        return
    listed = calls.list_file(wanted, end=b"\n")
    pack = safe_git("pack-objects", "--quiet", "--stdout", "--delta-base-offset")
    read = ["env", f"GIT_OBJECT_DIRECTORY={store}", *pack, *(["--revs", "--thin"] if walk else [])]
    write = git(
        "index-pack", "--stdin", "--fix-thin", f"--max-input-size={MAX_BUNDLE_BYTES if most is None else max(most, 1)}"
    )
    script = f"{shlex.join(read)} < {shlex.quote(str(listed))} | {shlex.join(write)}"
    calls.run(["bash", "-o", "pipefail", "-c", script], **calls.variables(calls.workspace.path, "no-index"))


def _list_new_commits(calls: Calls, store: Path) -> list[bytes] | None:
    """Return their names; None when there are more than _MOST_LISTED. Raises `subprocess.CalledProcessError`."""
    # Both lists are sorted by name (git-cat-file: --batch-all-objects).
    listing = shlex.join(safe_git("cat-file", "--batch-all-objects", "--batch-check=%(objectname) %(objecttype)"))
    ours, theirs = f'env GIT_OBJECT_DIRECTORY="$0" {listing}', f'env GIT_OBJECT_DIRECTORY="$1" {listing}'
    script = f"comm -13 <({ours}) <({theirs}) | grep ' commit$' | head -n {_MOST_LISTED + 1}"
    command = ["bash", "-c", script, str(calls.workspace.git_dir / "objects"), str(store)]
    variables = calls.variables(calls.workspace.path, "no-index")
    listed = calls.workspace.as_agent(command, timeout=min(_LIST_SECONDS, calls.left()), **variables)
    names = [line.split(b" ")[0] for line in listed.splitlines()]
    return names if len(names) <= _MOST_LISTED else None


def _read_parents(
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
        return {name: found for part in parts for name, found in _read_parents(calls, part, variables).items()}
    return {name: tuple(parents) for name, *parents in (line.split() for line in listed.splitlines())}
