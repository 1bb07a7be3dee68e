"""A workspace in which a test plays the agent, and what its patch gives when it is applied."""

import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import pytest

from outpost.domain.agents import Agent
from outpost.domain.dispatch import InitMode, Spec
from tests.worker.git_server import GitServer
from worker.collect import Collector, Patch
from worker.isolation import NoIsolation
from worker.secret_scan import SecretScan
from worker.settings import Settings
from worker.stop import StopSignal
from worker.workspace import Workspace

FILES = {
    "README.md": b"one\ntwo\nthree\n",
    "script.sh": b"#!/bin/sh\necho hi\n",
    "old/name.txt": b"".join(b"line %d\n" % n for n in range(40)),
    "old/deep/more.txt": b"more\n",
    "far/away.txt": b"away\n",
    "image.bin": bytes(range(256)) * 8,
    "latin.txt": "gr\u00fc\u00df dich\n".encode("latin-1"),
    "windows.txt": b"a\r\nb\r\n",
    ".gitignore": b"ignored/\n",
    ".gitattributes": (
        b"*.crlf text eol=crlf\n*.lfs filter=lfs diff=lfs merge=lfs -text\n"
        b"*.md diff=evil\n*.u16 working-tree-encoding=UTF-16\n"
    ),
    "notes.crlf": b"stored with lf\n",
    "large.lfs": b"version https://git-lfs.github.com/spec/v1\n",
}


@dataclass(frozen=True)
class Run:
    """A prepared workspace in which a test plays the agent."""

    workspace: Workspace

    def agent(self, script: str) -> None:
        """Run a script as the agent would."""
        identity = {
            "GIT_AUTHOR_NAME": "a",
            "GIT_AUTHOR_EMAIL": "a@b",
            "GIT_COMMITTER_NAME": "a",
            "GIT_COMMITTER_EMAIL": "a@b",
        }
        environment = {"PATH": os.environ["PATH"], "HOME": str(self.workspace.home), **identity}
        command = ["bash", "-euc", script]
        subprocess.run(command, cwd=self.workspace.path, env=environment, check=True)

    def collect(self, secrets: Mapping[str, str] | None = None, requested: Sequence[str] = ()) -> Patch:
        """Collect what the agent did and the files that are requested, and search it for `secrets` (name -> value)."""
        return Collector(self.workspace, SecretScan(secrets or {}), 30, requested).collect()


class Prepare(Protocol):
    """Prepares a workspace with a clone of a repository."""

    def __call__(self, mode: InitMode, repo: str = ...) -> Run:
        """Return it."""


@pytest.fixture
def run(prepare: Prepare) -> Run:
    return prepare("full")


@pytest.fixture
def sparse(prepare: Prepare) -> Run:
    return prepare("minimal")


def settings_at(git_server: GitServer, workspaces: Path) -> Settings:
    """Return the settings of a worker that clones from the git server, and has no queue and no broker."""
    return Settings(
        agent=Agent.SHELL,
        environment="test",
        queue_url="",
        broker_function="",
        git_base_url=git_server.url,
        git_allowed_hosts=frozenset(),
        launcher=None,
        agent_path=os.environ["PATH"],
        metadata_url="",
        workspaces=workspaces,
    )


@pytest.fixture
def prepare(git_server: GitServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Prepare:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    if not (git_server.folder / "owner" / "kinds").exists():
        git_server.create("kinds", FILES)
        head = git_server.git("kinds", "rev-parse", "HEAD")
        git_server.git("kinds", "update-index", "--add", "--cacheinfo", f"160000,{head},submodule")
        git_server.git("kinds", "commit", "--quiet", "--message", "a submodule, which is never fetched")
    settings = settings_at(git_server, tmp_path)

    def prepare(mode: InitMode, repo: str = "owner/kinds") -> Run:
        workspace = Workspace(settings, NoIsolation())
        spec = Spec(agent=Agent.SHELL, repo=repo, workspace_init_mode=mode)
        workspace.prepare(spec, StopSignal(), lambda: None)
        return Run(workspace)

    return prepare


def applied(patch: Patch, git_server: GitServer, folder: Path, name: str = "kinds") -> str:
    """Apply the patch to a fresh clone, and return the id of the tree it gives."""
    git(folder.parent, "clone", "--quiet", str(git_server.folder / "owner" / name), str(folder))
    if patch.file.stat().st_size:
        git(folder, "apply", "--index", "--binary", str(patch.file))
    return git(folder, "write-tree")


def expected(run: Run, folder: Path) -> str:
    """Return the id of the tree of the workspace's files, byte by byte."""
    environment = {"GIT_DIR": str(folder), "GIT_WORK_TREE": str(run.workspace.path)}
    git(folder.parent, "clone", "--quiet", "--bare", str(run.workspace.git_dir), str(folder))
    (folder / "info").mkdir(exist_ok=True)
    (folder / "info" / "attributes").write_text("* -text -filter -working-tree-encoding -ident\n")
    git(run.workspace.path, "read-tree", "HEAD", **environment)  # the submodule is in no file
    git(run.workspace.path, "add", "--all", **environment)
    return git(run.workspace.path, "write-tree", **environment)


def git(folder: Path, *arguments: str, **variables: str) -> str:
    command = ["git", *arguments]
    done = subprocess.run(command, cwd=folder, env=os.environ | variables, check=True, capture_output=True)
    return done.stdout.decode().strip()
