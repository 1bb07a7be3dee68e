"""docs/agents.md, followed to the letter in a copy of the sources: three files add an agent that keeps the contract."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCES = (
    "clients",
    "config",
    "container",
    "embedded",
    "lambda",
    "migration",
    "operations",
    "outpost",
    "tests",
    "pyproject.toml",
)
MOST_FILES = 3


def follow(page: str, folder: Path) -> set[str]:
    """Write the page's files and make its changes, each of which must fit exactly one place; return their names."""
    names = set()
    for name, content in re.findall(r"^```(?:python|json) (\S+)\n(.*?)^```$", page, re.MULTILINE | re.DOTALL):
        folder.joinpath(name).parent.mkdir(exist_ok=True)
        folder.joinpath(name).write_text(content)
        names.add(name)
    for diff in re.findall(r"^```diff\n(.*?)^```$", page, re.MULTILINE | re.DOTALL):
        for change in re.split(r"^\+\+\+ b/", diff, flags=re.MULTILINE)[1:]:
            name, _, hunks = change.partition("\n")
            names.add(name)
            for hunk in hunks.split("@@ @@\n")[1:]:
                _apply(folder / name, hunk.splitlines(keepends=True))
    return names


def _apply(file: Path, lines: list[str]) -> None:
    before = "".join(line[1:] for line in lines if not line.startswith("+"))
    after = "".join(line[1:] for line in lines)
    text = file.read_text()
    assert text.count(before) == 1, f"{file} has no single place for: {before}"
    file.write_text(text.replace(before, after))


@pytest.mark.full
def test_the_page_adds_an_agent_that_finishes_a_dispatch_and_keeps_the_contract(tmp_path: Path) -> None:
    for name in SOURCES:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__", "infra"))
        else:
            shutil.copy(ROOT / name, tmp_path / name)
    assert len(follow((ROOT / "docs" / "agents.md").read_text(), tmp_path)) <= MOST_FILES
    roots = os.pathsep.join(
        str(tmp_path / root) for root in (".", "clients", "container", "embedded", "lambda", "migration", "operations")
    )
    suites = [f"tests/worker/test_{name}.py" for name in ("adapters", "invocations", "conformance")]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", "parrot and not code", *suites],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": roots},
        capture_output=True,
        text=True,
        check=False,
        timeout=250,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    passed = re.search(r"(\d+) passed", done.stdout)
    assert passed is not None
    assert int(passed[1]) == 7, done.stdout
