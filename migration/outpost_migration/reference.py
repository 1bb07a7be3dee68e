"""What the documentation has of the steps: JSON schemas of the reports and a table of the runbook.

`python -m outpost_migration.reference` writes them; a test compares them with the steps.
"""

import json
import re
from pathlib import Path

from outpost_migration.registry import STEPS

DOCS = Path(__file__).resolve().parents[2] / "docs"
SCHEMAS = DOCS / "schemas"
RUNBOOK = DOCS / "migration-runbook.md"
_HEAD = "| # | command | takes | changes |\n|---|---|---|---|\n"


def schemas() -> dict[str, str]:
    """Return file name -> content of every schema."""
    return {
        f"{step.report.file}.schema.json": json.dumps(
            step.report.model_json_schema(mode="serialization"), indent=2, sort_keys=True
        )
        + "\n"
        for step in STEPS.values()
    }


def runbook(text: str) -> str:
    """Return the runbook with the table of the steps as they are."""
    listed = [step for step in STEPS.values() if step.takes]
    rows = [
        f"| {number} | `outpost migrate {step.name}` | {step.takes} | {step.changes} |\n"
        for number, step in enumerate(listed, start=1)
    ]
    return re.sub(rf"{re.escape(_HEAD)}(\|.*\n)*", lambda _: _HEAD + "".join(rows), text)


if __name__ == "__main__":
    for file, text in schemas().items():
        (SCHEMAS / file).write_text(text, encoding="utf-8")
    RUNBOOK.write_text(runbook(RUNBOOK.read_text(encoding="utf-8")), encoding="utf-8")
