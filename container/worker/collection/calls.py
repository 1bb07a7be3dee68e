"""The programs that a collection runs, all as the agent, until one deadline."""

import shutil
import subprocess
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from worker.git import git
from worker.workspace import Workspace

ASK_SECONDS = 10.0
"""What one question to a git directory of the agent may take: a named pipe in it would hold git for ever."""

# What git could be made to run or fetch by a configuration of the agent's, beside what worker.git switches off.
_NO_PROGRAMS = (
    "core.commitGraph=false",
    "core.multiPackIndex=false",
    "pack.useBitmaps=false",
    "pack.threads=2",
    "log.showSignature=false",
    "submodule.recurse=false",
)
_NO_FETCH = {"GIT_ALLOW_PROTOCOL": "none", "GIT_NO_LAZY_FETCH": "1", "GIT_NO_REPLACE_OBJECTS": "1"}
"""A missing object of a partial clone would be fetched, by a program that the remote's configuration names."""


class Calls:
    """Runs git and programs like `find`; the index and the objects made on the way are this collection's own."""

    def __init__(self, workspace: Workspace, seconds: float) -> None:
        self.workspace = workspace
        self.scratch = workspace.root / "collect"
        self._deadline = time.monotonic() + seconds
        self._dead: set[Path] = set()
        """Git directories of the agent that did not return in time."""
        self._lists = 0

    def left(self) -> float:
        """Return the seconds until the deadline, one at least."""
        return max(1.0, self._deadline - time.monotonic())

    def room(self) -> int:
        """Return how many bytes the disk has left."""
        return shutil.disk_usage(self.workspace.root).free

    def variables(self, files: Path, index: str, *objects: Path) -> dict[str, str | Path]:
        """Return git's variables: the harness's git directory, over `files`, with an index of this collection.

        `objects` are object stores of the agent's, to be read after the harness's.
        """
        stores = [self.workspace.git_dir / "objects", *objects]
        return {
            "GIT_DIR": self.workspace.git_dir,
            "GIT_WORK_TREE": files,
            "GIT_INDEX_FILE": self.scratch / index,
            "GIT_OBJECT_DIRECTORY": self.scratch / "objects",
            "GIT_ALTERNATE_OBJECT_DIRECTORIES": ":".join(_quoted(store) for store in stores),
            **_NO_FETCH,
        }

    def run(self, argv: Sequence[str], **variables: str | Path) -> bytes:
        """Run a program and return its output. Raises `subprocess.CalledProcessError`."""
        return self.workspace.as_agent(argv, timeout=self.left(), **variables)

    def stream(self, argv: Sequence[str], **variables: str | Path) -> Iterator[bytes]:
        """Run a program and yield its output. Raises `subprocess.CalledProcessError`."""
        return self.workspace.stream_as_agent(argv, timeout=self.left(), **variables)

    def feed(self, argv: Sequence[str], data: Iterable[bytes], **variables: str | Path) -> None:
        """Run a program that reads `data`. Raises `subprocess.CalledProcessError`."""
        self.workspace.feed_as_agent(argv, data, timeout=self.left(), **variables)

    def records(self, argv: Sequence[str], **variables: str | Path) -> Iterator[bytes]:
        """Run a program and yield what it prints, split at zero bytes. Raises `subprocess.CalledProcessError`."""
        rest = b""
        for chunk in self.stream(argv, **variables):
            *complete, rest = (rest + chunk).split(b"\0")
            yield from complete

    def ask(self, git_dir: Path, files: Path, *arguments: str) -> bytes | None:
        """Run git in a git directory of the agent's; return None when it fails."""
        if git_dir in self._dead:
            return None
        command = safe_git("-C", str(files), *arguments)
        variables: dict[str, str | Path] = {"GIT_DIR": git_dir, "GIT_WORK_TREE": files, **_NO_FETCH}
        timeout, started = min(ASK_SECONDS, self.left()), time.monotonic()
        try:
            return self.workspace.as_agent(command, timeout=timeout, **variables)
        except subprocess.CalledProcessError:
            if time.monotonic() - started >= timeout - 0.5:
                self._dead.add(git_dir)
            return None

    def list_file(self, records: Iterable[bytes], end: bytes = b"\0") -> Path:
        """Write a list to a file that the agent can read and not write; `end` follows each entry."""
        self._lists += 1
        file = self.workspace.root / f"collect-list-{self._lists}"
        with file.open("wb") as stream:
            stream.writelines(record + end for record in records)
        file.chmod(0o644)
        return file


def safe_git(*arguments: str) -> list[str]:
    """Return the argv of a git call in a git directory of the agent's."""
    return git(*(word for setting in _NO_PROGRAMS for word in ("-c", setting)), *arguments)


def reading(file: Path, argv: Sequence[str]) -> list[str]:
    """Return the argv of a program whose standard input is a file."""
    return ["bash", "-c", 'exec "$@" < "$0"', str(file), *argv]


def _quoted(path: Path) -> str:
    """Return a path as git wants it in a list of object stores: a colon separates, so it is quoted like a C string."""
    text = str(path)
    if not set(text) & set(':"\\\n'):
        return text
    return '"' + "".join(f"\\{ord(character):03o}" if character in ':"\\\n' else character for character in text) + '"'
