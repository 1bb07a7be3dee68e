"""Commits that only the agent has: on whatever branch, stashed, detached or given up, they are kept as a bundle."""

from pathlib import Path

import pytest

from outpost.domain.artifacts import Artifact
from outpost.domain.collection import MAX_TEXT_LENGTH, Collection, NestedChange
from outpost.redaction.redactor import Redactor
from tests.worker.collecting import Prepare, Run, git
from tests.worker.git_server import GitServer
from worker.collect import Patch
from worker.collection import commits
from worker.collection.refs import UNREADABLE


def subjects(patch: Patch) -> dict[str, str]:
    """The refs in the bundle -> the subject of each."""
    return {ref.name: ref.subject for ref in patch.collection.refs}


def fetched(patch: Patch, git_server: GitServer, folder: Path) -> Path:
    """Fetch the bundle into a new clone of the repository, which proves that it is complete."""
    git(folder.parent, "clone", "--quiet", str(git_server.folder / "owner" / "kinds"), str(folder))
    bundle = str(patch.more[Artifact.COMMITS])
    git(folder, "bundle", "verify", "--quiet", bundle)
    git(folder, "fetch", "--quiet", bundle, "refs/*:refs/agent/*")
    return folder


def test_commits_of_every_branch_tag_and_stash_are_kept_and_named(
    run: Run, git_server: GitServer, tmp_path: Path
) -> None:
    run.agent("""
        echo 1 > one; git add one; git commit -qm 'on main'
        git checkout -qb other; echo 2 > two; git add two; git commit -qm 'on other'; git tag -am 'release' v1
        git checkout -q main; git checkout -q --detach; echo 3 > three; git add three; git commit -qm 'detached'
        git checkout -q main
        echo first > stashed; git add stashed; git stash -q; echo second > untracked; git stash -qu -m 'second stash'
        git branch same; git tag here main~1
    """)
    patch = run.collect()
    assert subjects(patch) == {
        "refs/heads/main": "on main",
        "refs/heads/other": "on other",
        "refs/heads/same": "on main",
        "refs/tags/v1": "release",
        "refs/outpost/reflog-1": "detached",
        "refs/stash": "On main: second stash",
        "refs/outpost/stash-1": f"WIP on main: {git(run.workspace.path, 'rev-parse', '--short', 'main')} on main",
    }
    left = {item.path: item.reason for item in patch.collection.left_out}
    assert left == {"refs/tags/here": f"a ref to {run.workspace.commit_before}, which is no new commit"}
    clone = fetched(patch, git_server, tmp_path / "clone")
    assert git(clone, "show", "refs/agent/stash^3:untracked") == "second"
    assert git(clone, "log", "-1", "--format=%an", "refs/agent/heads/main") == "a"
    assert b"+++ b/one" in patch.file.read_bytes()


@pytest.mark.parametrize("ref", ["refs/tags/file", "refs/notes/file", "refs/mine"])
@pytest.mark.parametrize("damage", ["true", "echo $(printf %040d 1) > .git/refs/heads/damaged"])
def test_a_ref_to_a_new_file_is_named(run: Run, ref: str, damage: str) -> None:
    run.agent(f"git update-ref {ref} $(echo new | git hash-object -w --stdin); {damage}")
    left = {item.path: item.reason for item in run.collect().collection.left_out}
    assert left[ref].endswith("which is no new commit")


def test_a_secret_in_a_file_that_only_a_tag_names_is_found_and_has_a_place(run: Run) -> None:
    run.agent("git tag -am release v1 $(echo quite-Secret-42 | git hash-object -w --stdin)")
    findings = run.collect({"TOKEN": "quite-Secret-42"}).findings
    assert findings.withheld == (Artifact.COMMITS,)
    assert [place.path for place in findings.places] == [f"blob {git(run.workspace.path, 'rev-parse', 'v1^{}')}"]


