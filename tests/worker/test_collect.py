"""The patch: whatever the agent did to its workspace, applied to the base commit it gives the same files."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import pytest

from tests.worker.collecting import Run, applied, expected, git
from tests.worker.conftest import GitServer
from worker.collect import CollectError
from worker.collection.calls import Calls


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
        pytest.param("mkdir -p ignored; echo x > ignored/file", id="ignored"),
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
    assert applied(patch, git_server, tmp_path / "applied") == expected(run, tmp_path / "expected.git")


def test_a_repository_made_inside_the_workspace_is_in_the_patch_as_files(run: Run) -> None:
    run.agent("mkdir sub; cd sub; git init -q; echo inner > file")
    assert b"+++ b/sub/file\n" in run.collect().file.read_bytes()


def test_files_whose_names_git_refuses_cost_the_others_nothing(run: Run) -> None:
    run.agent("mkdir .GIT; echo x > .GIT/config; echo y > git~1; echo z > '.git '; echo kept > kept")
    patch = run.collect()
    assert patch.files_changed == 1
    assert [item.path for item in patch.collection.left_out] == [".GIT/config", ".git ", "git~1"]
    assert b"+++ b/kept" in patch.file.read_bytes()


def test_a_file_that_cannot_be_read_is_not_taken_for_one_that_git_refuses(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    run.agent("echo y > git~1; echo kept > kept")
    feed = Calls.feed

    def without_room(calls: Calls, argv: Sequence[str], data: Iterable[bytes], **variables: str | Path) -> None:
        if "--add" in argv:  # git cannot make its objects any more
            objects = calls.scratch / "objects"
            objects.rmdir()
            objects.touch()
        feed(calls, argv, data, **variables)

    monkeypatch.setattr(Calls, "feed", without_room)
    with pytest.raises(CollectError, match="git ended with"):
        run.collect()


def test_unreadable_files_are_read_and_no_file_becomes_executable(
    run: Run, git_server: GitServer, tmp_path: Path
) -> None:
    run.agent(
        "chmod 0654 README.md; chmod +x script.sh; mkdir -p d/e; echo x > d/e/f; chmod 0050 d/e/f; chmod 0 d/e d old"
    )
    patch = run.collect()
    modes = git(tmp_path / "clone", "ls-tree", "-r", applied(patch, git_server, tmp_path / "clone")).splitlines()
    assert {line.rpartition("\t")[2] for line in modes if line.startswith("100755")} == {"script.sh"}
    assert patch.files_changed == 2


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
    assert patch.commit_after == git(run.workspace.path, "rev-parse", "HEAD")
    assert patch.commit_after != run.workspace.commit_before


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
    assert applied(sparse.collect(), git_server, tmp_path / "applied") == expected(run, tmp_path / "expected.git")
