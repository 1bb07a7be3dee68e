"""Tables of docs/performance.md that are written by what measures."""

import re
from pathlib import Path

PAGE = Path(__file__).resolve().parents[1] / "docs" / "performance.md"


def write_table(head: str, rows: str, note: str = "") -> None:
    """Put these rows below a table's head, in place of those that are there, and the note after it."""
    after = r"\n\S.*\n" if note else ""
    found = re.compile(rf"^{re.escape(head)}\n(?:\|.*\n)+{after}", re.MULTILINE)
    columns = head.count("|") - 1
    table = "\n".join([head, "|---" * columns + "|", rows, *(["", note] if note else []), ""])
    PAGE.write_text(found.sub(lambda _: table, PAGE.read_text(encoding="utf-8")), encoding="utf-8")
