"""What the agent's index and commits say of a file that the working tree alone does not show."""

from pathlib import Path

import pytest

from outpost.domain.artifacts import Artifact
from tests.worker.collecting import Prepare, Run, applied, git
from tests.worker.git_server import GitServer
from tests.worker.test_collect_left_out import left_out
from worker.collect import Patch
from worker.collection import choice
from worker.collection.index_changes import AS_BEGAN, MODE, TAKEN_OUT

IGNORE = "printf '/old/\\n/script.sh\\n' >> .gitignore; git add .gitignore"
COMMIT = "git commit -qm 'no longer tracked'"
DELETED = {"D\told/deep/more.txt", "D\told/name.txt", "D\tscript.sh", "M\t.gitignore"}


def changes(patch: Patch, git_server: GitServer, folder: Path) -> set[str]:
    """Return status and path of each file that the patch changes in a fresh clone."""
    applied(patch, git_server, folder)
    return set(git(folder, "diff", "--cached", "--name-status", "--no-renames", "HEAD").splitlines())


@pytest.mark.parametrize("script", [f"git rm -rq --cached old script.sh; {IGNORE}", f"git rm -rq --cached .; {IGNORE}"])
@pytest.mark.parametrize("end", ["true", COMMIT, f"git add .; {COMMIT}"])
def test_files_that_are_ignored_and_no_longer_tracked_are_removed(
    run: Run, git_server: GitServer, tmp_path: Path, script: str, end: str
) -> None:
    run.agent(f"{script}; {end}")
    patch = run.collect()
    assert changes(patch, git_server, tmp_path / "applied") - {"D\tsubmodule"} == DELETED
    found = left_out(patch)
    assert found.pop("old/") == found.pop("script.sh") == choice.IGNORED
    assert set(found.values()) <= {TAKEN_OUT}


@pytest.mark.parametrize("end", ["true", COMMIT])
def test_a_file_that_is_not_ignored_stays_tracked_and_is_named(run: Run, end: str) -> None:
    run.agent(f"git rm -q --cached script.sh README.md; rm README.md; {end}")
    patch = run.collect()
    assert b"script.sh" not in patch.file.read_bytes()
    assert left_out(patch) == {"script.sh": TAKEN_OUT}


@pytest.mark.parametrize("script", ["rm .git/index", "rm .git/index; echo 1 > new; git add new", "echo > .git/index"])
def test_an_index_that_was_lost_removes_nothing(run: Run, git_server: GitServer, tmp_path: Path, script: str) -> None:
    run.agent(f"echo '*.txt' >> .gitignore; {script}")
    found = changes(run.collect(), git_server, tmp_path / "applied")
    assert {change for change in found if change.startswith("D")} == set()


def test_what_is_no_longer_tracked_in_a_worktree_or_a_submodule_is_removed_there(run: Run, tmp_path: Path) -> None:
    library = tmp_path / "library"
    git(tmp_path, "init", "--quiet", str(library))
    run.agent(f"""
        cd {library}; echo 1 > kept; echo 2 > output; chmod -x output; git add .; git commit -qm begin; cd - > /dev/null
        git -c protocol.file.allow=always submodule --quiet add {library} lib; git worktree add -q wt
        for place in lib/output wt/script.sh; do (
            cd $(dirname $place); name=$(basename $place); git rm -q --cached $name; echo $name > .gitignore
        ); done
    """)
    text = run.collect().more[Artifact.NESTED].read_text()
    assert "diff --git a/lib/output b/lib/output\ndeleted file" in text
    assert "diff --git a/wt/script.sh b/wt/script.sh\ndeleted file" in text


@pytest.mark.parametrize("end", ["true", "git commit -qm mode"])
def test_a_mode_that_only_the_index_has_is_in_the_patch(
    run: Run, git_server: GitServer, tmp_path: Path, end: str
) -> None:
    run.agent(f"""
        echo 'echo new' > new.sh; chmod +x old/name.txt; git add new.sh
        git update-index --chmod=+x script.sh new.sh; {end}
    """)
    patch, folder = run.collect(), tmp_path / "applied"
    assert changes(patch, git_server, folder) == {"A\tnew.sh", "M\told/name.txt", "M\tscript.sh"}
    listed = git(folder, "ls-files", "--stage", "new.sh", "script.sh", "old/name.txt")
    assert {line[:6] for line in listed.splitlines()} == {"100755"}
    assert left_out(patch) == {"new.sh": MODE, "script.sh": MODE}


def test_a_committed_change_that_the_working_tree_does_not_show_is_named(run: Run) -> None:
    run.agent("""
        git config core.autocrlf input; rm .git/info/attributes; git add --renormalize windows.txt; git commit -qm lf
        test -z "$(git status --short)"; echo x > new; git add new; git commit -qm new; echo y > new
    """)
    patch = run.collect()
    assert b"windows.txt" not in patch.file.read_bytes()
    assert left_out(patch) == {"windows.txt": AS_BEGAN}


@pytest.mark.parametrize("end", ["true", "git commit -qm old"])
def test_files_removed_from_a_sparse_checkout_are_removed(
    sparse: Run, git_server: GitServer, tmp_path: Path, end: str
) -> None:
    sparse.agent(f"git rm -rq --sparse old; {end}")
    assert changes(sparse.collect(), git_server, tmp_path / "applied") == {"D\told/deep/more.txt", "D\told/name.txt"}


def test_an_index_without_any_file_that_was_not_checked_out_removes_none_of_them(
    sparse: Run, git_server: GitServer, tmp_path: Path
) -> None:
    sparse.agent("rm .git/index; git add .; git commit -qm 'of what is there'")
    patch = sparse.collect()
    assert changes(patch, git_server, tmp_path / "applied") == {"D\tsubmodule"}
    assert left_out(patch) == dict.fromkeys(["far/away.txt", "old/deep/more.txt", "old/name.txt"], TAKEN_OUT)


@pytest.mark.parametrize(
    "script",
    [
        "git mv current previous; mkdir current; echo new > current/file",
        "mv current previous; mv releases/1 current",
        "mv current a; ln -s releases/1 b; mkdir -p current/deep; cp releases/1/file current/deep",
    ],
)
def test_a_patch_that_moves_a_link_and_puts_a_folder_in_its_place_applies(
    git_server: GitServer, prepare: Prepare, tmp_path: Path, script: str
) -> None:
    if not (git_server.folder / "owner" / "links").exists():
        git_server.create("links", {"releases/1/file": b"1\n", ".gitignore": b""})
        (git_server.folder / "owner" / "links" / "current").symlink_to("releases/1")
        git_server.git("links", "add", "--all")
        git_server.git("links", "commit", "--quiet", "--message", "link")
    run = prepare("full", "owner/links")
    run.agent(script)
    tree = applied(run.collect(), git_server, tmp_path / "applied", "links")
    run.agent("git add -A")
    assert tree == git(run.workspace.path, "write-tree")
