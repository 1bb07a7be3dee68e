"""Write docs/architecture.svg from prod's templates: `python -m tools.diagram`. A test fails when it is stale."""

import tempfile
from pathlib import Path

from app import OutpostApp
from outpost.diagram import draw
from outpost.templates import read_assembly

PICTURE = Path(__file__).resolve().parents[1] / "docs" / "architecture.svg"
ENVIRONMENT = "prod"


def picture(assembly: Path) -> str:
    """Return the picture of the synthesized environment that has the most."""
    (templates,) = (each for each in read_assembly(assembly) if each.environment == ENVIRONMENT)
    return draw(templates)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        OutpostApp(outdir=folder, context={"environment": ENVIRONMENT}).synth()
        PICTURE.write_text(picture(Path(folder)), encoding="utf-8")
    print(f"{PICTURE} is drawn")
