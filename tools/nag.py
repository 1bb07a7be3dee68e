"""Write the compliance report of every environment: `python -m tools.nag FOLDER`, as JSON and as an HTML page.

Exit code 1 when a finding is open, an acknowledgement has expired, or NIST 800-53 R5 finds more than it may.
"""

import json
import subprocess
import sys
import tempfile
from contextlib import redirect_stderr
from datetime import UTC, date, datetime
from io import StringIO
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, select_autoescape

from app import OutpostApp
from outpost_constructs.compliance import add_gate, nist_findings
from outpost_ops.config import load
from outpost_ops.templates import read_assembly
from tools.compliance.model import ComplianceReport, compliance_report

ROOT = Path(__file__).resolve().parents[1]
PAGES = ROOT / "tools" / "compliance"


def reports(commit: str, today: date) -> list[ComplianceReport]:
    """Synthesize every environment and return what the rules say of each, on that day."""
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
        templates = {each.environment: each for each in read_assembly(Path(folder))}
        names = {stage: stage.stage_name.removeprefix("Outpost-") for stage in app.stages}
        return [
            compliance_report(
                load(ROOT / "config" / f"{name}.toml"),
                validation=validation,
                nist=nist_findings(stage),
                templates=templates[name],
                commit=commit,
                today=today,
            )
            for stage, name in names.items()
        ]


def checked_out(folder: Path) -> str:
    """Return the commit of the checkout, with `-dirty` when files differ from it; `unknown` outside a git checkout."""
    argv = ["git", "describe", "--always", "--abbrev=40", "--exclude=*", "--dirty"]
    try:
        done = subprocess.run(argv, cwd=folder, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return done.stdout.strip()


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
    for report in reports(checked_out(ROOT), datetime.now(UTC).date()):
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
