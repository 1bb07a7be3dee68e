"""Whatever an agent does to files and to git: the patch gives its files, but for what the collection names."""

import os
import re
import shlex
import stat
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from outpost.domain.artifacts import Artifact
from outpost.domain.ids import new_id
from tests.worker.collecting import Prepare, Run, git
from tests.worker.git_server import GitServer
from worker.collect import Patch
from worker.collection.omissions import shown
from worker.git import RAW_CONTENT

PATHS = st.sampled_from(
    [
        *("README.md", "script.sh", "old", "old/name.txt", "old/deep/more.txt", "image.bin", "windows.txt", "new"),
        *("new/a", "new/b/c", "ignored/x", "with space", "ta\tb", "new\nline", 'quo"te', "-dash", "back\\slash", "*"),
        *(".gitattributes", ".gitignore", "notes.crlf", "a.pyc", "far/.git", "large.lfs", "submodule"),
        *(":(x)y", ":!z", ":/", "\x01", "git~1", "node_modules/a", "new/node_modules/a"),
    ]
)
CONTENTS = st.sampled_from(
    [
        "x\\n",
        "x",
        "",
        "a\\r\\nb\\r\\n",
        "\\0\\1\\377",
        "\\377\\n",
        "$Id$\\n",
        "* text eol=crlf ident -diff\\n",
        "new\\n*.txt\\n",
    ]
)
FILES = st.one_of(
    st.builds(
        "mkdir -p -- {1}; printf '{0}' > {2}".format,
        CONTENTS,
        PATHS.map(os.path.dirname).map(lambda name: shlex.quote(name or ".")),
        PATHS.map(shlex.quote),
    ),
    *(
        st.builds(
            form.format,
            PATHS.map(lambda path: shlex.quote(f"./{path}")),
            PATHS.map(lambda path: shlex.quote(f"./{path}")),
        )
        for form in (
            'mkdir -p "$(dirname {0})"; printf "more\\n" >> {0}',
            "rm -rf {0}",
            'mkdir -p "$(dirname {0})"; mv {1} {0}',
            'mkdir -p "$(dirname {0})"; cp -R {1} {0}',
            "rm -rf {0}; ln -s {1} {0}",
            "ln {1} {0}",
            "chmod +x {0}",
            "chmod -x {0}",
            "chmod 000 {0}",
            "rm -rf {0}; mkdir {0}; echo in > {0}/in",
            "rm -rf {0}; mkfifo {0}",
            "git add -f -- {0}",
            "git rm -rq --cached -- {0}",
            "git update-index --chmod=+x -- {0}",
            "git mv -- {1} {0}",
            "git update-index --assume-unchanged -- {0}",
            "git update-index --skip-worktree -- {0}",
            "git checkout -q HEAD -- {0}",
            "git init -q {0}",
        )
    ),
)
COMMIT = "git add -A; git commit -qm x"
GIT = st.sampled_from(
    [
        *(
            COMMIT,
            "git add -A",
            "git commit -qam x",
            "git commit -q --amend -m y",
            "git checkout -qb b",
            "git checkout -q main",
        ),
        *(
            "git stash -qu",
            "git stash pop -q",
            "git reset -q --hard",
            "git reset -q --hard HEAD~1",
            "git reset -q HEAD~1",
        ),
        *("git checkout -q --orphan o", "git checkout -q --detach", "git merge -q --no-edit b", "git rebase -q b"),
        *("git gc -q", "touch .git/index.lock", "rm -f .git/index", "rm -rf .git", "git init -q", "git clean -qfdx"),
        *("git config core.autocrlf true", "git config core.fileMode false", "git config core.symlinks false"),
        *("git config core.worktree /", "git config core.excludesFile /etc/passwd"),
        # A worktree without changes holds nothing that its commit does not (ADR 30).
        "git worktree add -q wt && echo more >> wt/README.md",
        "git worktree add -q ':(x)w' && echo more >> ':(x)w/README.md'",
        *("git sparse-checkout set old", "git commit -qm z"),
        *("git add -Af", "git update-index --split-index", "git bisect start; git bisect bad", "git tag -am t t"),
        *("echo '*.txt' > .git/info/exclude", "git replace HEAD HEAD~1", "git rev-parse HEAD > .git/shallow"),
        *("git commit -q --allow-empty -m e", "git branch c", "git branch -qD b", "git branch -qM main", "git tag u"),
        *(
            "git tag -d t",
            "git notes add -m n",
            "git notes remove",
            "git update-ref refs/own/x HEAD",
            "git checkout -q b",
        ),
        *("git stash -q -- README.md", "git stash drop -q", "git stash branch s", "git stash clear", "git stash -qa"),
        *(
            "git cherry-pick b",
            "git revert --no-edit HEAD",
            "git merge -q -s ours --no-edit b",
            "git checkout -q b -- .",
        ),
        *("git reflog expire --expire=now --all", "git gc -q --prune=now", "git pack-refs --all", "git repack -qad"),
        *("git symbolic-ref HEAD refs/heads/unborn", "git read-tree --empty", "git restore --staged .", "git add -N ."),
        *(
            "git worktree add -qb w wt2 && git -C wt2 commit -q --allow-empty -m w; echo more >> wt2/README.md",
            "git worktree remove -f wt2",
        ),
        *("git commit-tree -m tree HEAD^{tree} -p HEAD", "git update-index --force-remove README.md script.sh"),
        *("git update-index --cacheinfo 160000,$(git rev-parse HEAD),submodule", "git rm -q --cached submodule"),
        *("git submodule deinit -qf --all", "git clone -q . copied", "git rm -rq old", "git sparse-checkout disable"),
        *(
            "git format-patch -qo patches -1",
            "git bundle create b.bundle --all",
            "git fetch -q",
            "git pull -q --rebase",
        ),
        *("rm -rf .git/logs", "echo junk > .git/refs/heads/main", "echo junk > .git/HEAD", "rm -rf .git/refs/heads"),
        *("rm -f .git/packed-refs", "rm -rf .git/objects/pack", "chmod -R a-w .git", "mv .git .git-old; git init -q"),
        *("git config core.bare true", "git config extensions.worktreeConfig true", "git config user.email=; false"),
        *(
            "git bisect start HEAD HEAD~1",
            "git rebase -q --onto main HEAD~1",
            "git am patches/*",
            "git reset -q --soft HEAD~1",
        ),
    ]
)
SCRIPTS = st.lists(st.integers(0, 9).flatmap(lambda number: GIT if number < 6 else FILES), max_size=16)
"""Six of ten steps are about commits and refs."""

