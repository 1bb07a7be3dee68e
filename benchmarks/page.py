"""Where figures go: a file of all of them, and tables of docs/performance.md."""

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path

from outpost.domain.ids import now

PAGE = Path(__file__).resolve().parents[1] / "docs" / "performance.md"


def write_table(head: str, rows: str, note: str = "") -> None:
    """Put these rows below a table's head, in place of those that are there, and the note after it."""
    after = r"\n\S.*\n" if note else ""
    found = re.compile(rf"^{re.escape(head)}\n(?:\|.*\n)+{after}", re.MULTILINE)
    columns = head.count("|") - 1
    table = "\n".join([head, "|---" * columns + "|", rows, *(["", note] if note else []), ""])
    PAGE.write_text(found.sub(lambda _: table, PAGE.read_text(encoding="utf-8")), encoding="utf-8")


def write_figures(path: Path, figures: Mapping[str, object]) -> str:
    """Write figures as JSON, with when and on what they were measured; return a line about that for the reader."""
    at, load, cpus = now(), [round(figure, 1) for figure in os.getloadavg()], os.cpu_count()
    path.parent.mkdir(exist_ok=True)
    document = {"at": at.isoformat(), "load": load, "cpus": cpus, **figures}
    path.write_text(f"{json.dumps(document, indent=2)}\n", encoding="utf-8")
    return f"Measured {at:%Y-%m-%d} on {cpus} CPUs at a load of {load[0]:g}."