def test_commits_that_were_reset_away_are_kept(run: Run, git_server: GitServer, tmp_path: Path) -> None:
    run.agent("""
        for n in 1 2 3; do echo $n > file; git add file; git commit -qm "commit $n"; done
        git reset -q --hard HEAD~3
    """)
    patch = run.collect()
    assert patch.files_changed == 0
    assert subjects(patch) == {"refs/outpost/reflog-1": "commit 3"}
    clone = fetched(patch, git_server, tmp_path / "clone")
    assert git(clone, "log", "--format=%s", "refs/agent/outpost/reflog-1") == "commit 3\ncommit 2\ncommit 1\n" + git(
        clone, "log", "--format=%s", "origin/main"
    )


def test_commits_of_a_worktree_inside_the_workspace_are_kept_and_its_edits_too(run: Run) -> None:
    run.agent("""
        git worktree add -q --detach .claude/worktrees/a; cd .claude/worktrees/a
        echo work >> README.md; git commit -qam 'in a worktree'; echo edit > edit.txt; echo more >> README.md
    """)
    patch = run.collect()
    assert subjects(patch) == {"refs/outpost/worktree-1": "in a worktree"}
    assert patch.files_changed == 0
    change = patch.collection.nested[0]
    assert (change.path, change.kind, change.files_changed) == (".claude/worktrees/a", "worktree", 2)
    content = patch.more[Artifact.NESTED].read_text()
    assert "+++ b/.claude/worktrees/a/edit.txt" in content
    assert "+work" not in content


def test_without_commits_of_the_agent_there_is_no_bundle(run: Run) -> None:
    run.agent("git checkout -qb feature; echo x >> README.md; git fetch -q origin; git gc -q")
    patch = run.collect()
    assert patch.more == {}
    assert not patch.collection


def test_a_shallow_sparse_checkout_gives_a_bundle_as_well(sparse: Run, git_server: GitServer, tmp_path: Path) -> None:
    sparse.agent("echo x >> README.md; git commit -qam 'shallow'")
    patch = sparse.collect()
    assert subjects(patch) == {"refs/heads/main": "shallow"}
    fetched(patch, git_server, tmp_path / "clone")


def test_a_repository_begun_anew_is_kept(run: Run) -> None:
    run.agent("rm -rf .git; git init -qb main; git add README.md; git commit -qm 'a new beginning'")
    assert subjects(run.collect()) == {"refs/heads/main": "a new beginning"}


def test_committed_files_may_have_line_breaks_in_their_names(run: Run) -> None:
    run.agent(r"""
        mkdir $'folder\r'; for name in $'a\rb' $'c\nd' $'folder\r/e'; do echo hunter2-hunter2 > "$name"; done
        git add .; git commit -qm names; git worktree add -q $'wt\nHEAD 1' -b side
    """)
    patch = run.collect({"ONE": "hunter2-hunter2"})
    assert {item.path for item in patch.collection.left_out} == set()
    assert {place.path for place in patch.findings.places if place.artifact == Artifact.COMMITS} == {"ab"}
    assert [ref.name for ref in patch.collection.refs] == ["refs/heads/main", "refs/heads/side"]


def test_of_many_refs_every_commit_is_kept(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commits, "MOST_REFS", 3)
    run.agent("""
        echo 1 > one; git add one; git commit -qm one; for n in 1 2 3 4 5; do git branch "b$n"; done
        git checkout -q --detach main~1; echo 2 > two; git add two; git commit -qm two; git branch z
    """)
    patch = run.collect()
    assert {"one", "two"} == {ref.subject for ref in patch.collection.refs}
    assert [(item.path, item.files) for item in patch.collection.left_out] == [("refs/*", 4)]


def test_more_commits_than_are_kept_are_named(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commits, "MAX_BUNDLE_BYTES", 100_000)
    run.agent("head -c 300000 /dev/urandom > big; git add big; git commit -qm big; echo work > new.txt")
    patch = run.collect()
    assert b"+++ b/new.txt" in patch.file.read_bytes()
    assert patch.more == {}
    left = [(item.path, item.reason) for item in patch.collection.left_out]
    assert left == [("refs/heads/main", "more than 0 MiB of commits")]


