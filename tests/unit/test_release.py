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
    for folder in ("clients", "docs", "tools"):
        (tmp_path / folder).mkdir()
    for name in ("pyproject.toml", "clients/pyproject.toml", "uv.lock", "CHANGELOG.md", "docs/upgrading.md"):
        shutil.copyfile(ROOT / name, tmp_path / name)
    shutil.copytree(ROOT / "changes", tmp_path / "changes")
    (tmp_path / "changes" / "+new.added.md").write_text("Something new.\n")
    guide = tmp_path / "docs" / "upgrading.md"
    guide.write_text(guide.read_text().replace("## To the next release\n", "## To the next release\n- Do this.\n", 1))
    shutil.copyfile(ROOT / "tools" / "release.py", tmp_path / "tools" / "release.py")
    git(tmp_path, "init", "--quiet", "--initial-branch=main")
    git(tmp_path, "add", "--all")
    git(tmp_path, "commit", "--quiet", "--message=Begin")
    return tmp_path


def release(checkout: Path, version: str) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join((str(ROOT / ".tools"), str(Path(sys.executable).parent), os.environ["PATH"]))
    return subprocess.run(
        [sys.executable, "tools/release.py", version],
        cwd=checkout,
        env=os.environ | GIT_IDENTITY | {"PATH": path, "UV_OFFLINE": "1", "UV_NO_CACHE": "1"},
        check=False,
        capture_output=True,
        text=True,
    )


def current_version(checkout: Path) -> str:
    files = ("pyproject.toml", "clients/pyproject.toml")
    versions = {tomllib.loads((checkout / name).read_text())["project"]["version"] for name in files}
    assert len(versions) == 1, versions
    return str(versions.pop())


def test_a_release_sets_version_changelog_commit_and_tag(checkout: Path) -> None:
    done = release(checkout, "99.0.0")
    assert done.returncode == 0, done.stderr
    assert current_version(checkout) == "99.0.0"
    changelog = (checkout / "CHANGELOG.md").read_text()
    newest = re.search(r"^## 99\.0\.0 - \d{4}-\d\d-\d\d\n\n### Added\n\n(.*?)^##", changelog, re.M | re.S)
    assert newest
    assert "- Something new.\n" in newest[1]
    assert changelog.index("## 99.0.0") < changelog.index("## 0.3.0")
    assert list((checkout / "changes").glob("*.md")) == [checkout / "changes" / "README.md"]
    guide = (checkout / "docs" / "upgrading.md").read_text()
    assert re.search(r"^## To the next release\n\nNothing\.\n\n## To 99\.0\.0\n- Do this\.\n", guide, re.M)
    assert git(checkout, "describe").strip() == "v99.0.0"
    assert git(checkout, "status", "--porcelain") == ""
    locked = tomllib.loads((checkout / "uv.lock").read_text())["package"]
    versions = [package["version"] for package in locked if package["name"] in ("outpost", "outpost-client")]
    assert versions == ["99.0.0", "99.0.0"]


def test_a_second_release_needs_something_to_tell(checkout: Path) -> None:
    assert release(checkout, "99.0.0").returncode == 0
    refused = release(checkout, "99.0.1")
    assert refused.returncode == 1
    assert "changes/ has no entries" in refused.stderr
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


def test_every_entry_has_a_kind_and_becomes_one_item() -> None:
    """An entry that does not begin with a letter, code or bold text is a list or a heading inside the list."""
    entries = sorted(path for path in (ROOT / "changes").iterdir() if path.name != "README.md")
    assert [
        path.name
        for path in entries
        if not re.fullmatch(r"\+[a-z0-9-]+\.(added|changed|fixed|security)\.md", path.name)
    ] == []
    assert [path.name for path in entries if not re.match(r"[\w`*(\[]", path.read_text(encoding="utf-8"))] == []


def test_every_release_is_dated_and_older_than_the_one_above() -> None:
    headings = re.findall(r"^## (.*)$", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.M)
    dated = [re.fullmatch(r"(\d+)\.(\d+)\.(\d+) - \d{4}-\d\d-\d\d", heading) for heading in headings]
    versions = [tuple(map(int, found.groups())) for found in dated if found]
    assert len(versions) == len(headings)
    assert versions == sorted(versions, reverse=True)
    assert ".".join(map(str, versions[0])) == current_version(ROOT)
    guide = (ROOT / "docs" / "upgrading.md").read_text(encoding="utf-8")
    assert re.findall(r"^## To (.*)$", guide, re.M) == ["the next release", *(v.split(" ")[0] for v in headings[:-1])]