Files = dict[bytes, tuple[str, bytes]]


def files_of(folder: Path) -> Files:
    """Path -> kind and content of everything in the folder but folders and `.git`."""
    found: Files = {}
    for place, folders, names in os.walk(bytes(folder)):
        folders[:] = [name for name in folders if name != b".git"]
        for name in [
            *names,
            *(each for each in folders if (Path(os.fsdecode(place)) / os.fsdecode(each)).is_symlink()),
        ]:
            path = Path(os.fsdecode(os.path.join(place, name)))  # noqa: PTH118 - bytes
            mode = path.lstat().st_mode
            if name == b".git":
                continue
            if stat.S_ISLNK(mode):
                entry = ("link", bytes(path.readlink()))
            elif stat.S_ISREG(mode):
                entry = ("program" if mode & 0o100 else "file", path.read_bytes())
            else:
                entry = ("special", b"")
            found[os.fsencode(path.relative_to(folder))] = entry
    return found


def unnamed(paths: set[bytes], patch: Patch) -> set[bytes]:
    """Those of the paths that neither the collection names as left out nor `nested.patch` holds."""
    return unplaced(paths, [*left_out(patch), *(f"{item.path}/" for item in patch.collection.nested)])


def left_out(patch: Patch) -> list[str]:
    return [item.path for item in patch.collection.left_out]


def unplaced(paths: set[bytes], places: list[str]) -> set[bytes]:
    """Those of the paths that are at none of the places, of which some are folders and some patterns."""
    return {
        path
        for path in paths
        if not any(
            shown(path) == place
            or (place.endswith("/") and shown(path).startswith(place))
            or fnmatchcase(shown(path), place)
            for place in places
        )
    }


@dataclass(frozen=True)
class Made:
    """What the agent's git directory has, by plain git and before anything is collected."""

    commits: frozenset[str]
    """Commits that the clone did not have, with all that they refer to."""
    refs: Mapping[str, str]
    """Ref -> such a commit."""
    pointers: frozenset[str]
    """What the index and the commit that is checked out say of the submodule; empty where the index has none."""
    left_out: frozenset[bytes]
    """Files that a sparse checkout left out: they are as they were committed."""


def made(run: Run) -> Made:
    """Read the agent's git directory with the configuration of the clone."""
    workspace, theirs = run.workspace, run.workspace.path / ".git"
    stores = {
        "GIT_DIR": str(workspace.git_dir),
        "GIT_OBJECT_DIRECTORY": str(theirs / "objects"),
        "GIT_ALTERNATE_OBJECT_DIRECTORIES": str(workspace.git_dir / "objects"),
        "GIT_NO_REPLACE_OBJECTS": "1",
    }

    def listed(**variables: str) -> set[str]:
        every = "cat-file", "--batch-all-objects", "--batch-check=%(objectname) %(objecttype)"
        return {line[:40] for line in git(workspace.root, *every, **variables).splitlines() if line.endswith(" commit")}

    if not (theirs / "objects").is_dir():
        return Made(frozenset(), {}, frozenset(), frozenset())
    new = listed(**stores) - listed(GIT_DIR=str(workspace.git_dir))
    base = (f"^{workspace.commit_before}",)
    whole = {name for name in new if asked(workspace.root, "rev-list", "--objects", name, *base, **stores) is not None}
    safe = {"GIT_DIR": str(theirs), "GIT_WORK_TREE": str(workspace.path), "GIT_NO_REPLACE_OBJECTS": "1"}
    form = "--format=%(refname);%(objectname);%(*objectname);"
    refs = (line.split(";")[:3] for line in (asked(workspace.path, "for-each-ref", form, **safe) or "").splitlines())
    ours = ("refs/remotes/", "refs/bisect/", "refs/worktree/", "refs/replace/", "refs/rewritten/")
    found = {ref: peeled or name for ref, name, peeled in refs if not ref.startswith(ours)}
    index = asked(workspace.path, "ls-files", "--stage", "--", "submodule", **safe) or ""
    commit = asked(workspace.path, "ls-tree", "HEAD", "--", "submodule", **safe) or ""
    found_pointers = re.findall(r"^160000 (?:commit )?([0-9a-f]{40})", f"{index}\n{commit}", re.MULTILINE)
    pointers = frozenset(found_pointers if index.startswith("160000") else ())
    sparse = asked(workspace.path, "config", "--type=bool", "core.sparseCheckout", **safe) == "true"
    skipped = asked(workspace.path, "ls-files", "-t", "-z", **safe) if sparse else None
    entries = (os.fsencode(line) for line in (skipped or "").split("\0"))
    left_out = frozenset(line.removeprefix(b"S ") for line in entries if line.startswith(b"S "))
    return Made(frozenset(whole), {ref: name for ref, name in found.items() if name in whole}, pointers, left_out)