def test_a_secret_in_a_commit_a_message_or_a_submodule_withholds_that_artifact(run: Run) -> None:
    """Also one that a later commit took out again."""
    run.agent("""
        echo key=hunter2-hunter2 > config; git add config; git commit -qm 'add a key'
        rm config; git commit -qam 'take hunter3-hunter3 out'; echo work > new.txt; echo hunter4-hunter4 > submodule/x
    """)
    patch = run.collect({"ONE": "hunter2-hunter2", "TWO": "hunter3-hunter3", "THREE": "hunter4-hunter4"})
    assert patch.findings.withheld == (Artifact.COMMITS, Artifact.NESTED)
    places = {(found.artifact, found.path.split(" ")[0], found.kind) for found in patch.findings.places}
    assert places == {
        (Artifact.COMMITS, "config", "ONE"),
        (Artifact.COMMITS, "commit", "TWO"),
        (Artifact.NESTED, "submodule/x", "THREE"),
    }


@pytest.mark.parametrize(
    "script",
    [
        "echo x > x; git add x; git commit -qm x; git branch hunter2-hunter2",
        "git tag -am x hunter2-hunter2",
        "git mv README.md hunter2-hunter2; git commit -qm x; git mv hunter2-hunter2 README.md; git commit -qm y",
    ],
    ids=["branch", "tag", "file"],
)
def test_a_name_that_is_a_secret_withholds_the_bundle(run: Run, script: str) -> None:
    """Also of a file whose content is not new."""
    run.agent(script)
    assert run.collect({"ONE": "hunter2-hunter2"}).findings.withheld == (Artifact.COMMITS,)


def test_a_name_with_a_slash_in_it_is_found_where_the_content_has_other_names(run: Run) -> None:
    run.agent(
        "mkdir hunter2; touch A hunter2/hunter2; git add .; git commit -qm x; git rm -qr hunter2; git commit -qm y"
    )
    assert run.collect({"ONE": "hunter2/hunter2"}).findings.withheld == (Artifact.COMMITS,)


def test_of_a_secret_no_beginning_stays_where_a_text_is_cut(run: Run) -> None:
    run.agent("""
        long=$(printf 'a%.0s' {1..245}); folder=${long:0:200}/${long:200}; mkdir -p $folder
        mkfifo $folder/hunter2-hunter2
        git commit -q --allow-empty -m "$long hunter2-hunter2"
    """)
    redactor = Redactor({"ONE": "hunter2-hunter2"})
    collection = run.collect().collection.clean(redactor.text)
    assert "hunter" not in collection.model_dump_json()
    assert {len(collection.left_out[0].path), len(collection.refs[0].subject)} == {MAX_TEXT_LENGTH}


def test_the_log_counts_the_repositories_that_it_does_not_name() -> None:
    changes = [NestedChange(path=f"sub{number}", kind="submodule", files_changed=1) for number in range(12)]
    assert Collection.of(nested=changes).describe()[-1] == "kept in nested.patch: 2 more repositories"


def test_a_repository_with_other_hashes_is_named(run: Run) -> None:
    run.agent(
        "rm -rf .git; git init -q --object-format=sha256; echo x > x; git add .; git commit -qm x; git checkout -qb y"
    )
    left = {item.path: item.reason for item in run.collect().collection.left_out}
    assert left == {".git/": "a repository of another object format: its commits are not kept"}


def test_what_a_file_held_before_is_no_finding_in_a_commit(run: Run) -> None:
    run.agent("echo four >> README.md; git commit -qam 'more lines'")
    assert not run.collect({"TEXT": "one\ntwo\nthree", "NAME": "windows.txt"}).findings


