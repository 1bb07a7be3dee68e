"""The glossary's terms are defined where it says, and words that they replaced are gone from the code."""

import ast
import re
import subprocess
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[2]
REPLACED = (
    "agents_word",
    "clear_away",
    "departures",
    "Outlook",
    "patiently",
    "quick_calls",
    "quicken",
    "told_by",
)


class Row(NamedTuple):
    """A row of the glossary: `name` is defined in `path`."""

    term: str
    path: str
    name: str


def rows() -> list[Row]:
    text = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8")
    return [Row(*found) for found in re.findall(r"^\| ([^|]+) \| [^|]+ \| `([^`]+)` `(\w+)` \|$", text, re.MULTILINE)]


def definitions(path: str) -> set[str]:
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    return {node.name for node in tree.body if isinstance(node, ast.ClassDef | ast.FunctionDef)}


@pytest.mark.parametrize("row", rows(), ids=lambda row: row.term)
def test_a_term_is_defined_where_the_glossary_says(row: Row) -> None:
    assert row.name in definitions(row.path)


def test_every_line_of_the_table_is_a_row_in_order() -> None:
    text = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8")
    assert len(rows()) == text.count("\n| ") - 1
    assert [row.term for row in rows()] == sorted(row.term for row in rows())


@pytest.mark.parametrize("word", REPLACED)
def test_a_word_that_was_replaced_is_gone(word: str) -> None:
    command = ("git", "ls-files", "*.py")
    tracked = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    files = [path for path in tracked.splitlines() if not path.startswith("tests/") and (ROOT / path).exists()]
    assert files
    assert [path for path in files if re.search(rf"\b_?{word}\b", (ROOT / path).read_text(encoding="utf-8"))] == []
