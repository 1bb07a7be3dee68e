"""What is not in the patch: it costs nothing but itself, and is named with the reason."""

from pathlib import Path

import pytest

from outpost.domain.agents import Agent
from outpost.domain.artifacts import Artifact
from tests.worker.collecting import Prepare, Run, applied, git
from tests.worker.git_server import GitServer
from worker.adapters import ADAPTERS
from worker.collect import NoRoomError, Patch
from worker.collection import choice, inventory
from worker.collection.calls import Calls


def left_out(patch: Patch) -> dict[str, str]:
    return {item.path: item.reason for item in patch.collection.left_out}


def names(patch: Patch) -> set[str]:
    """The files that a patch changes."""
    lines = patch.file.read_text(errors="replace").splitlines()
    return {line.rpartition(" b/")[2] for line in lines if line.startswith("diff --git ")}


def test_pipes_and_sockets_cost_only_themselves_also_in_place_of_tracked_files(run: Run) -> None:
    run.agent("""
        rm README.md script.sh; mkfifo README.md pipe
        python3 -c 'import socket; [socket.socket(socket.AF_UNIX).bind(n) for n in ("script.sh", "socket")]'
        mkdir ignored; mkfifo ignored/pipe; echo work > new.txt
    """)
    patch = run.collect()
    assert names(patch) == {"new.txt"}
    found = left_out(patch)
    assert found.pop("ignored/") == choice.IGNORED
    assert found == dict.fromkeys(["README.md", "pipe"], "a named pipe") | dict.fromkeys(
        ["script.sh", "socket"], "a socket"
    )


def test_a_pipe_in_place_of_a_file_of_rules_does_not_hold_the_collection_up(run: Run) -> None:
    run.agent("""
        rm .gitignore .gitattributes; mkfifo .gitignore .gitattributes .gitmodules; mkdir sub; mkfifo sub/.gitignore
        truncate -s 2G far/.gitignore; echo work > sub/new.txt; echo work > far/new.txt
    """)
    patch = run.collect()
    assert names(patch) == {"sub/new.txt", "far/new.txt"}
    assert {".gitignore", ".gitattributes", ".gitmodules", "sub/.gitignore", "far/.gitignore"} <= left_out(patch).keys()


def test_a_file_that_is_too_large_costs_only_itself(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inventory, "MAX_FILE_BYTES", 4096)
    run.agent("truncate -s 5000 sparse.bin; truncate -s 5000 README.md; truncate -s 4096 fits; echo work > new.txt")
    patch = run.collect()
    assert names(patch) == {"new.txt", "fits"}
    assert left_out(patch).keys() == {"sparse.bin", "README.md"}


def test_a_sparse_file_of_2_gb_takes_no_time(run: Run) -> None:
    run.agent("truncate -s 2G core.dump; truncate -s 2G README.md; echo work > new.txt")
    patch = run.collect()
    assert names(patch) == {"new.txt"}
    assert left_out(patch) == dict.fromkeys(["core.dump", "README.md"], "larger than 100 MiB")


@pytest.mark.parametrize("folder", [".", "old"])
def test_paths_that_are_too_long_to_open_cost_only_themselves(run: Run, folder: str) -> None:
    run.agent(f"""
        cd {folder}; echo work > new.txt; name=$(printf 'd%.0s' {{1..200}})
        for n in {{1..25}}; do mkdir $name; cd $name; echo $n > file; done
    """)
    patch = run.collect()
    assert len(names(patch)) == patch.files_changed > 10
    assert b"+work" in patch.file.read_bytes()
    reasons = [item.reason for item in patch.collection.left_out]
    assert {*reasons} == {"a path of more than 4,095 bytes"}


def test_a_file_that_only_the_index_has_is_named(run: Run) -> None:
    run.agent("echo 1 > committed; git add .; git commit -qm x; echo 2 > staged; git add staged; rm staged committed")
    assert left_out(run.collect()) == {"staged": "in the index only: removed from the working tree"}


def test_too_many_new_files_cost_the_folder_that_they_are_in(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choice, "MOST_NEW_FILES", 20)
    run.agent("mkdir -p data/a data/b; touch data/a/{1..30} data/b/{1..30} old/{1..9}.log; echo work > old/new.txt")
    patch = run.collect()
    assert names(patch) == {f"old/{n}.log" for n in range(1, 10)} | {"old/new.txt"}
    assert [(item.path, item.files) for item in patch.collection.left_out] == [("data/", 60)]


