"""The files that a dispatch asks for by patterns, as they are: ignored output, mostly."""

import os
import tarfile
import zlib
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import IO, cast

from worker.collection.calls import Calls
from worker.collection.inventory import tolerant
from worker.collection.omissions import Omissions
from worker.git import git
from worker.secret_scan import SecretScan

MAX_BYTES = 512 * 2**20
"""Of all files together."""
MOST_FILES = 50_000
_CHUNK = 64 * 1024
_GZIP = 31
"""zlib's window bits for the gzip format."""


class RequestedFiles:
    """Finds the files and packs them into an archive."""

    def __init__(self, calls: Calls, files: Path, index: str, omissions: Omissions) -> None:
        """`index`: the staged index of the workspace."""
        self._calls = calls
        self._files = files
        self._variables = calls.variables(files, index)
        self._omissions = omissions

    def find(self, patterns: Sequence[str]) -> list[bytes]:
        """Return the files that match, without those that are too much. Raises `subprocess.CalledProcessError`."""
        found: set[bytes] = set()
        for pattern in patterns:
            matches = self._matches(pattern)
            found |= matches
            if not matches:
                self._omissions.note(os.fsencode(pattern), "no file matches this pattern of `collect`", 0)
        sizes, kept, room = self._sizes(sorted(found)), list[bytes](), MAX_BYTES
        for path, size in sorted(sizes.items(), key=lambda item: (item[1], item[0])):
            room -= size
            if room < 0 or len(kept) == MOST_FILES:
                reason = f"`collect` keeps {MOST_FILES:,} files of {MAX_BYTES >> 20} MiB together"
                self._omissions.note(path, reason)
            else:
                kept.append(path)
        return sorted(kept)

    def _matches(self, pattern: str) -> set[bytes]:
        listing = git("-C", str(self._files), "ls-files", "--cached", "--others", "-z", "--", f":(glob){pattern}")
        listed = {path.rstrip(b"/") for path in self._calls.records(listing, **self._variables)}
        files = self._sizes(sorted(listed)).keys()
        return files | self._inside(sorted(listed - files))

    def _inside(self, folders: list[bytes]) -> set[bytes]:
        """Return the files of submodules and other repositories inside the workspace, each of which git lists as one.

        Files that a sparse checkout left out have nothing inside.
        """
        if not folders:
            return set()
        root = bytes(self._files) + b"/"
        listed = self._calls.list_file(root + folder for folder in folders)
        find = 'find "$@" -name .git -prune -o -print0'
        found = self._calls.records(["xargs", "-0", "-a", str(listed), "sh", "-c", find, "sh"])
        return {path.removeprefix(root) for path in tolerant(found)}

    def _sizes(self, paths: list[bytes]) -> dict[bytes, int]:
        """Return the sizes of those paths that are files or symbolic links."""
        if not paths:
            return {}
        root = bytes(self._files) + b"/"
        listed = self._calls.list_file(root + path for path in paths)
        stat = ["xargs", "-0", "-a", str(listed), "stat", r"--printf=%F\t%s\t%n\0", "--"]
        fields = (record.split(b"\t", 2) for record in tolerant(self._calls.records(stat)))
        wanted = (b"regular file", b"regular empty file", b"symbolic link")
        return {path.removeprefix(root): int(size) for kind, size, path in fields if kind in wanted}

    def pack(self, paths: list[bytes], target: Path, scan: SecretScan) -> None:
        """Write the archive and search what is in it. Raises `subprocess.CalledProcessError`, `EOFError`."""
        listed = self._calls.list_file(paths)
        options = ["--format=gnu", "--owner=0", "--group=0", "--numeric-owner", "--no-recursion", "--hard-dereference"]
        create = ["tar", "--create", "--file=-", f"--directory={self._files}", *options, "--null"]
        with target.open("wb") as file:
            stream = _Packed(self._calls.stream([*create, f"--files-from={listed}"]), file)
            try:
                with tarfile.open(fileobj=cast("IO[bytes]", stream), mode="r|") as archive:
                    for member in archive:
                        name = os.fsencode(member.name)
                        scan.name(target.name, name)
                        if member.isfile() and (content := archive.extractfile(member)):
                            scan.content(target.name, name, iter(partial(content.read, _CHUNK), b""))
            except tarfile.TarError as error:
                raise EOFError from error
            stream.finish()


class _Packed:
    """A stream to read from, which compresses into a file what is read."""

    def __init__(self, chunks: Iterator[bytes], file: IO[bytes]) -> None:
        self._chunks = chunks
        self._file = file
        self._packer = zlib.compressobj(wbits=_GZIP)
        self._waiting = b""

    def read(self, size: int) -> bytes:
        """Return the next bytes, at most `size`; none at the end."""
        while len(self._waiting) < size and (chunk := next(self._chunks, b"")):
            self._file.write(self._packer.compress(chunk))
            self._waiting += chunk
        data, self._waiting = self._waiting[:size], self._waiting[size:]
        return data

    def finish(self) -> None:
        """Read the rest, and end the file."""
        while self.read(_CHUNK):
            pass
        self._file.write(self._packer.flush())
