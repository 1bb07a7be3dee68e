"""`make release`, on a clone of this checkout."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
GIT_IDENTITY = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"} | {
    f"GIT_{role}_{part}": value
    for role in ("AUTHOR", "COMMITTER")
    for part, value in (("NAME", "Releaser"), ("EMAIL", "releaser@example.com"))
}


def git(root: Path, *arguments: str) -> str:
    command = [shutil.which("git") or "git", *arguments]
    return subprocess.run(
        command, cwd=root, env=os.environ | GIT_IDENTITY, check=True, capture_output=True, text=True
    ).stdout


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A repository with what a release touches."""
    for name in ("pyproject.toml", "uv.lock", "CHANGELOG.md"):
        shutil.copyfile(ROOT / name, tmp_path / name)
    (tmp_path / "tools").mkdir()
    shutil.copyfile(ROOT / "tools" / "release.py", tmp_path / "tools" / "release.py")
    git(tmp_path, "init", "--quiet", "--initial-branch=main")
    git(tmp_path, "add", "--all")
    git(tmp_path, "commit", "--quiet", "--message=Begin")
    return tmp_path


def release(checkout: Path, version: str) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join((str(ROOT / ".tools"), os.environ["PATH"]))
    return subprocess.run(
        [sys.executable, "tools/release.py", version],
        cwd=checkout,
        env=os.environ | GIT_IDENTITY | {"PATH": path, "UV_OFFLINE": "1", "UV_NO_CACHE": "1"},
        check=False,
        capture_output=True,
        text=True,
    )


def current_version(checkout: Path) -> str:
    return str(tomllib.loads((checkout / "pyproject.toml").read_text())["project"]["version"])


def test_a_release_sets_version_changelog_commit_and_tag(checkout: Path) -> None:
    done = release(checkout, "99.0.0")
    assert done.returncode == 0, done.stderr
    assert current_version(checkout) == "99.0.0"
    assert re.search(
        r"^## Unreleased\n\n## 99\.0\.0 - \d{4}-\d\d-\d\d\n\n- ", (checkout / "CHANGELOG.md").read_text(), re.M
    )
    assert git(checkout, "describe").strip() == "v99.0.0"
    assert git(checkout, "status", "--porcelain") == ""
    locked = tomllib.loads((checkout / "uv.lock").read_text())["package"]
    assert {package["version"] for package in locked if package["name"] == "outpost"} == {"99.0.0"}


def test_a_second_release_needs_something_to_tell(checkout: Path) -> None:
    assert release(checkout, "99.0.0").returncode == 0
    refused = release(checkout, "99.0.1")
    assert refused.returncode == 1
    assert "says nothing under `## Unreleased`" in refused.stderr
    assert current_version(checkout) == "99.0.0"


@pytest.mark.parametrize(
    ("version", "why"), [("", "make release VERSION="), ("1.2", "not of the form x.y.z"), ("0.0.1", "not later than")]
)
def test_a_version_that_is_none_or_not_later_is_refused(checkout: Path, version: str, why: str) -> None:
    refused = release(checkout, version)
    assert refused.returncode == 1
    assert why in refused.stderr
    assert git(checkout, "status", "--porcelain") == ""


def test_a_checkout_with_changes_is_not_released(checkout: Path) -> None:
    (checkout / "README.md").write_text("new")
    refused = release(checkout, "99.0.0")
    assert refused.returncode == 1
    assert "commit them first:\n?? README.md" in refused.stderr
