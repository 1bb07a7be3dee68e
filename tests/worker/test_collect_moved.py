"""Tracked files that the agent moved to where new ones are left out."""

import subprocess
from collections.abc import Iterable
from pathlib import Path

import pytest

from tests.worker.collecting import Prepare, applied, git
from tests.worker.git_server import GitServer
from tests.worker.test_collect_left_out import left_out, names
from worker.collection import choice, inventory
from worker.collection.calls import Calls


@pytest.mark.parametrize("move", ["git mv {} {}; git commit -qm moved", "mv {} {}"])
def test_tracked_files_that_were_moved_are_no_leftovers(
    git_server: GitServer, prepare: Prepare, tmp_path: Path, move: str
) -> None:
    files = {"a/One.class": b"1", "a/node_modules/x/i.js": b"2", "b/p.egg-info/PKG-INFO": b"3", "c.pyc": b"4"}
    if not (git_server.folder / "owner" / "moved").exists():
        git_server.create("moved", files)
    run = prepare("full", "owner/moved")
    run.agent(f"""
        {move.format("a", "new")}; {move.format("b", "b2")}; {move.format("c.pyc", "d.pyc")}
        echo 5 > new/node_modules/made.js; echo 6 > new/Made.class; mkdir node_modules; echo 2 > node_modules/other.js
    """)
    patch = run.collect()
    assert left_out(patch) == {"new/Made.class": "Java byte code", "node_modules/": "packages of npm"}
    tree = applied(patch, git_server, tmp_path / "applied", "moved")
    assert set(git(tmp_path / "applied", "ls-tree", "-r", "--name-only", tree).splitlines()) == {
        *("new/One.class", "new/node_modules/x/i.js", "b2/p.egg-info/PKG-INFO", "d.pyc", "new/node_modules/made.js")
    }


def test_a_tracked_file_that_is_too_large_may_be_moved(
    git_server: GitServer, prepare: Prepare, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inventory, "MAX_FILE_BYTES", 1_000)
    run = prepare("full", git_server.create("moved-large", {"data": b"1" * 2_000, "more": b"2" * 2_000}))
    run.agent("mv data moved; truncate -s 2000 made; truncate -s 3000 more")
    patch = run.collect()
    assert "rename to moved" in patch.file.read_text()
    assert left_out(patch).keys() == {"made", "more"}


def test_a_deleted_common_file_makes_no_packages_part_of_the_repository(
    git_server: GitServer, prepare: Prepare
) -> None:
    files = {"src/.gitkeep": b"", "src/LICENSE": b"MIT", "one/NOTICE": b"x", "two/COPYING": b"Apache"}
    run = prepare("full", git_server.create("common", files))
    run.agent("""
        mkdir -p node_modules/a node_modules/b; cp src/.gitkeep src/LICENSE node_modules/a
        mv src/LICENSE node_modules/b
        cp one/NOTICE node_modules/a/; cp two/COPYING node_modules/; mv two/COPYING docs
        echo 1 > node_modules/a/i.js; rm -r src one
    """)
    patch = run.collect()
    # Only NOTICE has one possible new place; two/COPYING is at docs as well, which git shows as a rename.
    assert names(patch) == {"src/.gitkeep", "src/LICENSE", "docs", "node_modules/a/NOTICE"}
    assert left_out(patch) == {"node_modules/": "packages of npm"}


def test_a_moved_folder_of_packages_is_whole_with_equal_and_empty_files(
    git_server: GitServer, prepare: Prepare
) -> None:
    files = {f"a/node_modules/{name}": b"same" for name in ("x/LICENSE", "y/LICENSE")}
    files |= {"a/node_modules/x/empty": b"", "a/node_modules/x/i.js": b"x", "a/node_modules/y/i.js": b"y"}
    run = prepare("full", git_server.create("packages", files))
    run.agent("mv a new; echo changed > new/node_modules/y/i.js; cp new/node_modules/x/LICENSE new/node_modules/x/COPY")
    patch = run.collect()
    assert left_out(patch) == {}
    assert {"new/node_modules/y/i.js", "new/node_modules/x/empty", "new/node_modules/y/LICENSE"} <= names(patch)


def test_an_unreadable_file_costs_no_other_move(
    git_server: GitServer, prepare: Prepare, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Root, which tests run as, reads every file, so the error of git is repeated here."""
    run = prepare("full", git_server.create("unread", {"a.pyc": b"1", "b.pyc": b"2"}))
    run.agent("mkdir new; mv *.pyc new; echo -n 3 > new/c.pyc")
    feed = Calls.feed

    def unreadable(calls: Calls, argv: list[str], data: Iterable[bytes], **variables: str | Path) -> None:
        paths = list(data)
        if b"new/a.pyc\0" in paths:
            error = b'error: open("new/a.pyc"): Permission denied\nfatal: Unable to process path new/a.pyc\n'
            raise subprocess.CalledProcessError(128, argv, stderr=error)
        feed(calls, argv, paths, **variables)

    monkeypatch.setattr(Calls, "feed", unreadable)
    assert left_out(run.collect()).keys() == {"new/a.pyc", "new/c.pyc"}


def test_looking_for_moved_files_writes_no_objects_and_reads_no_more_than_a_patch_holds(
    git_server: GitServer, prepare: Prepare, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(choice, "MAX_NEW_BYTES", 49)
    run = prepare("full", git_server.create("bounds", {"a.pyc": b"1" * 10, "b.pyc": b"2" * 30}))
    run.agent("mkdir new; mv *.pyc new; printf %030d 7 > new/c.pyc; printf %010d 8 > new/d.pyc")
    patch = run.collect()
    assert left_out(patch).keys() == {"new/b.pyc", "new/c.pyc", "new/d.pyc"}
    other = git(run.workspace.path, "hash-object", "new/d.pyc")
    assert not (run.workspace.root / "collect" / "objects" / other[:2] / other[2:]).exists()


def test_files_of_one_repository_are_not_moved_to_another(git_server: GitServer, prepare: Prepare) -> None:
    """Each tree has an index of its own for this: a nested repository may have files at the same paths."""
    git_server.create("inner", {"i.pyc": b"22"})
    git_server.create("outer", {"o.pyc": b"22"})
    url = git_server.folder / "owner" / "inner"
    git_server.git("outer", "-c", "protocol.file.allow=always", "submodule", "add", "--quiet", str(url), "sub")
    git_server.git("outer", "commit", "--quiet", "--message", "submodule")
    run = prepare("full", "owner/outer")
    run.agent(f"""
        git clone -q {url} sub; mv o.pyc same.pyc; cd sub; rm i.pyc; printf 333 > same.pyc
    """)
    assert left_out(run.collect()).keys() == {"sub/same.pyc"}