def test_too_much_new_data_costs_the_largest_folder(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choice, "MAX_NEW_BYTES", 10_000)
    run.agent("mkdir model; truncate -s 9000 model/{1..3}; truncate -s 5000 kept; echo work > new.txt")
    patch = run.collect()
    assert names(patch) == {"kept", "new.txt"}
    assert left_out(patch) == {"model/": "more than 0 MiB of new files"}


def test_a_file_that_the_agent_forced_past_the_ignore_rules_is_in_the_patch(
    run: Run, git_server: GitServer, tmp_path: Path
) -> None:
    run.agent("""
        mkdir -p ignored/deep; echo built > ignored/app.js; echo staged > ignored/deep/staged; echo no > ignored/other
        git add -f ignored/app.js; git commit -qm ship; git add -f ignored/deep; echo changed > ignored/app.js
        echo gone > ignored/gone; git add -f ignored/gone; git commit -qm more; rm ignored/gone
    """)
    patch = run.collect()
    assert names(patch) == {"ignored/app.js", "ignored/deep/staged"}
    applied(patch, git_server, tmp_path / "clone")
    assert (tmp_path / "clone" / "ignored" / "app.js").read_text() == "changed\n"
    assert left_out(patch) == {"ignored/other": choice.IGNORED}


def test_what_the_repository_ignores_is_named(run: Run) -> None:
    run.agent("echo out/ >> .gitignore; mkdir -p out/sub; echo report > out/sub/report.html; echo x > other")
    patch = run.collect()
    assert names(patch) == {".gitignore", "other"}
    assert left_out(patch) == {"out/": choice.IGNORED}


def test_byte_code_and_caches_stay_out_also_when_the_agent_committed_them(run: Run) -> None:
    run.agent("""
        mkdir -p src/__pycache__ .pytest_cache/v target/debug .venv/bin pkg.egg-info node_modules/left-pad
        touch src/__pycache__/a.cpython-313.pyc src/old.pyc .pytest_cache/v/x .coverage .aider.chat.history.md
        touch target/debug/app .venv/bin/python pkg.egg-info/PKG-INFO node_modules/left-pad/index.js src/.DS_Store
        echo 'Signature: 8a477f597d28d172789f06886806bc55' > target/CACHEDIR.TAG; echo 'home = /' > .venv/pyvenv.cfg
        echo work > src/a.py; git add --all; git commit -qm all
    """)
    patch = run.collect()
    assert names(patch) == {"src/a.py"}
    found = left_out(patch)
    assert found["target/"] == "a cache, by its CACHEDIR.TAG"
    assert found["src/__pycache__/"] == "Python byte code"
    assert len(found) == 10


def test_byte_code_and_caches_of_other_languages_stay_out_as_well(run: Run) -> None:
    run.agent("""
        mkdir -p app .dart_tool/x .parcel-cache .turbo .zig-cache/o; touch .dart_tool/x/y .parcel-cache/data .turbo/log
        touch 'app/Main$1.class' Main.class app/lists.beam app/init.elc .zig-cache/o/x .eslintcache app/a.tsbuildinfo
        touch app/Main.java app/classes .aider.conf.yml .aider.model.settings.yml .aiderignore .aider.input.history
    """)
    patch = run.collect()
    settings = {".aider.conf.yml", ".aider.model.settings.yml", ".aiderignore"}
    assert names(patch) == {"app/Main.java", "app/classes", *settings}
    assert left_out(patch)["app/Main$1.class"] == "Java byte code"
    assert len(left_out(patch)) == 11


def test_aiders_settings_are_no_litter_of_its_own_runs(run: Run) -> None:
    exclude = run.workspace.git_dir / "info" / "exclude"  # as an attempt writes it
    exclude.write_text("".join(f"{pattern}\n" for pattern in ADAPTERS[Agent.AIDER].litter))
    run.agent("touch .aider.conf.yml .aider.model.metadata.json .aiderignore .aider.input.history .aider.tags.cache")
    assert names(run.collect()) == {".aider.conf.yml", ".aider.model.metadata.json", ".aiderignore"}


def test_in_a_folder_that_the_repository_tracks_nothing_is_left_over(git_server: GitServer, prepare: Prepare) -> None:
    repo = git_server.create("vendored", {"node_modules/a/index.js": b"1\n", "lib/kept.pyc": b"2\n"})
    run = prepare("full", repo)
    run.agent("mkdir node_modules/b; echo 3 | tee node_modules/b/index.js lib/kept.pyc lib/made.pyc")
    patch = run.collect()
    assert names(patch) == {"node_modules/b/index.js", "lib/kept.pyc"}
    assert left_out(patch) == {"lib/made.pyc": "Python byte code"}


