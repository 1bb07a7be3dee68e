"""Write stacks/previous: dev's templates as a release deploys them, which a later update begins with in tests."""

import json
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TARGET = ROOT / "stacks" / "previous"
ENVIRONMENT = "dev"


def main() -> None:
    """Synthesize dev and keep every template, one line each: nobody reads their differences."""
    sys.path.insert(0, str(ROOT))
    from app import OutpostApp  # noqa: PLC0415 - the app is a module of the checkout, not of this folder

    for old in TARGET.glob("*.json"):
        old.unlink()
    TARGET.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        OutpostApp(outdir=folder, context={"environment": ENVIRONMENT}).synth()
        for found in sorted(Path(folder).glob("assembly-*/*.template.json")):
            template = json.loads(found.read_text(encoding="utf-8"))
            text = json.dumps(template, sort_keys=True, separators=(",", ":"))
            (TARGET / found.name).write_text(f"{text}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
