"""Recipes of the documentation: sections with whole files, changes, and the commands that check them."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
_FILE = re.compile(r"^```(?:python|json|toml) (\S+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_DIFF = re.compile(r"^```diff\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_COMMANDS = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_MODULE = re.compile(r"^(lambda/[^/]+)/.*")


class Change(NamedTuple):
    """Lines of one place of a file, before and after."""

    path: str
    before: str
    after: str


@dataclass(frozen=True)
class Recipe:
    """A section of a page."""

    title: str
    text: str

    @property
    def files(self) -> dict[str, str]:
        """The files that it adds: path -> content."""
        return dict(_FILE.findall(self.text))

    @property
    def changes(self) -> list[Change]:
        """Its changes to files that exist."""
        return [
            _change(path, hunk.splitlines(keepends=True))
            for diff in _DIFF.findall(self.text)
            for path, _, hunks in (part.partition("\n") for part in diff.split("+++ b/")[1:])
            for hunk in hunks.split("@@ @@\n")[1:]
        ]

    @property
    def commands(self) -> list[str]:
        """The commands that check it, one a line."""
        return [line for block in _COMMANDS.findall(self.text) for line in block.splitlines()]

    @property
    def places(self) -> set[str]:
        """The files that it touches, tests left out; a new package of a function is one."""
        touched = {*self.files, *(change.path for change in self.changes)}
        return {_MODULE.sub(r"\1", path) for path in touched if not path.startswith("tests/")}

    def apply(self, folder: Path) -> None:
        """Add the files and make the changes. Raises `AssertionError` for a change without exactly one place."""
        for path, content in self.files.items():
            folder.joinpath(path).parent.mkdir(parents=True, exist_ok=True)
            folder.joinpath(path).write_text(content, encoding="utf-8")
        for path, before, after in self.changes:
            text = folder.joinpath(path).read_text(encoding="utf-8")
            assert text.count(before) == 1, f"{path} has no single place for: {before}"
            folder.joinpath(path).write_text(text.replace(before, after), encoding="utf-8")


def recipes(page: str) -> list[Recipe]:
    """Return the sections of a page of docs/ that hold a file or a change."""
    sections = re.split(r"^## ", (ROOT / "docs" / page).read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    found = [Recipe(*section.split("\n", 1)) for section in sections]
    return [recipe for recipe in found if recipe.places]


def _change(path: str, lines: list[str]) -> Change:
    before = "".join(line[1:] for line in lines if not line.startswith("+"))
    after = "".join(line[1:] for line in lines if not line.startswith("-"))
    return Change(path, before, after)
