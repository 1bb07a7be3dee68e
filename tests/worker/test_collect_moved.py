"""Tracked files that the agent moved to where new ones are left out."""

from pathlib import Path

import pytest

from tests.worker.collecting import Prepare, applied, git
from tests.worker.git_server import GitServer
from tests.worker.test_collect_left_out import left_out
from worker.collection import inventory


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
    run = prepare("full", git_server.create("large", {"data": b"1" * 2_000, "more": b"2" * 2_000}))
    run.agent("mv data moved; truncate -s 2000 made; truncate -s 3000 more")
    patch = run.collect()
    assert "rename to moved" in patch.file.read_text()
    assert left_out(patch).keys() == {"made", "more"}