def test_no_program_of_the_agents_runs_while_its_commits_are_read(run: Run, tmp_path: Path) -> None:
    """Not even what a partial clone fetches its missing objects with."""
    trap = tmp_path / "trapped"
    run.agent(f"""
        echo x > x; git add x; git commit -qm x; git checkout -qb other; echo y > y; git add y; git commit -qm y
        tree=$(git rev-parse 'HEAD^{{tree}}')
        git config extensions.partialClone evil; git config core.repositoryFormatVersion 1
        git config remote.evil.promisor true; git config remote.evil.url "{tmp_path}"
        git config remote.evil.uploadpack "touch {trap};"; git config remote.evil.partialCloneFilter blob:none
        git config uploadpack.packObjectsHook "touch {trap};"; git config core.alternateRefsCommand "touch {trap};"
        git config gpg.program "touch {trap};"; git config log.showSignature true
        git config core.fsmonitor "touch {trap};"; git config core.pager "touch {trap};"
        git config pager.for-each-ref true; git config alias.rev-list '!touch {trap}'
        rm -f .git/objects/${{tree:0:2}}/${{tree:2}}; rm -f {trap}
    """)
    patch = run.collect()
    assert b"+++ b/y" in patch.file.read_bytes()
    assert not trap.exists()
    left = {item.path: item.reason for item in patch.collection.left_out}
    assert left["refs/heads/other"] == "commits that git cannot read"


@pytest.mark.parametrize("damage", ["rm -rf .git", "echo '[broken' > .git/config"])
def test_a_git_directory_that_cannot_be_read_is_named(run: Run, damage: str) -> None:
    run.agent(f"echo x > x; git add x; git commit -qm x; {damage}")
    patch = run.collect()
    assert b"+++ b/x" in patch.file.read_bytes()
    assert [item.path for item in patch.collection.left_out] == [".git/"]


@pytest.mark.parametrize(
    "also", ["true", "echo garbage > .git/HEAD", "rm -r .git/logs", "rm -r .git/refs .git/packed-refs"]
)
def test_commits_are_kept_when_all_refs_are_overwritten(
    run: Run, git_server: GitServer, tmp_path: Path, also: str
) -> None:
    run.agent(f"""
        echo x > x; git add x; git commit -qm work
        for file in $(find .git/refs -type f) .git/packed-refs; do echo garbage > $file; done; {also}
    """)
    patch = run.collect()
    assert {*subjects(patch).values()} == {"work"}
    assert {item.path for item in patch.collection.left_out} & {".git/", "refs/*"}
    fetched(patch, git_server, tmp_path / "clone")


def test_commits_that_no_ref_and_no_reflog_names_are_kept(run: Run, git_server: GitServer, tmp_path: Path) -> None:
    run.agent("""
        echo 1 > one; git stash -qu -m dropped; git stash clear
        git checkout -qb gone; git commit -q --allow-empty -m deleted; git checkout -q main; git branch -qD gone
        git update-ref refs/bisect/bad $(git commit-tree -p HEAD -m elsewhere HEAD^{tree})
        git reflog expire --expire=now --all
    """)
    patch = run.collect()
    assert {*subjects(patch).values()} == {"On main: dropped", "deleted", "elsewhere"}
    fetched(patch, git_server, tmp_path / "clone")


def test_a_damaged_ref_costs_only_itself(run: Run, git_server: GitServer, tmp_path: Path) -> None:
    run.agent("""
        git checkout -qb bad; echo a > a; git add a; git commit -qm bad; blob=$(git rev-parse HEAD:a)
        git checkout -q main; echo b > b; git add b; git commit -qm good; rm -f .git/objects/${blob:0:2}/${blob:2}
        echo 1234567890123456789012345678901234567890 > .git/refs/heads/missing; echo garbage > .git/refs/heads/garbage
    """)
    patch = run.collect()
    assert subjects(patch) == {"refs/heads/main": "good"}
    reasons = {item.path: item.reason for item in patch.collection.left_out}
    assert reasons == dict.fromkeys([f"refs/heads/{name}" for name in ("bad", "missing", "garbage")], UNREADABLE)
    fetched(patch, git_server, tmp_path / "clone")


