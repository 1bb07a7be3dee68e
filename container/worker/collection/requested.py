"""The files that a dispatch asks for by patterns, as they are: ignored output, mostly."""

import os
import tarfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import IO, cast

from worker.collection.calls import Calls
from worker.collection.inventory import tolerant
from worker.collection.omissions import Omissions
from worker.collection.record import LINK
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

    def __init__(self, calls: Calls, files: Path, index: str, unfit: Mapping[bytes, str], omissions: Omissions) -> None:
        """`index`: the staged index of the workspace; `unfit`: what no archive can hold -> why."""
        self._calls = calls
        self._files = files
        self._variables = calls.variables(files, index)
        self._inner = calls.variables(files, "index-inner")
        self._unfit = {path.rstrip(b"/"): reason for path, reason in unfit.items()}
        self._omissions = omissions

    def find(self, patterns: Sequence[str]) -> list[bytes]:
        """Return the files that match, without those that are too much. Raises `subprocess.CalledProcessError`."""
        found: set[bytes] = set()
        self._list_inside()
        for pattern in patterns:
            matches = self._matches(pattern)
            found |= matches
            for path in sorted(matches & self._unfit.keys()):
                self._omissions.note(path, self._unfit[path])
            if not matches:
                self._omissions.note(os.fsencode(pattern), "no file matches this pattern of `collect`", 0)
        sizes, kept, room = self._sizes(sorted(found - self._unfit.keys())), list[bytes](), MAX_BYTES
        for path, size in sorted(sizes.items(), key=lambda item: (item[1], item[0])):
            room -= size
            if room < 0 or len(kept) == MOST_FILES:
                reason = f"`collect` keeps {MOST_FILES:,} files of {MAX_BYTES >> 20} MiB together"
                self._omissions.note(path, reason)
            else:
                kept.append(path)
        return sorted(kept)

    def _matches(self, pattern: str) -> set[bytes]:
        listed = set[bytes]()
        for variables, what in ((self._variables, ("--cached", "--others")), (self._inner, ("--cached",))):
            listing = git("-C", str(self._files), "ls-files", *what, "-z", "--", f":(glob){pattern}")
            listed |= {path for path in self._calls.records(listing, **variables) if not path.endswith(b"/")}
        return {*self._sizes(sorted(listed)), *(listed & self._unfit.keys())}

    def _list_inside(self) -> None:
        """Fill an index with the names that git does not list, so that patterns match them.

        It takes a submodule, and another repository inside the workspace, for one entry, and passes over pipes.
        """
        folders = set[bytes]()
        for line in self._calls.records(self._listing("--stage", "--cached"), **self._variables):
            if line.startswith(LINK):
                folders.add(line.partition(b"\t")[2])
        for path in self._calls.records(self._listing("--others"), **self._variables):
            if path.endswith(b"/"):
                folders.add(path.rstrip(b"/"))
        names = self._inside(sorted(folders)) | self._unfit.keys()
        any_object = b"1" * len(self._calls.workspace.commit_before or "1" * 40)
        entries = (b"100644 %s\t%s\0" % (any_object, name) for name in names)
        self._calls.feed(git("update-index", "-z", "--index-info"), entries, **self._inner)

    def _listing(self, *what: str) -> list[str]:
        return git("-C", str(self._files), "ls-files", *what, "-z")

    def _inside(self, folders: list[bytes]) -> set[bytes]:
        """Return the files below the folders. Those that a sparse checkout left out have none."""
        if not folders:
            return set()
        root = bytes(self._files) + b"/"
        listed = self._calls.list_file(root + folder for folder in folders)
        find = 'find "$@" -name .git -prune -o ! -type d -print0'
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
                        elif member.issym():
                            scan.content(target.name, name, [os.fsencode(member.linkname)])
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
