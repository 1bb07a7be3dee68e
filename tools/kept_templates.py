"""Keep templates that later changes are tested against: `python -m tools.kept_templates baselines`, or `previous`.

Baselines are prod's stateful stacks, in stacks/baselines. Previous are dev's as a release deploys them, which an update
begins with, in stacks/previous: one line each, as nobody reads their differences.
"""

import json
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from app import OutpostApp

STACKS = Path(__file__).resolve().parent.parent / "stacks"
STATEFUL = ("Network", "Data", "Audit")


def synthesized(environment: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the file name and the content of each template of an environment."""
    with tempfile.TemporaryDirectory() as folder:
        OutpostApp(outdir=folder, context={"environment": environment}).synth()
        for file in sorted(Path(folder).glob("assembly-*/*.template.json")):
            yield file.name, json.loads(file.read_text(encoding="utf-8"))


def keep_baselines() -> None:
    """Keep prod's stateful stacks."""
    templates = dict(synthesized("prod"))
    for stack in STATEFUL:
        (template,) = (each for name, each in templates.items() if name.startswith(f"Outpostprod{stack}"))
        target = STACKS / "baselines" / f"prod-{stack}.template.json"
        target.write_text(json.dumps(template, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def keep_previous() -> None:
    """Keep every stack of dev, and none that it no longer has."""
    folder = STACKS / "previous"
    for old in folder.glob("*.json"):
        old.unlink()
    for name, template in synthesized("dev"):
        text = json.dumps(template, sort_keys=True, separators=(",", ":"))
        (folder / name).write_text(f"{text}\n", encoding="utf-8")


if __name__ == "__main__":
    {"baselines": keep_baselines, "previous": keep_previous}[sys.argv[1]]()
