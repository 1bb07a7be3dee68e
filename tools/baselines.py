"""Write stacks/baselines: prod's stateful stacks as they are, which later changes are compared with."""

import json
import os
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TARGET = ROOT / "stacks" / "baselines"
STACKS = ("Network", "Data", "Audit")


def main() -> None:
    """Synthesize prod and keep the templates."""
    sys.path.insert(0, str(ROOT))
    from app import OutpostApp  # noqa: PLC0415 - the app is a module of the checkout, not of this folder

    TARGET.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        OutpostApp(outdir=folder, context={"environment": "prod"}).synth()
        for stack in STACKS:
            (found,) = Path(folder).glob(f"assembly-*/Outpostprod{stack}*.template.json")
            template = json.loads(found.read_text(encoding="utf-8"))
            target = TARGET / f"prod-{stack}.template.json"
            target.write_text(json.dumps(template, indent=1, sort_keys=True) + os.linesep, encoding="utf-8")
            sys.stdout.write(f"{target.relative_to(ROOT)}\n")


if __name__ == "__main__":
    main()
