"""The patch: whatever the agent did to its workspace, applied to the base commit it gives the same files."""

import os
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from outpost.domain.agents import Agent
from outpost.domain.dispatch import InitMode, Spec
from outpost.redaction.redactor import Redactor
from tests.worker.conftest import GitServer
from worker.collect import CollectError, Collector, Patch
from worker.isolation import NoIsolation
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

    def collect(self) -> Patch:
        """Collect what the agent did."""
        return Collector(self.workspace, Redactor(), seconds=30).collect()


@pytest.fixture
def run(prepare: Callable[[InitMode], Run]) -> Run:
    return prepare("full")


@pytest.fixture
def sparse(prepare: Callable[[InitMode], Run]) -> Run:
    return prepare("minimal")


@pytest.fixture
def prepare(git_server: GitServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[InitMode], Run]:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    if not (git_server.folder / "owner" / "kinds").exists():
        git_server.create("kinds", FILES)
        head = git_server.git("kinds", "rev-parse", "HEAD")
        git_server.git("kinds", "update-index", "--add", "--cacheinfo", f"160000,{head},submodule")
        git_server.git("kinds", "commit", "--quiet", "--message", "a submodule, which is never fetched")
    settings = Settings(
        agent=Agent.SHELL,
        queue_url="",
        broker_function="",
        git_base_url=git_server.url,
        git_allowed_hosts=frozenset(),
        launcher=None,
        agent_path=os.environ["PATH"],
        metadata_url="",
        workspaces=tmp_path,
    )

    def prepare(mode: InitMode) -> Run:
        workspace = Workspace(settings, NoIsolation())
        spec = Spec(agent=Agent.SHELL, repo="owner/kinds", workspace_init_mode=mode)
        workspace.prepare(spec, "", StopSignal(), lambda: None)
        return Run(workspace)

    return prepare


def _applied(patch: Patch, git_server: GitServer, folder: Path) -> str:
    """Apply the patch to a fresh clone, and return the id of the tree it gives."""
    _git(folder.parent, "clone", "--quiet", str(git_server.folder / "owner" / "kinds"), str(folder))
    if patch.file.stat().st_size:
        _git(folder, "apply", "--index", "--binary", str(patch.file))
    return _git(folder, "write-tree")


def _expected(run: Run, folder: Path) -> str:
    """Return the id of the tree of the workspace's files, byte by byte."""
    environment = {"GIT_DIR": str(folder), "GIT_WORK_TREE": str(run.workspace.path)}
    _git(folder.parent, "clone", "--quiet", "--bare", str(run.workspace.git_dir), str(folder))
    (folder / "info").mkdir(exist_ok=True)
    (folder / "info" / "attributes").write_text("* -text -filter -working-tree-encoding -ident\n")
    _git(run.workspace.path, "read-tree", "HEAD", **environment)  # the submodule is in no file
    _git(run.workspace.path, "add", "--all", **environment)
    return _git(run.workspace.path, "write-tree", **environment)


def _git(folder: Path, *arguments: str, **variables: str) -> str:
    command = ["git", *arguments]
    done = subprocess.run(command, cwd=folder, env=os.environ | variables, check=True, capture_output=True)
    return done.stdout.decode().strip()


