"""Names that programs read in another way than they are meant."""

import pytest

from outpost.domain.artifacts import Artifact
from tests.worker.collecting import Prepare, Run
from tests.worker.git_server import GitServer
from tests.worker.test_collect_left_out import left_out, names

MAGIC = (":(bad)pipe", ":!pipe", ":/pipe", ":^pipe", ":pipe", ":(glob)d/pipe")


def test_names_that_git_takes_for_patterns_cost_nothing(run: Run) -> None:
    """Of a path for `git check-ignore`, a colon in front is magic."""
    pipes = "; ".join(f"mkdir -p \"$(dirname '{name}')\"; mkfifo '{name}'" for name in MAGIC)
    run.agent(f"{pipes}; echo 1 > new; echo 2 > ':new'; mkfifo ':ignored'; echo '/:ignored' >> .gitignore")
    patch = run.collect()
    assert names(patch) == {"new", ":new", ".gitignore"}
    assert left_out(patch) == dict.fromkeys(MAGIC, "a named pipe")


def test_a_name_of_invisible_characters_is_shown(run: Run) -> None:
    run.agent(r"mkfifo $'\x01' $'\xe2\x80\xae'; mkdir $'\x02'; mkfifo $'\x02/\x1b[31m'")
    assert left_out(run.collect()) == dict.fromkeys(["?", "?/?[31m"], "a named pipe")


def test_a_name_that_git_takes_for_a_pattern_can_be_no_longer_tracked(git_server: GitServer, prepare: Prepare) -> None:
    run = prepare(
        "full", git_server.create("colons", {":(x) file": b"1", ":top": b"2", "top": b"3", ".gitignore": b""})
    )
    run.agent("git --literal-pathspecs rm -q --cached ':(x) file' :top; printf '/:top\\n/:(x)*\\n' > .gitignore")
    patch = run.collect()
    assert names(patch) == {":(x) file", ":top", ".gitignore"}


def test_a_tracked_file_that_became_what_git_refuses_is_named(git_server: GitServer, prepare: Prepare) -> None:
    """git takes no link in place of `.gitmodules`, and keeps the file without an error."""
    run = prepare("full", git_server.create("modules", {".gitmodules": b"# none\n", "a": b"1"}))
    run.agent("ln -sf a .gitmodules; echo 2 > a")
    patch = run.collect()
    assert names(patch) == {"a"}
    assert left_out(patch) == {".gitmodules": "git refuses names like its own"}


VALUE = "quite-Secret-42"


@pytest.mark.parametrize(
    "script",
    [
        f"git worktree add -q {VALUE}; echo more >> {VALUE}/README.md",
        f"git init -q {VALUE}; git -C {VALUE} commit -q --allow-empty -m x; echo 1 > {VALUE}/a"
        f"; git config -f .gitmodules submodule.m.path {VALUE}; git config -f .gitmodules submodule.m.url u",
    ],
)
def test_a_secret_in_the_name_of_a_repository_of_the_agents_withholds_the_changes_in_it(run: Run, script: str) -> None:
    run.agent(script)
    assert Artifact.NESTED in run.collect({"TOKEN": VALUE}).findings.withheld


@pytest.mark.parametrize(
    "script",
    [
        f"git checkout -qb feature/{VALUE}; git commit -q --allow-empty -m x",
        f"git commit -q --allow-empty -m x; git tag {VALUE}",
        f"git tag -am {VALUE} t",
        f"GIT_COMMITTER_NAME={VALUE} git tag -am x t",
        f"git commit -q --allow-empty -m x --author='{VALUE} <a@b>'",
        f"git commit -q --allow-empty -m x --author='a <{VALUE}@b>'",
        f"GIT_COMMITTER_NAME={VALUE} git commit -q --allow-empty -m x",
        f"git commit -q --allow-empty -m x -m 'as it says: {VALUE}'",
        f"git notes add -m {VALUE}",
        f"git notes --ref {VALUE} add -m x",
        f"echo 1 >> README.md; git stash -q -m {VALUE}",
        f"git worktree add -qb {VALUE} wt; git -C wt commit -q --allow-empty -m x",
        f"git replace HEAD $(git commit-tree -m {VALUE} HEAD^{{tree}})",
        f"ln -s /tmp/{VALUE} link; git add link; git commit -qm x; git rm -q link",
        f"mkdir {VALUE}; cp README.md {VALUE}; git add -A; git commit -qm x; git rm -rqf {VALUE}",
    ],
)
def test_a_secret_in_any_name_or_text_of_git_withholds_the_bundle(run: Run, script: str) -> None:
    run.agent(script)
    patch = run.collect({"TOKEN": VALUE})
    assert patch.findings.withheld == (Artifact.COMMITS,)
    assert VALUE not in patch.findings.model_dump_json()