def test_many_files_left_out_of_one_folder_are_one_entry(run: Run) -> None:
    run.agent("echo '*.log' >> .gitignore; touch old/{1..50}.log; mkdir new; touch new/{1..50}.pyc new/x.py")
    entries = [(item.path, item.files) for item in run.collect().collection.left_out]
    assert entries == [("old/*", 50), ("new/*", 50)]


def test_folders_with_the_names_of_build_output_are_results(run: Run) -> None:
    run.agent("mkdir -p target dist build; echo 1 | tee target/a dist/b build/c; echo not the tag > build/CACHEDIR.TAG")
    assert names(run.collect()) == {"target/a", "dist/b", "build/c", "build/CACHEDIR.TAG"}


def test_a_worktree_inside_the_workspace_is_not_its_files(run: Run) -> None:
    run.agent("""
        git worktree add -q .claude/worktrees/agent-1 -b wt1; echo main >> README.md
        cd .claude/worktrees/agent-1; echo work >> README.md; git commit -qam work
    """)
    patch = run.collect()
    assert names(patch) == {"README.md"}
    assert b"+main" in patch.file.read_bytes()
    assert left_out(patch) == {}


def test_a_worktree_outside_the_workspace_is_named_while_it_is_there(run: Run) -> None:
    run.agent("""
        git worktree add -q "$HOME/there" -b one; echo work > "$HOME/there/new.txt"
        git worktree add -q "$HOME/gone" -b two; rm -r "$HOME/gone"; git worktree add -q inside -b three
        git worktree add -q .git/hidden -b four
    """)
    folders = (run.workspace.home / "there", run.workspace.path / ".git" / "hidden")
    reason = "a worktree not among the files here: only its commits are kept"
    assert left_out(run.collect()) == {f"{folder}/": reason for folder in folders}


@pytest.mark.parametrize(
    "script",
    [
        pytest.param("git worktree add -q wt", id="of a sparse workspace"),
        pytest.param("git worktree add -q wt; rm .git/worktrees/wt/index", id="without an index"),
        pytest.param("git worktree add -q wt; rm -r .git/worktrees", id="that git has forgotten"),
        pytest.param(
            "git sparse-checkout disable; git worktree add -q wt; git -C wt sparse-checkout set far", id="made sparse"
        ),
    ],
)
def test_what_a_sparse_worktree_left_out_is_not_deleted_in_its_patch(sparse: Run, script: str) -> None:
    sparse.agent(f"{script}; echo work > wt/new.txt; rm wt/script.sh")
    content = sparse.collect().more[Artifact.NESTED].read_text()
    assert {line for line in content.splitlines() if line.startswith(("---", "+++"))} == {
        *("--- /dev/null", "+++ b/wt/new.txt"),
        *("--- a/wt/script.sh", "+++ /dev/null"),
    }


def test_a_worktree_on_a_branch_without_commits_is_kept(run: Run) -> None:
    run.agent("""
        git worktree add -q wt -b site; cd wt; git checkout -q --orphan pages; git rm -rfq .; echo page > index.html
    """)
    patch = run.collect()
    assert [(each.path, each.base, each.files_changed) for each in patch.collection.nested] == [("wt", None, 1)]
    assert left_out(patch) == {}


def test_a_worktree_of_a_workspace_that_has_moved_is_not_its_files_either(run: Run) -> None:
    """Of a persistent workspace each run has another folder, and git writes absolute paths into a worktree."""
    run.agent("""
        git worktree add -q wt; cd wt; echo work > new.txt
        sed -i 's#gitdir: .*/workspace/#gitdir: /tmp/outpost-before/workspace/#' .git
    """)
    patch = run.collect()
    assert patch.files_changed == 0
    assert [(change.path, change.files_changed) for change in patch.collection.nested] == [("wt", 1)]


def test_a_repository_among_leftovers_is_not_said_to_be_in_the_patch(run: Run) -> None:
    run.agent("mkdir -p node_modules/a; cd node_modules/a; git init -q; echo x > index.js; git add .; git commit -qm x")
    patch = run.collect()
    assert names(patch) == set()
    assert left_out(patch) == {
        "node_modules/": "packages of npm",
        "node_modules/a/.git": "history of a repository of its own, whose files are collected like all others",
    }


