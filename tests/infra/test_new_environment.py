"""An environment made by copying dev.toml passes `make nag` and synth."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.infra.conftest import ROOT

SOURCES = (
    "clients",
    "migration",
    "operations",
    "outpost",
    "stacks",
    "constructs",
    "lambda",
    "container",
    "tools",
    "docs/compliance",
)
FILES = ("app.py", "cdk.json", "pyproject.toml", "uv.lock", ".dockerignore")


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """A copy of the checkout that has one environment: dev's, under another name."""
    for name in SOURCES:
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in FILES:
        if (ROOT / name).exists():
            shutil.copy(ROOT / name, tmp_path / name)
    for name in ("build", ".tools"):
        (tmp_path / name).symlink_to(ROOT / name)
    text = (ROOT / "config" / "dev.toml").read_text()
    assert text.count('name = "dev"') == 1
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "sandbox.toml").write_text(text.replace('name = "dev"', 'name = "sandbox"'))
    return tmp_path


def run(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    roots = [
        str(folder / name) for name in ("", "clients", "migration", "operations", "constructs", "lambda", "container")
    ]
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(roots), **environment}
    return subprocess.run(
        [sys.executable, *arguments], cwd=folder, env=environ, capture_output=True, text=True, check=False
    )


def test_a_copy_of_dev_passes_nag(copied: Path) -> None:
    done = run(copied, "-m", "tools.nag", str(copied / "compliance"))

    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    assert {path.name for path in (copied / "compliance").iterdir()} == {"sandbox.html", "sandbox.json"}


@pytest.mark.full
def test_a_copy_of_dev_is_synthesized(copied: Path) -> None:
    done = run(copied, "app.py", CDK_OUTDIR=str(copied / "cdk.out"))

    assert done.returncode == 0, done.stderr
    assert len(list((copied / "cdk.out" / "assembly-Outpost-sandbox").glob("*.template.json"))) == 6