def test_a_secret_in_a_commit_that_the_bundle_needs_withholds_it(run: Run) -> None:
    """Of a commit that was fetched shallowly, from a folder of the agent's for example, the bundle has a line."""
    run.agent(f"git init -q ../tmp/l; cd ../tmp/l; for m in 1 {VALUE}; do git commit -q --allow-empty -m $m; done")
    run.agent(
        "git fetch -q --depth 1 file://$PWD/../tmp/l HEAD; git checkout -q FETCH_HEAD; git commit --allow-empty -qm x"
    )
    patch = run.collect({"TOKEN": VALUE})
    assert VALUE.encode() in patch.more[Artifact.COMMITS].read_bytes()
    assert Artifact.COMMITS in patch.findings.withheld


@pytest.mark.parametrize(
    "edit",
    [
        "echo more >> text",
        "rm text",
        "printf '\\0\\2' > binary",
        "rm binary",
        f"echo more > {VALUE}",
        f"rm {VALUE}",
        f"git mv {VALUE} renamed",
    ],
)
def test_a_secret_in_a_commit_of_the_agents_withholds_changes_against_it(run: Run, edit: str) -> None:
    """What the patch of a worktree shows as it was before is the agent's as well."""
    make = f"echo {VALUE} > text; printf '\\0{VALUE}' > binary; seq 9 > {VALUE}"
    run.agent(f"git worktree add -qb w wt; cd wt; {make}; git add -A; git commit -qm x; {edit}")
    patch = run.collect({"TOKEN": VALUE})
    assert patch.findings.withheld == (Artifact.COMMITS, Artifact.NESTED)


def test_a_value_that_goes_on_beyond_a_removed_line_withholds_changes_against_it(run: Run) -> None:
    first, second = VALUE[:9], VALUE[9:]
    run.agent(
        f"git worktree add -qb w wt; cd wt; echo {first} > text; echo not this >> text; git add -A; git commit -qm x; "
        f"echo {first} > text; echo {second} >> text"
    )
    assert Artifact.NESTED in run.collect({"TOKEN": VALUE}).findings.withheld


def test_of_a_commit_of_the_agents_no_line_stands_beside_the_changed_ones(run: Run) -> None:
    """Git puts the last line without an indent, its first 80 characters, behind the place of a change."""
    file = f"{{ echo token {'-' * 68} {VALUE}; seq -f ' %g' 9; }} > text"
    run.agent(f"git worktree add -qb w wt; cd wt; {file}; git add text; git commit -qm x; echo ' more' >> text")
    patch = run.collect({"TOKEN": VALUE})
    assert "@@ -8,3 +8,4 @@\n" in patch.more[Artifact.NESTED].read_text()
    assert patch.findings.withheld == (Artifact.COMMITS,)


@pytest.mark.parametrize("edit", ["sed -i 1d text", "echo more >> text", f"rm {VALUE}", "printf 1 > binary"])
def test_a_secret_in_a_submodule_of_the_agents_withholds_changes_against_it(run: Run, edit: str) -> None:
    """Whatever remote it names: that can be a folder of the agent's, and a commit that nobody else has."""
    make = f"echo {VALUE} > text; echo 1 >> text; printf '\\0{VALUE}' > binary; seq 9 > {VALUE}"
    run.agent(f"mkdir ../tmp/lib; cd ../tmp/lib; git init -q; {make}; git add -A; git commit -qm x")
    run.agent(f"git -c protocol.allow=always submodule --quiet add $PWD/../tmp/lib sub; cd sub; {edit}")
    assert run.collect({"TOKEN": VALUE}).findings.withheld == (Artifact.NESTED,)


def test_a_secret_in_a_submodule_of_such_a_one_withholds_changes_too(run: Run) -> None:
    submodule = "git -c protocol.allow=always submodule --quiet"
    run.agent(f"""
        cd ../tmp; git init -q in; cd in; echo {VALUE} > text; git add -A; git commit -qm x
        cd ..; git init -q out; cd out; {submodule} add $PWD/../in in; git commit -qm x
        cd ../../workspace; {submodule} add $PWD/../tmp/out sub
        {submodule} update --init --recursive sub; rm sub/in/text
    """)
    assert run.collect({"TOKEN": VALUE}).findings.withheld == (Artifact.NESTED,)


def test_a_value_that_a_name_wraps_is_shown_nowhere(run: Run) -> None:
    run.agent(r"echo 1 > $'quite-\nSecret-42'")
    patch = run.collect({"TOKEN": VALUE})
    assert patch.findings.withheld == (Artifact.PATCH,)
    assert "Secret-42" not in patch.findings.model_dump_json()


def test_a_value_that_the_repository_has_withholds_no_changes_beside_it(
    git_server: GitServer, prepare: Prepare
) -> None:
    value = VALUE.encode()
    repository = git_server.create("values", {"a": value + b"\n2\n", VALUE: b"1\n", "b": b"\0" + value})
    run = prepare("full", repository)
    run.agent(f"git worktree add -q wt; cd wt; echo 3 >> a; echo 3 >> {VALUE}; printf 3 >> b")
    patch = run.collect({"TOKEN": VALUE})
    assert (patch.findings.withheld, len(patch.more)) == ((), 1)
