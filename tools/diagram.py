"""Draw the architecture in docs/architecture.md from prod's templates: `python -m tools.diagram`."""

import re
import tempfile
from pathlib import Path

from app import OutpostApp
from outpost_ops.diagram import draw
from outpost_ops.templates import read_assembly

PAGE = Path(__file__).resolve().parents[1] / "docs" / "architecture.md"
ENVIRONMENT = "prod"
_PICTURE = re.compile(r"(?<=^```mermaid\n)flowchart .*?(?=^```$)", re.MULTILINE | re.DOTALL)


def page(assembly: Path) -> str:
    """Return the page with the picture of the synthesized environment that has the most."""
    (templates,) = (each for each in read_assembly(assembly) if each.environment == ENVIRONMENT)
    text, pictures = _PICTURE.subn(lambda _: draw(templates), PAGE.read_text(encoding="utf-8"))
    assert pictures == 1, f"{PAGE} has {pictures} flowcharts"  # noqa: S101 - of the page's author
    return text


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        OutpostApp(outdir=folder, context={"environment": ENVIRONMENT}).synth()
        PAGE.write_text(page(Path(folder)), encoding="utf-8")
    print(f"{PAGE} is drawn")
