"""Whatever an agent does to files and to git: the patch gives its files, but for what the collection names."""

import os
import shlex
import stat
from fnmatch import fnmatchcase
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from outpost.domain.ids import new_id
from tests.worker.collecting import Prepare, git
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
GIT = st.sampled_from(
    [
        *(
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
    ]
)
SCRIPTS = st.lists(st.one_of(FILES, GIT), max_size=12)

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
    collection = patch.collection
    places = [item.path for item in collection.left_out] + [f"{item.path}/" for item in collection.nested]
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


@pytest.mark.full
@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(SCRIPTS)
def test_the_patch_gives_the_agents_files_whatever_it_does(
    prepare: Prepare, git_server: GitServer, tmp_path: Path, script: list[str]
) -> None:
    run = prepare("full")
    # Git waits for ever where it opens a pipe that the agent has put in a file's place.
    run.agent("\n".join(f"timeout 5 bash -c {shlex.quote(step)} >/dev/null 2>&1 || true" for step in script))
    patch = run.collect()
    clone = tmp_path / new_id()
    git(tmp_path, "clone", "--quiet", "--no-checkout", str(git_server.folder / "owner" / "kinds"), str(clone))
    (clone / ".git" / "info" / "attributes").write_text(RAW_CONTENT)
    git(clone, "reset", "--quiet", "--hard")
    if patch.file.stat().st_size:
        git(clone, "apply", "--index", "--binary", str(patch.file))
    ours, theirs = files_of(clone), files_of(run.workspace.path)
    different = {path for path in ours.keys() | theirs.keys() if ours.get(path) != theirs.get(path)}
    assert unnamed(different, patch) == set()
    run.workspace.remove()
