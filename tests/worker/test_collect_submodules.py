"""Submodules: pointers as git records them, edits inside as a patch of their own."""

import errno
import os
from pathlib import Path
from typing import IO

import pytest

from outpost.domain.artifacts import Artifact
from outpost.domain.dispatch import InitMode
from tests.worker.collecting import Prepare, Run, applied, git
from tests.worker.git_server import GitServer
from worker import collect
from worker.collect import Patch
from worker.collection import inventory
from worker.collection.calls import Calls
from worker.collection.diff import write_diff
from worker.collection.staging import Tree
from worker.secret_scan import SecretScan


@pytest.fixture
def urls(git_server: GitServer) -> dict[str, str]:
    """A repository with a submodule, and the submodule's own."""
    names = {"lib": "submodule-lib", "app": "submodule-app"}
    if not (git_server.folder / "owner" / "submodule-lib").exists():
        git_server.create("submodule-lib", {"lib.txt": b"one\n"})
        git_server.create("submodule-app", {"app.txt": b"app\n"})
        url = f"{git_server.url}/owner/submodule-lib"
        git_server.git("submodule-app", "-c", "protocol.allow=always", "submodule", "--quiet", "add", url, "vendor/lib")
        git_server.git("submodule-app", "commit", "--quiet", "--message", "a submodule")
    return {key: f"{git_server.url}/owner/{name}" for key, name in names.items()}


@pytest.fixture
def app(urls: dict[str, str], prepare: Prepare) -> Run:
    assert urls
    mode: InitMode = "full"
    return prepare(mode, "owner/submodule-app")


def nested(run: Run) -> str:
    return run.collect().more[Artifact.NESTED].read_text()


def test_a_file_below_a_submodule_that_was_never_filled_is_kept(app: Run) -> None:
    app.agent("echo new > vendor/lib/new.txt")
    patch = app.collect()
    assert patch.files_changed == 0
    assert "+++ b/vendor/lib/new.txt" in patch.more[Artifact.NESTED].read_text()
    assert [(each.path, each.kind, each.base) for each in patch.collection.nested] == [
        ("vendor/lib", "submodule", None)
    ]


@pytest.mark.parametrize("fill", ["git clone -q {lib} vendor/lib", "git submodule --quiet update --init"])
def test_an_edit_in_a_submodule_is_a_patch_of_its_own(
    app: Run, urls: dict[str, str], tmp_path: Path, fill: str
) -> None:
    app.agent(f"{fill.format(**urls)}; cd vendor/lib; echo edit >> lib.txt; echo new > new.txt")
    patch = app.collect()
    assert patch.files_changed == 0
    assert [(each.path, each.files_changed) for each in patch.collection.nested] == [("vendor/lib", 2)]
    clone = with_nested(patch, urls, tmp_path)
    assert (clone / "vendor" / "lib" / "lib.txt").read_text() == "one\nedit\n"


def with_nested(patch: Patch, urls: dict[str, str], folder: Path) -> Path:
    """Return a checkout with its submodules, to which the edits inside them are applied."""
    git(folder, "clone", "--quiet", urls["app"], "clone")
    clone = folder / "clone"
    git(clone, "submodule", "--quiet", "update", "--init")
    git(clone, "apply", str(patch.more[Artifact.NESTED]))
    return clone


def test_a_file_that_moved_in_a_submodule_moves_there_alone(app: Run, urls: dict[str, str], tmp_path: Path) -> None:
    app.agent(
        "git submodule --quiet update --init; git -C vendor/lib mv lib.txt moved.txt; cp vendor/lib/moved.txt lib.txt"
    )
    clone = with_nested(app.collect(), urls, tmp_path)
    assert {path.name for path in (clone / "vendor" / "lib").iterdir()} == {".git", "moved.txt"}