def asked(folder: Path, *arguments: str, **variables: str) -> str | None:
    """Return what git prints; None when it fails."""
    try:
        return git(folder, *arguments, **variables)
    except subprocess.CalledProcessError:
        return None


def check_commits(agents: Made, patch: Patch, clone: Path) -> None:
    """Check that every commit and ref of the agent's is in the bundle."""
    if bundle := patch.more.get(Artifact.COMMITS):
        git(clone, "fetch", "--quiet", str(bundle), "refs/*:refs/agent/*")
    missing = {name for name in agents.commits if asked(clone, "cat-file", "-e", f"{name}^{{tree}}") is None}
    assert missing == set()
    kept = {ref.name: ref.commit for ref in patch.collection.refs}
    assert {ref: name for ref, name in agents.refs.items() if kept.get(ref) != name} == {}


def check_pointer(agents: Made, patch: Patch, run: Run, clone: Path) -> None:
    """Check that the submodule, which is never checked out, is at a commit that the agent recorded, a new one first."""
    place = run.workspace.path / "submodule"
    if not agents.pointers or place.is_symlink() or not place.is_dir() or [*place.iterdir()]:
        return
    before = git(clone, "rev-parse", "origin/HEAD:submodule")
    now = re.findall(r"^160000 ([0-9a-f]{40})", git(clone, "ls-files", "--stage", "--", "submodule"))
    if unnamed({b"submodule"}, patch):
        assert now, "the submodule was removed"
        assert now[0] in (agents.pointers - {before} or {before})


def check_nested(patch: Patch, run: Run, clone: Path, folder: Path) -> None:
    """Check that `nested.patch` makes the files of each worktree of the commit that it names."""
    worktrees = [change for change in patch.collection.nested if change.kind == "worktree"]
    if not worktrees:
        return
    for change in patch.collection.nested:
        place = folder / change.path
        place.mkdir(parents=True)
        if change.base:
            variables = {"GIT_INDEX_FILE": str(folder / "index")}
            git(clone, "read-tree", change.base, **variables)
            git(clone, "checkout-index", "--all", "--force", f"--prefix={place}/", **variables)
    git(folder, "apply", "--binary", str(patch.more[Artifact.NESTED]))
    for change in worktrees:
        ours, theirs = files_of(folder / change.path), files_of(run.workspace.path / change.path)
        different = {path for path in ours.keys() | theirs.keys() if ours.get(path) != theirs.get(path)}
        assert unplaced({os.fsencode(f"{change.path}/") + path for path in different}, left_out(patch)) == set()


@pytest.mark.full
@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(SCRIPTS)
def test_the_patch_gives_the_agents_files_whatever_it_does(
    prepare: Prepare, git_server: GitServer, tmp_path: Path, script: list[str]
) -> None:
    run = prepare("full")
    # Git waits for ever where it opens a pipe that the agent has put in a file's place.
    run.agent("\n".join(f"timeout 5 bash -c {shlex.quote(step)} >/dev/null 2>&1 || true" for step in script))
    agents = made(run)
    patch = run.collect()
    clone = tmp_path / new_id()
    git(tmp_path, "clone", "--quiet", "--no-checkout", str(git_server.folder / "owner" / "kinds"), str(clone))
    (clone / ".git" / "info" / "attributes").write_text(RAW_CONTENT)
    git(clone, "reset", "--quiet", "--hard")
    if patch.file.stat().st_size:
        git(clone, "apply", "--index", "--binary", str(patch.file))
    ours, theirs = files_of(clone), files_of(run.workspace.path)
    different = {path for path in ours.keys() | theirs.keys() if ours.get(path) != theirs.get(path)}
    assert unnamed(different - {path for path in agents.left_out if path not in theirs}, patch) == set()
    check_commits(agents, patch, clone)
    check_pointer(agents, patch, run, clone)
    check_nested(patch, run, clone, tmp_path / new_id())
    run.workspace.remove()
