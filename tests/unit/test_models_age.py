"""The workflow that reports which models are to be checked again, run as GitHub would, with a `gh` of our own."""

import os
import subprocess
import sys
import textwrap
from datetime import date, timedelta
from pathlib import Path

import pytest

from outpost.domain.models import models
from tools.models_age import MOST_DAYS, stale

ROOT = Path(__file__).resolve().parents[2]
FIRST = min((model for model in models() if model.retires is None), key=lambda model: model.checked)
STALE = FIRST.checked + timedelta(days=MOST_DAYS + 1)
GH = """#!/bin/bash
if [ "$2" = list ]; then echo "${OPEN:?}"; else printf '%s\\n' "$@" > created; cp report.md issue.md; fi
"""


def workflow_step(folder: Path, day: str, issues: int = 0) -> "subprocess.CompletedProcess[str]":
    """The last step of the workflow, on a day on which so many issues of its title are open."""
    text = (ROOT / ".github" / "workflows" / "models.yml").read_text(encoding="utf-8")
    script = textwrap.dedent(text.rpartition("run: |\n")[2])
    (folder / "bin").mkdir()
    (folder / "bin" / "gh").write_text(GH)
    (folder / "bin" / "gh").chmod(0o755)
    (folder / ".venv" / "bin").mkdir(parents=True)
    (folder / ".venv" / "bin" / "python").symlink_to(sys.executable)
    environ = {
        "PATH": f"{folder / 'bin'}:{os.environ['PATH']}",
        "PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, sys.path)]),
        "OUTPOST_TODAY": day,
        "TITLE": "Renew the models",
        "OPEN": str(issues),
    }
    argv = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script]
    return subprocess.run(argv, cwd=folder, env=environ, capture_output=True, text=True, check=False)


def test_an_entry_is_stale_after_thirty_days_unless_it_has_retired() -> None:
    retired = FIRST.model_copy(update={"retires": STALE})

    assert list(stale([FIRST], STALE - timedelta(days=1))) == []
    assert list(stale([FIRST, retired], STALE)) == [FIRST]


def test_the_workflow_opens_an_issue_that_lists_the_entries(tmp_path: Path) -> None:
    done = workflow_step(tmp_path, str(STALE))

    assert done.returncode == 0, done.stderr
    assert (tmp_path / "created").read_text().splitlines()[:4] == ["issue", "create", "--title", "Renew the models"]
    line = f"- {FIRST.provider} `{FIRST.id}`, checked {FIRST.checked}: {FIRST.source}"
    assert line in (tmp_path / "issue.md").read_text().splitlines()


@pytest.mark.parametrize(("day", "issues"), [(FIRST.checked, 0), (STALE, 1)])
def test_the_workflow_opens_none_while_they_are_fresh_or_one_is_open(tmp_path: Path, day: date, issues: int) -> None:
    done = workflow_step(tmp_path, str(day), issues)

    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "created").exists()


def test_the_workflow_fails_when_the_tool_does(tmp_path: Path) -> None:
    done = workflow_step(tmp_path, "soon")

    assert done.returncode == 1
    assert "OUTPOST_TODAY is 'soon': set it to a date such as 2026-11-28, or unset it" in done.stderr
    assert not (tmp_path / "created").exists()