@pytest.mark.parametrize(
    "script",
    [
        pytest.param("true", id="nothing"),
        pytest.param("echo four >> README.md", id="modified"),
        pytest.param("mkdir -p a/b; echo new > 'a/b/with space.txt'; echo x > $'tab\\tname'", id="untracked"),
        pytest.param("printf 'no newline' > README.md", id="no newline at the end"),
        pytest.param("head -c 5000 /dev/urandom > new.bin; printf '\\0' >> image.bin", id="binary"),
        pytest.param("rm README.md image.bin; rm -r old", id="deleted"),
        pytest.param("chmod +x README.md; chmod -x script.sh; chmod +x script.sh", id="mode"),
        pytest.param(
            "mkdir new; git mv old/name.txt new/; echo end >> new/name.txt; mv image.bin moved.bin", id="renamed"
        ),
        pytest.param("ln -s README.md link; ln -sf /etc/passwd README.md", id="symbolic links"),
        pytest.param("printf 'sch\\xf6n\\n' >> latin.txt; printf 'c\\r\\n' >> windows.txt", id="neither UTF-8 nor LF"),
        pytest.param("echo more >> notes.crlf; echo more >> large.lfs; echo hi > new.u16", id="attributes"),
        pytest.param(
            "echo x > .gitattributes; echo '* binary' >> .gitattributes; echo y >> README.md", id="own attributes"
        ),
        pytest.param(
            "echo 1 > one; git add one; git commit -qm one; echo 2 > two; git checkout -qb other", id="commits"
        ),
        pytest.param(
            "git rm -q README.md; git commit -qm gone; git reset -q --hard HEAD~1; echo 5 >> README.md", id="resets"
        ),
        pytest.param("rm -rf .git; echo x > without-git", id=".git deleted"),
        pytest.param("rm -rf .git; echo 'gitdir: /nonexistent' > .git; echo x > without-git", id=".git replaced"),
        pytest.param("mkdir -p ignored; echo x > ignored/file; git add -f ignored", id="ignored"),
        pytest.param(
            "echo x > secret; chmod 000 secret; mkdir closed; echo y > closed/file; chmod 000 closed", id="unreadable"
        ),
        pytest.param("git config core.bare true; git config core.worktree /; echo x > y", id="poisoned configuration"),
    ],
)
def test_the_patch_gives_the_agents_files_when_applied_to_the_base(
    run: Run, git_server: GitServer, tmp_path: Path, script: str
) -> None:
    run.agent(script)
    patch = run.collect()
    assert not patch.withheld
    assert _applied(patch, git_server, tmp_path / "applied") == _expected(run, tmp_path / "expected.git")


def test_a_repository_made_inside_the_workspace_is_in_the_patch_as_files(run: Run) -> None:
    run.agent("mkdir sub; cd sub; git init -q; echo inner > file")
    assert b"+++ b/sub/file\n" in run.collect().file.read_bytes()


def test_files_whose_names_git_refuses_cost_the_others_nothing(run: Run) -> None:
    run.agent("mkdir .GIT; echo x > .GIT/config; echo y > git~1; echo z > '.git '; echo kept > kept")
    patch = run.collect()
    assert (patch.files_changed, patch.left_out) == (1, 3)
    assert b"+++ b/kept" in patch.file.read_bytes()


