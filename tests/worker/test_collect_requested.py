"""Files that a dispatch asks for by patterns are kept as they are, whatever the repository ignores."""

import os
import tarfile

import pytest

from outpost.domain.artifacts import Artifact
from outpost.domain.collection import check_glob
from tests.worker.collecting import Run
from worker.collect import Patch
from worker.collection import requested


def archive(patch: Patch) -> dict[str, bytes | None]:
    """The files of the archive -> content; None for a symbolic link."""
    with tarfile.open(patch.more[Artifact.COLLECTED]) as found:
        contents = ((member.name, found.extractfile(member) if member.isfile() else None) for member in found)
        return {name: content.read() if content else None for name, content in contents}


def test_requested_files_are_kept_byte_for_byte(run: Run) -> None:
    run.agent(r"""
        mkdir -p ignored/sub node_modules/x; printf 'a\r\n\0' > ignored/a.whl; echo no > ignored/b.txt
        echo deep > ignored/sub/c.whl; ln -s /etc/passwd ignored/link.whl; ln ignored/a.whl ignored/hard.whl
        echo 1 > node_modules/x/index.js; echo '--checkpoint-action=exec=touch planted' > './--help.whl'
    """)
    patch = run.collect(requested=["ignored/*.whl", "node_modules/", "*.whl", "README.md", "missing/**"])
    assert archive(patch) == {
        "ignored/a.whl": b"a\r\n\0",
        "ignored/hard.whl": b"a\r\n\0",
        "ignored/link.whl": None,
        "node_modules/x/index.js": b"1\n",
        "--help.whl": b"--checkpoint-action=exec=touch planted\n",
        "README.md": b"one\ntwo\nthree\n",
    }
    reasons = {item.path: item.reason for item in patch.collection.left_out}
    assert reasons["missing/**"] == "no file matches this pattern of `collect`"
    assert reasons["ignored/"].endswith("; the requested files below it are in collected.tar.gz")


def test_files_of_a_repository_inside_are_kept_without_its_history(run: Run) -> None:
    run.agent("mkdir -p ignored/repo/sub; cd ignored/repo; git init -q; echo x > file; mkfifo pipe; echo y > sub/file")
    assert archive(run.collect(requested=["ignored/repo"])).keys() == {"ignored/repo/file", "ignored/repo/sub/file"}


def test_files_of_a_submodule_are_kept_when_its_folder_is_named(run: Run) -> None:
    run.agent("mkdir submodule/dist; echo x > submodule/dist/a.whl; rm README.md")
    assert archive(run.collect(requested=["submodule", "README.md"])) == {"submodule/dist/a.whl": b"x\n"}


def test_patterns_reach_into_submodules_and_other_repositories(run: Run) -> None:
    run.agent("""
        mkdir -p submodule/dist repo/dist ignored/repo/dist; for inner in repo ignored/repo; do git init -q $inner; done
        git worktree add -q worktree; mkdir worktree/dist
        for inner in submodule repo ignored/repo worktree; do touch $inner/dist/a.whl $inner/dist/no; done
    """)
    kept = archive(run.collect(requested=["**/dist/*.whl"]))
    assert kept.keys() == {f"{inner}/dist/a.whl" for inner in ("submodule", "repo", "ignored/repo", "worktree")}


def test_the_largest_of_too_much_is_left_out(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requested, "MAX_BYTES", 3000)
    run.agent("mkdir ignored; truncate -s 2000 ignored/a; truncate -s 1000 ignored/b; truncate -s 9G ignored/c")
    patch = run.collect(requested=["ignored"])
    assert archive(patch).keys() == {"ignored/a", "ignored/b"}
    assert "ignored/c" in {item.path for item in patch.collection.left_out}


def test_a_secret_in_a_requested_file_withholds_the_archive(run: Run) -> None:
    content = os.urandom(200_000).hex()
    run.agent(f"mkdir ignored; echo {content[:90_000]} > ignored/big; echo token=hunter2-hunter2 >> ignored/big")
    findings = run.collect({"TOKEN": "hunter2-hunter2"}, ["ignored"]).findings
    assert findings.withheld == (Artifact.COLLECTED,)
    assert findings.places[0].path == "ignored/big"


def test_a_secret_in_the_target_of_a_requested_link_withholds_the_archive(run: Run) -> None:
    run.agent("mkdir ignored; ln -s /run/hunter2-hunter2 ignored/link")
    findings = run.collect({"TOKEN": "hunter2-hunter2"}, ["ignored"]).findings
    assert findings.withheld == (Artifact.COLLECTED,)
    assert findings.places[0].path == "ignored/link"


@pytest.mark.parametrize(
    "glob", ["/etc/passwd", "../x", "a/../../b", "~/x", ".git/config", "a\\b", "a\nb", ".", "./", "/"]
)
def test_a_pattern_of_anything_but_the_workspaces_files_is_refused(glob: str) -> None:
    with pytest.raises(ValueError, match=r"pattern of paths|names no files"):
        check_glob(glob)


def test_what_no_archive_can_hold_is_named(run: Run) -> None:
    run.agent("mkdir -p ignored/empty; mkfifo ignored/pipe ignored/empty/pipe; echo 1 > ignored/file")
    patch = run.collect(requested=["ignored/*", "ignored/empty/**"])
    assert archive(patch) == {"ignored/file": b"1\n"}
    reasons = {item.path: item.reason for item in patch.collection.left_out}
    assert reasons["ignored/pipe"] == reasons["ignored/empty/pipe"] == "a named pipe"
    assert "ignored/empty/**" not in reasons