def test_what_the_disk_has_no_room_for_costs_itself_and_no_other_patch(
    app: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    app.agent("git worktree add -q a; git worktree add -q b; echo 1 > a/one; echo 2 > b/two")

    def write(calls: Calls, tree: Tree, scan: SecretScan, artifact: str, file: IO[bytes]) -> int:
        changed = write_diff(calls, tree, scan, artifact, file)
        if tree.path == b"a":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return changed

    monkeypatch.setattr(collect, "write_diff", write)
    patch = app.collect()
    written = patch.more[Artifact.NESTED].read_text()
    assert ("b/b/two" in written, "b/a/one" in written) == (True, False)
    assert [each.path for each in patch.collection.nested] == ["b"]
    assert {each.path: each.reason for each in patch.collection.left_out} == {
        "a": "could not be kept: No space left on device"
    }


@pytest.mark.parametrize("record", ["true", "git add vendor/lib", "git commit -qam bump"])
def test_a_moved_pointer_is_in_the_patch_and_the_commits_it_names_as_a_patch(
    app: Run, urls: dict[str, str], git_server: GitServer, tmp_path: Path, record: str
) -> None:
    app.agent(f"""
        git clone -q {urls["lib"]} vendor/lib; (cd vendor/lib; echo e >> lib.txt; git commit -qam bump); {record}
    """)
    patch = app.collect()
    moved = git(app.workspace.path / "vendor" / "lib", "rev-parse", "HEAD")
    assert f"+Subproject commit {moved}\n" in patch.file.read_text()
    assert "+e\n" in patch.more[Artifact.NESTED].read_text()
    tree = applied(patch, git_server, tmp_path / "clone", "submodule-app")
    assert moved in git(tmp_path / "clone", "ls-tree", "-r", tree)
    assert any("its remote does not have" in item.reason for item in patch.collection.left_out)


@pytest.mark.parametrize(
    "keep",
    [
        "checkout -q -b side; git commit -qam side; git checkout -q main",
        "stash -q",
        "commit -qam x; git reset -q HEAD~",
    ],
    ids=["branch", "stash", "reflog"],
)
def test_commits_of_a_submodule_that_are_not_kept_are_named(app: Run, urls: dict[str, str], keep: str) -> None:
    app.agent(f"git clone -q {urls['lib']} vendor/lib; cd vendor/lib; echo e >> lib.txt; git {keep}; git checkout -q .")
    left = [(item.path, item.reason) for item in app.collect().collection.left_out]
    assert [path for path, _ in left] == ["vendor/lib"]
    assert "only its other branches, stashes or reflogs have" in left[0][1]


@pytest.mark.parametrize("fill", ["git clone -q {lib} vendor/lib", "git submodule --quiet update --init"])
def test_a_worktree_of_a_submodule_is_not_the_repositorys_files(app: Run, urls: dict[str, str], fill: str) -> None:
    app.agent(f"""
        {fill.format(**urls)}; git -C vendor/lib worktree add -q ../../wt -b side; echo edit >> wt/lib.txt
    """)
    patch = app.collect()
    assert patch.files_changed == 0
    assert [(each.path, each.kind, each.files_changed) for each in patch.collection.nested] == [("wt", "worktree", 1)]


def test_commits_of_a_submodule_that_was_emptied_again_are_named(app: Run) -> None:
    app.agent("""
        git submodule --quiet update --init; (cd vendor/lib; echo e >> lib.txt; git commit -qam bump)
        git commit -qam bump; git reset -q --hard HEAD~; git submodule --quiet deinit --force --all
    """)
    left = [(item.path, item.reason) for item in app.collect().collection.left_out]
    assert [path for path, _ in left] == [".git/modules/vendor/lib"]
    assert left[0][1].startswith("1 commits of a submodule")


def test_commits_of_a_submodule_inside_another_are_in_nested_patch_and_not_said_to_be_lost(
    git_server: GitServer, prepare: Prepare, urls: dict[str, str]
) -> None:
    if not (git_server.folder / "owner" / "submodule-top").exists():
        git_server.create("submodule-top", {"top.txt": b"top\n"})
        add = ("-c", "protocol.allow=always", "submodule", "--quiet", "add")
        git_server.git("submodule-top", *add, urls["app"], "app")
        git_server.git("submodule-top", "commit", "--quiet", "--message", "a submodule with a submodule")
    top = prepare("full", "owner/submodule-top")
    top.agent("""
        git submodule --quiet update --init --recursive; git mv app moved; cd moved
        for folder in vendor/lib . ..; do (cd $folder; echo e >> new.txt; git add .; git commit -qm bump); done
    """)
    patch = top.collect()
    assert [each.path for each in patch.collection.nested] == ["moved", "moved/vendor/lib"]
    assert {item.path for item in patch.collection.left_out} == {"moved", "moved/vendor/lib"}
    assert all("nested.patch holds their changes" in item.reason for item in patch.collection.left_out)


@pytest.mark.parametrize("first", "19")
def test_of_a_pointer_that_only_the_index_moved_the_newest_commit_counts(app: Run, first: str) -> None:
    app.agent(f"""
        git update-index --cacheinfo 160000,{first * 40},vendor/lib; git commit -qm first
        git update-index --cacheinfo 160000,{"5" * 40},vendor/lib
    """)
    assert f"+Subproject commit {'5' * 40}\n" in app.collect().file.read_text()


@pytest.mark.parametrize("path", ["vendor/lib", "libs/new"])
def test_a_submodule_with_other_hashes_costs_the_patch_nothing(app: Run, path: str) -> None:
    """A repository can name no commit of another object format (git: hash-function-transition)."""
    app.agent(f"""
        git init -q --object-format=sha256 {path}; (cd {path}; echo a > a.txt; git add .; git commit -qm a)
        git config -f .gitmodules submodule.{path}.path {path}; echo work > work.txt
    """)
    patch = app.collect()
    content = patch.file.read_text()
    assert "+++ b/work.txt" in content
    written = content + "".join(file.read_text() for file in patch.more.values())
    assert f"+++ b/{path}/a.txt" in written


def test_a_pointer_moved_to_a_published_commit_brings_no_patch_of_it(
    app: Run, urls: dict[str, str], git_server: GitServer
) -> None:
    git_server.git("submodule-lib", "checkout", "--quiet", "-b", "next")
    git_server.git("submodule-lib", "commit", "--quiet", "--allow-empty", "--message", "upstream goes on")
    published = git_server.git("submodule-lib", "rev-parse", "next")
    git_server.git("submodule-lib", "checkout", "--quiet", "main")
    app.agent(f"git clone -qb next {urls['lib']} vendor/lib")
    patch = app.collect()
    assert f"+Subproject commit {published}\n" in patch.file.read_text()
    assert patch.more == {}
    assert patch.collection.left_out == ()


def test_an_added_submodule_is_in_the_patch_as_git_records_it(app: Run, urls: dict[str, str]) -> None:
    app.agent(f"git -c protocol.allow=always submodule --quiet add {urls['lib']} third/lib")
    patch = app.collect().file.read_text()
    assert "new file mode 160000" in patch
    assert "+\tpath = third/lib" in patch


def test_a_removed_submodule_is_removed_in_the_patch(app: Run) -> None:
    app.agent("git rm -q vendor/lib; git commit -qm gone")
    assert "deleted file mode 160000" in app.collect().file.read_text()


def test_a_submodule_turned_into_files_is_files_in_the_patch(
    app: Run, urls: dict[str, str], git_server: GitServer, tmp_path: Path
) -> None:
    app.agent(f"""
        git rm -q vendor/lib; git clone -q {urls["lib"]} vendor/lib; rm -rf vendor/lib/.git
        echo own >> vendor/lib/lib.txt; git add vendor/lib
    """)
    patch = app.collect()
    assert patch.more == {}
    applied(patch, git_server, tmp_path / "clone", "submodule-app")
    assert "own" in (tmp_path / "clone" / "vendor" / "lib" / "lib.txt").read_text()


@pytest.mark.parametrize(
    ("replace", "entry"), [("echo own > vendor/lib", "100644"), ("ln -s ../app.txt vendor/lib", "120000")]
)
def test_a_file_or_a_link_in_place_of_a_submodule_is_in_the_patch(
    app: Run, git_server: GitServer, tmp_path: Path, replace: str, entry: str
) -> None:
    app.agent(f"rmdir vendor/lib; {replace}")
    patch = app.collect()
    tree = applied(patch, git_server, tmp_path / "clone", "submodule-app")
    assert git(tmp_path / "clone", "ls-tree", tree, "vendor/lib").startswith(entry)
    assert (patch.more, patch.collection.left_out) == ({}, ())


@pytest.mark.parametrize("ignore", ["none", "all"])
def test_a_submodules_own_configuration_runs_and_hides_nothing(
    app: Run, urls: dict[str, str], tmp_path: Path, ignore: str
) -> None:
    """The edit keeps the file's size, so that git would have to compare contents, through the filter."""
    trap = tmp_path / "trapped"
    app.agent(f"""
        git clone -q {urls["lib"]} vendor/lib; cd vendor/lib; echo two > lib.txt
        echo '* filter=evil diff=evil' > .gitattributes
        for key in core.fsmonitor filter.evil.clean diff.evil.textconv diff.external; do
            git config $key "touch {trap}"; done
        git commit -q --allow-empty -m moved
        cd ../..; git config -f .gitmodules submodule.vendor/lib.ignore {ignore}; rm -f {trap}
    """)
    patch = app.collect()
    assert "+two\n" in patch.more[Artifact.NESTED].read_text()
    assert "+Subproject commit" in patch.file.read_text()
    assert not trap.exists()


@pytest.mark.parametrize("make", ["mkfifo", "head -c 2000 /dev/zero >"], ids=["pipe", "too large"])
def test_what_no_patch_can_hold_costs_only_itself_in_place_of_a_submodule(
    app: Run, monkeypatch: pytest.MonkeyPatch, make: str
) -> None:
    monkeypatch.setattr(inventory, "MAX_FILE_BYTES", 1_000)
    app.agent(f"rmdir vendor/lib; {make} vendor/lib; echo work > work.txt")
    patch = app.collect()
    content = patch.file.read_text()
    assert "+++ b/work.txt" in content
    assert "deleted file mode 160000" in content
    assert [item.path for item in patch.collection.left_out] == ["vendor/lib"]


@pytest.mark.parametrize("make", ["mkfifo", "head -c 2000 /dev/zero >"], ids=["pipe", "too large"])
def test_what_no_patch_can_hold_costs_only_itself_in_a_folder_that_became_a_submodule(
    run: Run, monkeypatch: pytest.MonkeyPatch, make: str
) -> None:
    monkeypatch.setattr(inventory, "MAX_FILE_BYTES", 1_000)
    run.agent(f"""
        rm -r old; git init -q old; git -C old commit -q --allow-empty -m x; {make} old/name.txt
        git config -f .gitmodules submodule.old.path old; git config -f .gitmodules submodule.old.url x; echo w > w
    """)
    patch = run.collect()
    content = patch.file.read_text(errors="replace")
    assert "+++ b/w\n" in content
    assert "deleted file mode 100644\nindex" in content
    assert "old/name.txt" in {item.path for item in patch.collection.left_out}


def test_a_submodule_linked_to_a_folder_outside_is_not_followed(app: Run, tmp_path: Path) -> None:
    """What the link leads to is not the agent's work."""
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret").write_text("not yours")
    app.agent(f"rmdir vendor/lib; ln -s {tmp_path}/outside vendor/lib")
    patch = app.collect()
    assert "not yours" not in patch.file.read_text()
    assert patch.more == {}


def test_files_that_became_a_submodule_are_not_said_to_be_collected_like_others(run: Run, urls: dict[str, str]) -> None:
    run.agent(f"git rm -rq old; git submodule --quiet add {urls['lib']} old; git commit -qm 'old is a submodule'")
    patch = run.collect()
    assert b"Subproject commit" in patch.file.read_bytes()
    assert patch.collection.left_out == ()