def test_a_file_that_cannot_be_read_is_not_taken_for_one_that_git_refuses(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    run.agent("echo y > git~1; echo kept > kept")
    taken = Collector._run

    def without_room(collector: Collector, argv: list[str]) -> bytes:
        if "add" in argv:  # git cannot make its objects any more
            objects = collector._scratch / "objects"
            objects.rmdir()
            objects.touch()
        return taken(collector, argv)

    monkeypatch.setattr(Collector, "_run", without_room)
    with pytest.raises(CollectError, match="git ended with"):
        run.collect()


def test_an_ignored_file_stays_out_of_the_patch(run: Run) -> None:
    run.agent("mkdir ignored; echo x > ignored/file")
    assert run.collect().files_changed == 0


def test_no_configuration_hook_filter_or_driver_of_the_agent_runs_while_collecting(run: Run, tmp_path: Path) -> None:
    trap = f"touch {tmp_path}/trapped"
    run.agent(f"""
        for key in core.fsmonitor filter.evil.clean filter.evil.smudge diff.evil.textconv diff.evil.command \
                   diff.external core.sshCommand core.editor core.pager; do git config "$key" "{trap}"; done
        mkdir -p .git/hooks
        for hook in post-index-change pre-commit fsmonitor-watchman; do
            printf '#!/bin/sh\\n{trap}\\n' > .git/hooks/$hook; chmod +x .git/hooks/$hook; done
        printf '[diff "evil"]\\n textconv = {trap}\\n[core]\\n fsmonitor = {trap}\\n' > "$HOME/.gitconfig"
        echo '* filter=evil diff=evil' > .gitattributes
        echo changed >> README.md
        rm -f {tmp_path}/trapped
    """)
    patch = run.collect()
    assert b"+changed" in patch.file.read_bytes()
    assert not (tmp_path / "trapped").exists()


def test_a_link_to_a_folder_outside_is_a_link_in_the_patch(run: Run, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "file").write_text("not yours")
    run.agent(f"rm -r old; ln -s {tmp_path}/outside old; ln -s / root")
    content = run.collect().file.read_bytes()
    assert b"not yours" not in content
    assert f"+{tmp_path}/outside\n".encode() in content


def test_a_workspace_replaced_by_a_link_gives_no_patch_and_says_so(run: Run) -> None:
    run.agent("cd ..; mv workspace elsewhere; ln -s /etc workspace")
    with pytest.raises(CollectError, match="removed or replaced"):
        run.collect()


def test_the_agents_last_commit_is_told(run: Run) -> None:
    run.agent("echo 1 > one; git add one; git commit -qm one")
    patch = run.collect()
    assert patch.commit_after == _git(run.workspace.path, "rev-parse", "HEAD")
    assert patch.commit_after != run.workspace.commit_before


def test_a_path_that_carries_a_secret_withholds_the_patch(run: Run) -> None:
    run.agent("touch ghp_" + "a" * 36)
    assert run.collect().withheld


@pytest.mark.parametrize(
    ("script", "same"),
    [
        pytest.param("true", "true", id="nothing"),
        pytest.param("git sparse-checkout disable", "true", id="all checked out"),
        pytest.param("echo four >> README.md; rm script.sh", "echo four >> README.md; rm script.sh", id="root folder"),
        pytest.param(
            "rm -f * .gitignore .gitattributes || true", "rm -f * .gitignore .gitattributes || true", id="root emptied"
        ),
        pytest.param(
            "mkdir -p a/b old; echo x | tee a/b/new old/new", "mkdir -p a/b; echo x | tee a/b/new old/new", id="new"
        ),
        pytest.param("mkdir old; echo x > old/name.txt", "echo x > old/name.txt", id="overwritten unseen"),
        pytest.param("echo x > old", "rm -r old; echo x > old", id="a file in a folder's place"),
        pytest.param(
            "git sparse-checkout add old; rm old/name.txt; echo x >> old/deep/more.txt",
            "rm old/name.txt; echo x >> old/deep/more.txt",
            id="widened",
        ),
        pytest.param("git sparse-checkout add old; git rm -rq old; git commit -qm x", "rm -r old", id="removed by git"),
        pytest.param("git sparse-checkout set old; git sparse-checkout set", "true", id="widened and narrowed"),
        pytest.param("rm -rf .git; echo x > y", "echo x > y", id=".git deleted"),
        pytest.param(
            "rm -rf .git; git init -q; git add .; git commit -qm x; echo x > y", "echo x > y", id="begun anew"
        ),
        pytest.param("echo broken > .git/index; echo x > y", "echo x > y", id="broken index"),
        pytest.param("rm .git/index; echo x > y", "echo x > y", id="index deleted"),
        pytest.param("git read-tree HEAD; rm README.md", "rm README.md", id="index made anew"),
        pytest.param(
            "git sparse-checkout add old; git read-tree HEAD; rm old/deep/more.txt",
            "rm old/deep/more.txt",
            id="widened, index made anew",
        ),
        pytest.param(
            "git sparse-checkout add old/deep; rm .git/index old/deep/more.txt old/name.txt",
            "rm old/deep/more.txt old/name.txt",
            id="widened by a folder in a folder, index deleted",
        ),
        pytest.param("git sparse-checkout disable; rm -r old", "rm -r old", id="all checked out, some deleted"),
        pytest.param("rm -r .git/index .git/info", "true", id="index and choice deleted"),
        pytest.param(
            "rm .git/index; printf '/\\n/far/\\n!secret\\n\\xff' > .git/info/sparse-checkout",
            "true",
            id="a choice that git never writes",
        ),
        pytest.param(
            "rm .git/index; yes /old/ | head -c 1048576 > .git/info/sparse-checkout", "true", id="an endless choice"
        ),
        pytest.param(
            "git config core.sparseCheckout false; git config core.worktree /; rm README.md",
            "rm README.md",
            id="poisoned configuration",
        ),
    ],
)
def test_from_a_sparse_checkout_the_patch_is_the_same_as_from_a_full_one(
    sparse: Run, run: Run, git_server: GitServer, tmp_path: Path, script: str, same: str
) -> None:
    """`same` does in a full checkout what `script` does in a sparse one."""
    sparse.agent(script)
    run.agent(same)
    assert _applied(sparse.collect(), git_server, tmp_path / "applied") == _expected(run, tmp_path / "expected.git")
