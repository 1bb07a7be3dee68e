"""Repositories that a git daemon on loopback serves."""

import os
import signal
import socket
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.eventually import eventually
from tests.ports import free_port


@dataclass(frozen=True)
class GitServer:
    """A git daemon on loopback, and the folder that it serves."""

    url: str
    folder: Path

    def create(self, name: str, files: Mapping[str, bytes], branch: str = "main") -> str:
        """Create `owner/<name>` with one commit of `files`; returns the repository's name."""
        path = self.folder / "owner" / name
        path.mkdir(parents=True)
        self.git(name, "init", "--quiet", f"--initial-branch={branch}")
        for file, content in files.items():
            (path / file).parent.mkdir(parents=True, exist_ok=True)
            (path / file).write_bytes(content)
        self.git(name, "add", "--all")
        self.git(name, "commit", "--quiet", "--message", "begin")
        return f"owner/{name}"

    def git(self, name: str, *arguments: str) -> str:
        """Run git in a repository."""
        identity = ["-c", "user.name=Test", "-c", "user.email=test@example.org"]
        command = ["git", "-C", str(self.folder / "owner" / name), *identity, *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture(scope="session")
def git_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GitServer]:
    folder = tmp_path_factory.mktemp("repositories")
    port = free_port()
    command = ["git", "daemon", "--listen=127.0.0.1", f"--port={port}", f"--base-path={folder}", "--export-all"]
    daemon = subprocess.Popen([*command, "--reuseaddr", str(folder)], stderr=subprocess.DEVNULL, start_new_session=True)
    eventually(lambda: _listens(port))
    yield GitServer(f"git://127.0.0.1:{port}", folder)
    os.killpg(daemon.pid, signal.SIGTERM)
    daemon.wait(timeout=10)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
