"""Write the compliance report of every environment: `python -m tools.nag FOLDER`, as JSON and as an HTML page.

Exit code 1 when a finding is open, an acknowledgement has expired, or NIST 800-53 R5 finds more than it may.
"""

import json
import sys
import tempfile
from contextlib import redirect_stderr
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, select_autoescape

from app import OutpostApp
from outpost_constructs.compliance import add_gate, nist_findings
from tools.compliance.model import ComplianceReport, compliance_report

PAGES = Path(__file__).resolve().parent / "compliance"


def reports() -> list[ComplianceReport]:
    """Synthesize every environment and return what the rules say of each."""
    with tempfile.TemporaryDirectory() as folder:
        app = OutpostApp(outdir=folder)
        add_gate(app)
        try:
            with redirect_stderr(StringIO()):
                app.synth()
        except RuntimeError as error:
            if "ValidationFailed" not in str(error):
                raise
        validation = json.loads(Path(folder, "validation-report.json").read_text(encoding="utf-8"))
        today = datetime.now(UTC).date()
        return [
            compliance_report(stage.stage_name.removeprefix("Outpost-"), validation, nist_findings(stage), today)
            for stage in app.stages
        ]


def write(report: ComplianceReport, folder: Path) -> Path:
    """Write one report into the folder, as JSON and as a page; return the page's path."""
    templates = FileSystemLoader(PAGES)
    page = Environment(loader=templates, autoescape=select_autoescape(["html.j2"])).get_template("report.html.j2")
    path = folder / f"{report.environment}.html"
    path.write_text(page.render(report=report), encoding="utf-8")
    path.with_suffix(".json").write_text(report.model_dump_json(indent=2) + "\n", encoding="utf-8")
    return path


def main(folder: Path) -> int:
    """Write the reports into the folder, print a line for each and every problem; return the exit code."""
    folder.mkdir(parents=True, exist_ok=True)
    problems = []
    for report in reports():
        path = write(report, folder)
        problems += [f"{report.environment}: {problem}" for problem in report.problems()]
        print(
            f"{report.environment}: {len(report.open)} open, {len(report.acknowledged)} acknowledged for "
            f"{len(report.reasons)} reasons, NIST 800-53 R5: {report.nist_total} of at most {report.nist_limit}; {path}"
        )
    for problem in problems:
        print(problem, file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
