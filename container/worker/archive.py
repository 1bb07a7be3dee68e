"""The archive of a persistent workspace: unpacked to local disk before the run, written back by rename after it.

    <tenant>/<workspace>.tar.zst        the agent's files, as its last run left them
    <tenant>/<workspace>.base.tar.zst   the harness's repository that patches compare with; written once
    <tenant>/<workspace>.lock           the latest holder, which shuts out every earlier one

Only the harness's uid reaches these files. The agent's are packed and unpacked with the agent's rights: the harness
passes their bytes on and never opens one. The lock is the fence: a worker that was paused, and whose dispatch was
closed meanwhile, finds a later holder in it and writes nothing.
"""

import fcntl
import subprocess
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import zstandard

from outpost.domain.protocol import Assignment
from outpost.domain.workspaces import archive_name
from worker.isolation import NoIsolation, feed_as_agent, stream_as_agent
from worker.workspace import Workspace

UNPACK_SECONDS = 600.0
_HERE = NoIsolation()
"""For the harness's own files."""
_FAILURES = (OSError, zstandard.ZstdError, subprocess.SubprocessError)
_LEVEL = 3
_CHUNK = 1024 * 1024


class ArchiveError(Exception):
    """The workspace could not be brought here or kept; the text says why."""


class ArchiveFullError(ArchiveError):
    """The workspace is larger than the tenant may keep."""


class Archive:
    """One workspace's files on the file system."""

    def __init__(self, folder: Path, assignment: Assignment) -> None:
        self._file = folder / archive_name(assignment.tenant_id, assignment.spec.workspace_id or "")
        self._base = self._sibling("base.tar.zst")
        self._lock = self._sibling("lock")
        self._room = assignment.workspace_room or 0
        self._holder = f"{assignment.dispatch_id} {assignment.lease.token:06d}"
        """Sorts as holders follow each other: ids grow with time, tokens with each attempt."""

    def _sibling(self, ending: str) -> Path:
        return self._file.with_name(f"{self._file.name.removesuffix('.tar.zst')}.{ending}")

    def restore(self, workspace: Workspace) -> bool:
        """Take the workspace and unpack what there is; False when this is its first run. Raises `ArchiveError`."""
        try:
            self._file.parent.mkdir(mode=0o750, exist_ok=True)
            with self._locked() as lock:
                lock.seek(0)
                lock.truncate()
                lock.write(self._holder)
            if not self._file.exists():
                return False
            feed_as_agent(
                _HERE,
                _extract(workspace.root),
                _decompressed(self._base),
                environment=workspace.environment(),
                timeout=UNPACK_SECONDS,
            )
            workspace.feed_as_agent(_extract(workspace.path), _decompressed(self._file), timeout=UNPACK_SECONDS)
        except _FAILURES as error:
            raise ArchiveError(f"the workspace could not be unpacked: {error}") from error
        return True

    def save(self, workspace: Workspace, seconds: float, reserve: Callable[[int], int | None]) -> int:
        """Write the workspace back and return what it takes now, in bytes. Raises `ArchiveError`; nothing is lost then.

        Packing each of its two parts may take `seconds`. `reserve` is called with the size before anything is replaced,
        and returns the room in bytes when that is too little.
        """
        base, files = (self._sibling(f"{self._holder.replace(' ', '-')}.{name}.tmp") for name in ("base", "files"))
        try:
            kept = self._base.stat().st_size if self._base.exists() else self._pack_base(base, workspace, seconds)
            # What the agent made unreadable for itself is kept as well.
            workspace.make_readable(seconds)
            data = workspace.stream_as_agent(_create(workspace.path, "."), timeout=seconds)
            size = kept + self._write(files, data, self._room - kept)
            if (room := reserve(size)) is not None:
                raise _full(room)
            if base.exists():
                self._commit(base, self._base)
            self._commit(files, self._file)
        except _FAILURES as error:
            raise ArchiveError(f"the workspace could not be kept: {error}") from error
        finally:
            base.unlink(missing_ok=True)
            files.unlink(missing_ok=True)
        return size

    def _pack_base(self, target: Path, workspace: Workspace, seconds: float) -> int:
        create = _create(workspace.root, "repository")
        repository = stream_as_agent(_HERE, create, environment=workspace.environment(), timeout=seconds)
        return self._write(target, repository, self._room)

    def _write(self, target: Path, data: Iterable[bytes], room: int) -> int:
        size = 0
        with target.open("wb") as file:
            for chunk in _compressed(data):
                size += len(chunk)
                if size > room:
                    raise _full(room)
                file.write(chunk)
        return size

    def _commit(self, part: Path, target: Path) -> None:
        """Rename, unless a later attempt took the workspace: none can while we hold the lock."""
        with self._locked() as lock:
            lock.seek(0)
            if lock.read() != self._holder:
                raise ArchiveError("another attempt holds the workspace by now")
            part.replace(target)

    @contextmanager
    def _locked(self) -> Iterator[IO[str]]:
        """Hold the lock file; NFS keeps such locks between machines. Raises `ArchiveError` for an earlier holder."""
        with self._lock.open("a+", encoding="ascii") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            lock.seek(0)
            if lock.read() > self._holder:
                raise ArchiveError("a later attempt holds the workspace by now")
            yield lock


def _full(room: int) -> ArchiveFullError:
    return ArchiveFullError(f"the workspace is larger than the {room >> 20} MiB that are left for it")


def _create(folder: Path, name: str) -> list[str]:
    return ["tar", "--create", "--file=-", f"--directory={folder}", "--", name]


def _extract(folder: Path) -> list[str]:
    return ["tar", "--extract", "--file=-", f"--directory={folder}", "--no-same-owner"]


def _compressed(data: Iterable[bytes]) -> Iterator[bytes]:
    packer = zstandard.ZstdCompressor(level=_LEVEL).compressobj()
    for chunk in data:
        yield packer.compress(chunk)
    yield packer.flush()


def _decompressed(file: Path) -> Iterator[bytes]:
    with file.open("rb") as source:
        yield from zstandard.ZstdDecompressor().read_to_iter(source, read_size=_CHUNK)