def test_commits_fetched_from_the_remote_are_not_the_agents(git_server: GitServer, prepare: Prepare) -> None:
    """Neither those below a shallow clone nor those that upstream has made since."""
    repo = git_server.create("moving", {"a": b"1\n"})
    commit = ("commit", "--quiet", "--allow-empty", "--message")
    git_server.git("moving", *commit, "second")
    run = prepare("minimal", repo)
    git_server.git("moving", *commit, "third")
    run.agent("git fetch -q --unshallow origin main; git merge -q FETCH_HEAD; git commit -q --allow-empty -m mine")
    assert git(run.workspace.path, "log", "--format=%s").split() == ["mine", "third", "second", "begin"]
    assert subjects(run.collect()) == {"refs/heads/main": "mine"}


@pytest.mark.parametrize("ref", ["refs/remotes/origin/side", "side-fetched"])
def test_commits_on_a_branch_that_was_fetched_shallowly_are_kept(
    sparse: Run, git_server: GitServer, tmp_path: Path, ref: str
) -> None:
    """Without the fetched commit itself, which is the remote's."""
    if not git_server.git("kinds", "branch", "--list", "side"):
        git_server.git("kinds", "branch", "side")
        for number in range(2):
            tree = git_server.git("kinds", "rev-parse", f"side{'^' * number}^{{tree}}")
            made = git_server.git("kinds", "commit-tree", tree, "-p", "side", "-m", f"upstream {number}")
            git_server.git("kinds", "update-ref", "refs/heads/side", made)
    sparse.agent(f"""
        git fetch -q --depth 1 origin side:{ref}; git checkout -q -b mine {ref}
        echo work > new.txt; git add new.txt; git commit -qm work; echo more > new.txt; git stash -q
        git checkout -q main
    """)
    patch = sparse.collect()
    stash = patch.collection.refs[-1].subject
    assert subjects(patch) == {"refs/heads/mine": "work", "refs/stash": stash}
    assert patch.collection.left_out == ()
    clone = fetched(patch, git_server, tmp_path / "clone")
    assert git(clone, "show", "refs/agent/stash:new.txt") == "more"


def test_a_forged_tree_with_paths_outside_costs_nothing(run: Run) -> None:
    run.agent("""
        blob=$(echo evil | git hash-object -w --stdin)
        inner=$(printf "100644 blob $blob\tsecret" | git mktree)
        python3 -c "import sys; sys.stdout.buffer.write(b'40000 ..' + bytes(1) + bytes.fromhex('$inner'))" > raw
        outer=$(git hash-object -t tree -w --literally raw); rm raw
        git update-ref refs/heads/main $(git commit-tree $outer -p HEAD -m forged); echo x > ../secret; echo work > work
    """)
    patch = run.collect()
    assert patch.files_changed == 1
    assert b"+++ b/work" in patch.file.read_bytes()


@pytest.mark.parametrize("target", ["pipe", "link"])
@pytest.mark.parametrize(
    "place",
    [
        *(".git/index", ".git/packed-refs", ".git/shallow", ".git/refs/stash", ".git/objects/info/alternates"),
        *(".git/objects/aa/" + "b" * 38, ".git/worktrees/x/gitdir", ".gitmodules"),
    ],
)
def test_pipes_where_git_reads_cost_no_branch(run: Run, place: str, target: str) -> None:
    """git waits for the other end, and a git directory that does not respond is not asked again."""
    make = f"mkfifo {place}" if target == "pipe" else f"mkfifo ../pipe; ln -s $PWD/../pipe {place}"
    run.agent(f"""
        git checkout -qb mine; echo x > x; git add x; git commit -qm mine; git checkout -q main; echo work > new.txt
        mkdir -p $(dirname {place}); rm -f {place}; {make}
    """)
    patch = run.collect()
    assert b"+++ b/new.txt" in patch.file.read_bytes()
    assert subjects(patch) == {"refs/heads/mine": "mine"}


