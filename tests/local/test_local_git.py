"""The git server of this machine: everything can be cloned, and only what allows it can be pushed to."""

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from outpost_local.git_server import GitServer


@pytest.fixture
def server(tmp_path: Path, unused_port: Callable[[], int]) -> Iterator[GitServer]:
    server = GitServer(tmp_path / "data", unused_port())
    server.start()
    yield server
    server.stop()


def push(server: GitServer, repository: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Clone a repository and push a branch of it."""
    git = ["git", "-c", "user.name=Test", "-c", "user.email=test@example.org"]
    url = f"{server.url}/{repository}"
    subprocess.run([*git, "clone", "--quiet", url, str(folder)], check=True, capture_output=True)
    subprocess.run([*git, "-C", str(folder), "commit", "--quiet", "--allow-empty", "-m", "more"], check=True)
    command = [*git, "-C", str(folder), "push", "--quiet", url, "HEAD:refs/heads/more"]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_sample_takes_pushes_and_other_repositories_only_when_configured(server: GitServer, tmp_path: Path) -> None:
    sample = server.create_sample_repository()
    server.create_repository("acme/widget", {"README.md": "# widget\n"})

    assert push(server, sample, tmp_path / "sample").returncode == 0
    refused = push(server, "acme/widget", tmp_path / "widget")
    assert refused.returncode != 0
    assert "access denied" in refused.stderr
