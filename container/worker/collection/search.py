"""Searches commits for secrets: their messages, and the files that they bring."""

import subprocess
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path

from worker.collection.calls import Calls, reading
from worker.git import git
from worker.secret_scan import SecretScan

_ADDED = ("--root", "-m", "-r", "-z", "--no-commit-id", "--name-only", "--no-renames", "--diff-filter=A")
"""Options of `git diff-tree` that list the names which a commit adds, also of files whose contents are not new."""


def search_commits(
    calls: Calls, revisions: Path, variables: Mapping[str, str | Path], scan: SecretScan, artifact: str
) -> None:
    """Search all that `git rev-list --all` finds beside `revisions` (a file), and the names of refs.

    `variables`: git's. What a file or a folder already held in the commit that the run began with is not new.
    Raises `subprocess.CalledProcessError`.
    """
    for ref in calls.run(git("for-each-ref", "--format=%(refname)"), **variables).splitlines():
        scan.name(artifact, ref)
    walk = git("rev-list", "--objects", "--all", "--stdin")
    # A path may have a carriage return in it; of one with a line feed git prints what is before that.
    lines = calls.run(reading(revisions, walk), **variables).split(b"\n")
    paths = {name: path for name, _, path in (line.partition(b" ") for line in lines if line)}
    commits = calls.list_file((line for line in lines if line and b" " not in line), end=b"\n")
    added = git("diff-tree", "--stdin", *_ADDED)
    for path in sorted(set(calls.records(reading(commits, added), **variables))):
        scan.name(artifact, path)
    listed = calls.list_file(paths, end=b"\n")
    objects = _Reader(calls.stream(reading(listed, git("cat-file", "--batch")), **variables))
    for name, path in paths.items():
        kind, size = objects.line().split(b" ")[1:]
        content = objects.take(int(size))
        if kind == b"blob":
            scan.content(artifact, path or b"blob " + name, content, partial(_before, calls, path))
        elif kind == b"tree":  # also of files whose contents are not new
            scan.content(artifact, path + b"/", content, partial(_before, calls, path))
        else:
            scan.content(artifact, b"%s %s" % (kind, name), content)
        objects.line()


def _before(calls: Calls, path: bytes) -> Iterator[bytes]:
    """Yield what the file or the folder held at the beginning, if it was there."""
    workspace = calls.workspace
    if workspace.commit_before is None:
        return
    name = f"{workspace.commit_before}:".encode() + path
    batch = reading(calls.list_file([name], end=b"\n"), git("cat-file", "--batch"))
    objects = _Reader(calls.stream(batch, **calls.variables(workspace.path, "no-index")))
    try:
        header = objects.line().rsplit(b" ", 2)
        yield from objects.take(int(header[2])) if header[1:2] in ([b"blob"], [b"tree"]) else ()
    except (subprocess.CalledProcessError, EOFError):
        return


class _Reader:
    """Reads lines and blocks from a stream of chunks."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = iter(chunks)
        self._waiting = b""

    def line(self) -> bytes:
        """Return what comes before the next line feed. Raises `EOFError`."""
        while b"\n" not in self._waiting:
            self._waiting += self._next()
        line, _, self._waiting = self._waiting.partition(b"\n")
        return line

    def take(self, size: int) -> Iterator[bytes]:
        """Yield the next `size` bytes. Raises `EOFError`."""
        while size > 0:
            self._waiting = self._waiting or self._next()
            piece, self._waiting = self._waiting[:size], self._waiting[size:]
            size -= len(piece)
            yield piece

    def _next(self) -> bytes:
        try:
            return next(self._chunks)
        except StopIteration:
            raise EOFError from None
