"""Formats of keys are spelled in `outpost.store.keys` and nowhere else: of two spellings, one would read nothing."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
KEYS = ROOT / "outpost" / "store" / "keys.py"


def texts(path: Path) -> Iterator[str]:
    """Yield the texts of a file, and the literal parts of its f-strings."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def test_no_other_file_spells_the_format_of_a_key() -> None:
    formats = {found[0] for text in texts(KEYS) if (found := re.match(r"[A-Z]+#", text))}
    assert {"DISPATCH#", "LEASE#", "SLOT#", "WORKSPACE#"} < formats
    others = (
        path for root in ("outpost", "lambda", "container") for path in (ROOT / root).rglob("*.py") if path != KEYS
    )
    spelled = [(path.name, text) for path in others for text in texts(path) if text.startswith(tuple(formats))]
    assert spelled == []