def test_the_history_of_a_repository_made_in_a_tracked_folder_is_named(run: Run) -> None:
    run.agent("mkdir far/.git; cd old; git init -q; echo x > new.txt; git add .; git commit -qm x")
    patch = run.collect()
    assert names(patch) == {"old/new.txt"}
    assert left_out(patch).keys() == {"old/.git"}


def test_a_state_that_only_the_index_holds_is_named(run: Run) -> None:
    run.agent("""
        cp README.md saved; echo staged >> README.md; echo one > new.txt; echo 1 > intended; echo 1 > committed
        git add README.md new.txt committed; git add -N intended; git commit -qm x committed; echo 2 > committed
        mv saved README.md; echo two > new.txt; echo again >> script.sh; git add script.sh
    """)
    reason = "staged in another state than it has in the working tree, which counts"
    assert left_out(run.collect()) == {"README.md": reason, "new.txt": reason}


def test_a_state_that_a_moved_file_had_before_is_not_lost(run: Run) -> None:
    """`git mv` stages the content of the file before."""
    run.agent(
        "git mv old/name.txt renamed.txt; echo more >> renamed.txt; cp README.md copy; git add copy; echo 2 > copy"
    )
    assert left_out(run.collect()) == {}


def test_the_states_of_a_conflict_are_in_commits(run: Run) -> None:
    run.agent("""
        git checkout -qb other; echo o > README.md; git commit -qam o; git checkout -q -
        echo m > README.md; git commit -qam m; git merge -q other || echo solved > README.md
    """)
    assert left_out(run.collect()) == {}


@pytest.mark.parametrize("keep", ["git add new; git commit -qm new", "git add new"])
@pytest.mark.parametrize("place", ["$PWD/moved", "$HOME/elsewhere"])
def test_a_link_in_place_of_a_new_folder_is_a_link_in_the_patch(run: Run, keep: str, place: str) -> None:
    run.agent(f"mkdir -p new/deep; echo x > new/deep/file; {keep}; mv new {place}; ln -s {place} new")
    patch = run.collect()
    assert names(patch) == {"new", *(["moved/deep/file"] if "moved" in place else [])}
    assert b"\nnew file mode 120000\n" in patch.file.read_bytes()


def test_contents_of_the_index_that_git_cannot_read_cost_only_themselves(sparse: Run) -> None:
    sparse.agent("""
        read=$(echo read | git hash-object -w --stdin); missing=$(echo missing | git hash-object --stdin)
        git update-index --cacheinfo 100644,$read,old/name.txt --cacheinfo 100644,$missing,far/away.txt
        git update-index --skip-worktree old/name.txt far/away.txt; echo work > new.txt
    """)
    patch = sparse.collect()
    assert names(patch) == {"new.txt", "old/name.txt"}
    assert left_out(patch)["far/away.txt"].startswith("in the index, with a content that git cannot read")


def test_a_repository_in_place_of_a_file_is_files(run: Run) -> None:
    run.agent("rm README.md; mkdir README.md; cd README.md; git init -q; echo x > f; git add f; git commit -qm x")
    assert names(run.collect()) == {"README.md", "README.md/f"}


def test_a_repository_of_the_agents_own_is_in_the_patch_as_files_and_stays_as_it_is(run: Run) -> None:
    run.agent("""
        mkdir -p sub/deep; cd sub; git init -q; echo inner > file; echo '*.o' > .gitignore; touch a.o
        git add .; git commit -qm inner; cd deep; git init -q; echo deep > file
    """)
    patch = run.collect()
    assert names(patch) == {"sub/file", "sub/.gitignore", "sub/deep/file"}
    histories = dict.fromkeys(["sub/.git", "sub/deep/.git"], choice.HISTORY)
    assert left_out(patch) == histories | {"sub/a.o": choice.IGNORED}
    assert git(run.workspace.path / "sub", "log", "--format=%s") == "inner"


def test_new_files_without_room_on_the_disk_cost_only_themselves(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Calls, "room", lambda _: 30_000)
    run.agent(
        "mkdir data; head -c 9000 /dev/urandom | tee data/1 > data/2; echo work > new.txt; echo more >> README.md"
    )
    patch = run.collect()
    assert names(patch) == {"new.txt", "README.md"}
    assert left_out(patch) == {"data/": "the disk has no room for more than 0 MiB of new files"}


def test_a_full_disk_is_the_cause_of_a_patch_that_cannot_be_written(run: Run) -> None:
    run.agent("echo work > new.txt")
    (run.workspace.private / Artifact.PATCH).symlink_to("/dev/full")
    with pytest.raises(NoRoomError, match="No space left on device"):
        run.collect()
