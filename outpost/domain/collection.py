"""What the collection of a run's results kept beside the patch, and what it left out and why."""

from collections.abc import Callable, Iterable
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, StringConstraints

from outpost.domain.value import CamelValue

MAX_TEXT_LENGTH = 256
"""Characters kept of a path, a name or a commit's subject."""
MAX_RAW_LENGTH = 1000
"""Characters that are read of one. It is cut after its secrets were taken out, or half of one would stay."""
MOST_LISTED = 100
"""Entries of each kind in the summary; the counts are of all."""
BRIEF_LISTED = 10
"""Entries of each kind in a dispatch's row: a list reads a thousand rows."""

MOST_GLOBS = 20
"""Patterns of files to keep that a dispatch may name."""
MAX_GLOB_LENGTH = 128


def check_glob(glob: str) -> str:
    """Return the pattern. Raises `ValueError` unless it is of paths below the workspace."""
    parts = glob.split("/")
    if glob.startswith(("/", "~")) or ".." in parts or "\\" in glob or not glob.isprintable():
        raise ValueError(
            f"{glob!r} is not a pattern of paths below the workspace: use a relative path without `..` or "
            "backslashes, such as dist/*.whl or reports/**/*.html"
        )
    if ".git" in parts or not any(part not in ("", ".") for part in parts):
        raise ValueError(f"{glob!r} names no files: name a folder or files other than .git")
    return glob


Glob = Annotated[str, StringConstraints(min_length=1, max_length=MAX_GLOB_LENGTH), AfterValidator(check_glob)]
"""A pattern of paths below the workspace, as git's `:(glob)`: `*` within a folder, `**` through folders."""


class LeftOut(CamelValue):
    """Files of one place that are not in the patch."""

    path: str
    """Of a file, or of a folder with a final slash, below the workspace."""
    reason: str
    files: int | None = None
    """How many files; None when they were not counted."""


class KeptRef(CamelValue):
    """A branch, tag or stash of the agent with commits that the repository does not have: it is in `commits.bundle`."""

    name: str
    """The ref in the bundle, such as `refs/heads/fix`."""
    commit: str
    subject: str


class NestedChange(CamelValue):
    """Edits in a submodule or in another worktree of the repository: they are in `nested.patch`."""

    path: str
    kind: Literal["submodule", "worktree"]
    base: str | None = None
    """The commit that the patch was made against; None when there is none."""
    files_changed: int


_KINDS = ("left_out", "refs", "nested")


class Collection(CamelValue):
    """What there is to know about the results of one attempt beside the patch."""

    left_out: tuple[LeftOut, ...] = ()
    left_out_count: int = Field(default=0, ge=0)
    """All places, listed or not."""
    refs: tuple[KeptRef, ...] = ()
    refs_count: int = Field(default=0, ge=0)
    nested: tuple[NestedChange, ...] = ()
    nested_count: int = Field(default=0, ge=0)

    @classmethod
    def of(
        cls, left_out: Iterable[LeftOut] = (), refs: Iterable[KeptRef] = (), nested: Iterable[NestedChange] = ()
    ) -> "Collection":
        """Return the first entries of each kind, and how many there are."""
        found = cls(left_out=tuple(left_out), refs=tuple(refs), nested=tuple(nested))
        counts = {f"{kind}_count": len(getattr(found, kind)) for kind in _KINDS}
        return found.model_copy(update=counts)._first(MOST_LISTED)

    def _first(self, most: int) -> "Collection":
        return self.model_copy(update={kind: getattr(self, kind)[:most] for kind in _KINDS})

    def __bool__(self) -> bool:
        """Return whether there is anything to know."""
        return bool(self.left_out_count or self.refs_count or self.nested_count)

    def brief(self) -> "Collection":
        """Return the same with as many entries as a row keeps."""
        return self._first(BRIEF_LISTED)

    def clean(self, redact: Callable[[str], str]) -> "Collection":
        """Return the same with every text of the agent's passed through `redact`, and then cut."""

        def cleaned(text: str) -> str:
            return redact(text)[:MAX_TEXT_LENGTH]

        return self.model_copy(
            update={
                "left_out": tuple(item.model_copy(update={"path": cleaned(item.path)}) for item in self.left_out),
                "refs": tuple(
                    ref.model_copy(update={"name": cleaned(ref.name), "subject": cleaned(ref.subject)})
                    for ref in self.refs
                ),
                "nested": tuple(change.model_copy(update={"path": cleaned(change.path)}) for change in self.nested),
            }
        )

    def describe(self) -> list[str]:
        """Return it as lines for a log, one for each reason and each thing kept."""
        places: dict[str, list[str]] = {}
        for item in self.left_out:
            places.setdefault(item.reason, []).append(item.path)
        lines = [f"left out: {_few(paths)} ({reason})" for reason, paths in places.items()]
        if more := self.left_out_count - len(self.left_out):
            lines.append(f"left out: {more} more")
        lines += [f"kept in commits.bundle: {ref.name} at {ref.commit} ({ref.subject})" for ref in self.refs[:_SHOWN]]
        if self.refs_count > _SHOWN:
            lines.append(f"kept in commits.bundle: {self.refs_count - _SHOWN} more refs")
        lines += [
            f"kept in nested.patch: {change.files_changed} files changed in the {change.kind} {change.path}"
            for change in self.nested[:_SHOWN]
        ]
        if self.nested_count > _SHOWN:
            lines.append(f"kept in nested.patch: {self.nested_count - _SHOWN} more repositories")
        return lines


_SHOWN = 10
"""Entries of a kind that the log names."""


def _few(paths: list[str]) -> str:
    shown = ", ".join(paths[:_SHOWN])
    return f"{shown} and {len(paths) - _SHOWN} more" if len(paths) > _SHOWN else shown
