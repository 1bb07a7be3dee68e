"""Writes the reports' JSON schemas: `python -m outpost_migration.schemas`. A test compares them with the models."""

import json
from pathlib import Path

from outpost_migration.reports import REPORTS, schema_of

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "schemas"


def texts() -> dict[str, str]:
    """Return file name -> content of every schema."""
    return {
        f"{name}.schema.json": json.dumps(schema_of(model), indent=2, sort_keys=True) + "\n"
        for name, model in REPORTS.values()
    }


if __name__ == "__main__":
    FOLDER.mkdir(parents=True, exist_ok=True)
    for file, text in texts().items():
        (FOLDER / file).write_text(text, encoding="utf-8")