@pytest.mark.parametrize("begin", ["true", "git checkout -q --orphan other; git branch -qM main"])
def test_commits_stay_the_agents_where_it_calls_them_shallow(run: Run, begin: str) -> None:
    """A fetch writes commits there whose parents it left out."""
    run.agent(f"{begin}; git commit -q --allow-empty -m mine; git rev-parse HEAD > .git/shallow")
    assert subjects(run.collect()) == {"refs/heads/main": "mine"}


def test_branches_and_tags_are_kept_before_refs_of_other_programs(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Jujutsu keeps each state of a change by a ref."""
    monkeypatch.setattr(commits, "MOST_REFS", 3)
    run.agent("""
        for n in 1 2 3 4; do git update-ref refs/jj/keep/$n $(git commit-tree -m "state $n" -p HEAD HEAD^{tree}); done
        export GIT_COMMITTER_DATE=2020-01-01T00:00:00Z
        git branch mine $(git commit-tree -m mine -p HEAD HEAD^{tree})
        git tag v1 $(git commit-tree -m v1 -p HEAD HEAD^{tree})
    """)
    patch = run.collect()
    assert {"mine", "v1"} < {ref.subject for ref in patch.collection.refs}
    assert [(item.path, item.files) for item in patch.collection.left_out] == [("refs/*", 3)]


def test_the_commits_of_a_large_remote_leave_room_for_the_agents_own(
    run: Run, git_server: GitServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such as the project that a fork was made of."""
    monkeypatch.setattr(commits, "MOST_COMMITS", 3)
    if not (git_server.folder / "owner" / "large-upstream").exists():
        git_server.create("large-upstream", {"a": b"1"})
        for number in range(4):
            git_server.git("large-upstream", "commit", "--quiet", "--allow-empty", "--message", f"{number}")
    run.agent(f"""
        git remote add upstream {git_server.url}/owner/large-upstream; git fetch -q upstream
        git checkout -qb mine; git commit -q --allow-empty -m mine
    """)
    patch = run.collect()
    assert subjects(patch) == {"refs/heads/mine": "mine"}
    places = [(item.path, item.reason) for item in patch.collection.left_out]
    assert places == [("refs/remotes/*", "commits of other remotes: with them there were more than 3")]


def test_a_branch_whose_commits_only_its_remote_has_is_named(run: Run) -> None:
    """What a ref of a remote says, the agent can have written itself."""
    run.agent(
        "git checkout -qb mine; git commit -q --allow-empty -m mine; git update-ref refs/remotes/origin/mine mine"
    )
    patch = run.collect()
    assert patch.collection.refs == ()
    places = [(item.path, item.reason) for item in patch.collection.left_out]
    assert places == [("refs/heads/mine", "commits that the remote has, by refs/remotes/origin")]


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ("remote set-url origin", "$PWD/../copy.git"),
        ("remote set-url --push origin", "../copy.git"),
        ("config remote.origin.pushurl", "file://$PWD/../copy.git"),
    ],
)
def test_commits_that_were_pushed_to_a_folder_here_are_kept(
    run: Run, git_server: GitServer, tmp_path: Path, change: str, place: str
) -> None:
    run.agent(f"""
        git init -q --bare ../copy.git; git {change} {place}
        git checkout -qb fix; echo 1 > one; git add one; git commit -qm fix; git push -q origin fix
        git checkout -q main; git branch -qD fix
    """)
    patch = run.collect()
    assert subjects(patch) == {"refs/outpost/reflog-1": "fix"}
    fetched(patch, git_server, tmp_path / "fetched")


def test_commits_that_were_fetched_from_the_remote_are_not_kept(run: Run, git_server: GitServer) -> None:
    git_server.git("kinds", "checkout", "--quiet", "-b", "later")
    git_server.git("kinds", "commit", "--quiet", "--allow-empty", "--message", "later")
    git_server.git("kinds", "checkout", "--quiet", "main")
    run.agent("git fetch -q")
    assert run.collect().collection.refs == ()
