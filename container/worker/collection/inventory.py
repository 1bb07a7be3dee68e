"""What stands in the workspace beside plain files: one walk by `find`, as the agent."""

import stat
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from worker.collection.calls import Calls
from worker.collection.paths import folders_of, is_below

MAX_FILE_BYTES = 100 * 2**20
"""Larger files are left out: GitHub refuses a push with one (docs.github.com: About large files on GitHub)."""
_RULES = (".gitignore", ".gitattributes", ".gitmodules")
_MAX_RULES_BYTES = 2**20
"""Of a file of rules: git reads it as a whole."""
_MAX_PATH_BYTES = 4095
_MAX_NAME_BYTES = 255
"""What Linux takes (limits.h: PATH_MAX with its final zero, NAME_MAX)."""
_MAX_TAG_BLOCKS = 8
"""Of a CACHEDIR.TAG, in 512 bytes."""
_SIGNATURE = "Signature: 8a477f597d28d172789f06886806bc55"
"""What a CACHEDIR.TAG begins with (bford.info/cachedir)."""

_REASONS = {
    b"p": "a named pipe",
    b"s": "a socket",
    b"b": "a device",
    b"c": "a device",
    b"unreadable": "unreadable",
    b"rules": "a file of rules that git cannot read",
}


@dataclass
class Inventory:
    """Paths below the workspace, as bytes without a final slash."""

    unfit: dict[bytes, str] = field(default_factory=dict)
    """What no patch can hold -> why."""
    large: dict[bytes, int] = field(default_factory=dict)
    """Files over the limit -> size."""
    repositories: dict[bytes, int] = field(default_factory=dict)
    """Folders with a `.git` of their own -> its size where it is a file, else -1."""
    caches: set[bytes] = field(default_factory=set)
    """Folders with a CACHEDIR.TAG."""
    environments: set[bytes] = field(default_factory=set)
    """Python environments."""


def take_inventory(calls: Calls, files: Path) -> Inventory:
    """Walk through the workspace. Files that would hold git up, or take all of its memory, are deleted.

    These are rules, and what is no file in a git directory, where git never puts any.
    """
    found, tags = Inventory(), list[bytes]()
    special = ["find", str(files), "-path", "*/.git/*", "-xtype", "p,s,b,c", "-delete"]
    for _ in tolerant(calls.records(special)):
        pass  # it prints nothing
    for record in tolerant(calls.records(_walk(files))):
        kind, size, path = record.split(b"\t", 2)
        folder = path.rpartition(b"/")[0]
        if reason := _REASONS.get(kind):
            found.unfit[path] = reason
        elif kind == b"large":
            found.large[path] = int(size)
        elif kind == b"tag":
            tags.append(path)
        elif folder and kind == b"environment":
            found.environments.add(folder)
        elif folder:  # those of the workspace itself mean nothing
            found.repositories[folder] = int(size) if kind == b"gitfile" else -1
    found.unfit |= dict.fromkeys(_too_long(calls, files), f"a path of more than {_MAX_PATH_BYTES:,} bytes")
    found.caches = {tag.rpartition(b"/")[0] for tag in _signed(calls, files, tags) if b"/" in tag}
    return found


def _walk(files: Path) -> list[str]:
    """Return the call of `find`; it prints `<kind> TAB <size> TAB <path>` of what is to be known."""
    rules = [word for name in _RULES for word in ("-o", "-name", name)][1:]
    pipe = ["-type", "p", "-o", "-name", ".gitmodules", "-xtype", "p"]  # of a link git reads what it names, there alone
    unsafe = ["(", *pipe, "-o", "-type", "f", "-size", f"+{_MAX_RULES_BYTES}c", ")"]
    tag = ["-name", "CACHEDIR.TAG", "-type", "f", "-size", f"-{_MAX_TAG_BLOCKS + 1}"]
    return [
        *("find", str(files), "-mindepth", "1"),
        *("-name", ".git", "-type", "f", "-printf", r"gitfile\t%s\t%P\0"),
        *("-o", "-name", ".git", "-printf", r"git\t0\t%P\0", "-prune"),
        *("-o", "(", *rules, ")", *unsafe, "-printf", r"rules\t0\t%P\0", "-exec", "rm", "-f", "--", "{}", ";"),
        *("-o", "-type", "d", "!", "(", "-readable", "-executable", ")"),
        *("-printf", r"unreadable\t0\t%P/\0", "-prune"),
        *("-o", "-type", "d"),
        *("-o", "-type", "l"),
        *("-o", "-type", "f", "!", "-readable", "-printf", r"unreadable\t0\t%P\0"),
        *("-o", "-type", "f", "-size", f"+{MAX_FILE_BYTES}c", "-printf", r"large\t%s\t%P\0"),
        *("-o", "-name", "pyvenv.cfg", "-type", "f", "-printf", r"environment\t0\t%P\0"),
        *("-o", *tag, "-printf", r"tag\t0\t%P\0"),
        *("-o", "!", "-type", "f", "-printf", r"%y\t0\t%P\0"),
    ]


def _too_long(calls: Calls, files: Path) -> Iterator[bytes]:
    """Yield the highest paths that no program can open by name."""
    longest = _MAX_PATH_BYTES - len(bytes(files)) - 1
    deep = ["-mindepth", str(_MAX_PATH_BYTES // _MAX_NAME_BYTES - 1)]
    walk = ["find", str(files), *deep, "-name", ".git", "-prune", "-o", "-printf", r"%P\0"]
    for path in tolerant(calls.records(walk)):
        if len(path) > longest >= len(path.rpartition(b"/")[0]):
            yield path


def _signed(calls: Calls, files: Path, tags: list[bytes]) -> Iterator[bytes]:
    """Yield the tags that are what they are named after."""
    if tags:
        root = bytes(files) + b"/"
        command = ["xargs", "-0", "-a", str(calls.list_file(root + tag for tag in tags))]
        for path in tolerant(
            calls.records([*command, "grep", "--files-with-matches", "--null", "-F", _SIGNATURE, "--"])
        ):
            yield path.removeprefix(root)


def sizes_of(calls: Calls, files: Path, paths: list[bytes]) -> dict[bytes, int]:
    """Return the sizes of those paths at which something else than a folder is.

    What is below a symbolic link is at another path, or not in the workspace at all.
    """
    if not paths:
        return {}
    root = bytes(files) + b"/"
    folders = {folder.rstrip(b"/") for folder in folders_of(paths)}
    listed = calls.list_file(root + path for path in {*paths, *folders})
    command = ["xargs", "-0", "-a", str(listed), "stat", r"--printf=%s\t%f\t%n\0", "--"]
    sizes, links = dict[bytes, int](), set[bytes]()
    for record in tolerant(calls.records(command)):
        size, mode, name = record.split(b"\t", 2)
        path, kind = name.removeprefix(root), stat.S_IFMT(int(mode, 16))
        if kind != stat.S_IFDIR:
            sizes[path] = int(size)
        if kind == stat.S_IFLNK and path in folders:
            links.add(path)
    return {path: sizes[path] for path in paths if path in sizes and not is_below(path, links)}


def tolerant(records: Iterator[bytes]) -> Iterator[bytes]:
    """Yield what a program prints that ends with an error for single files, such as one that it may not read."""
    try:
        yield from records
    except subprocess.CalledProcessError as error:
        if error.returncode not in (1, 123):  # find and grep; xargs for either
            raise
