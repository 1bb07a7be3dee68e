"""What a hostile agent or repository leaves for the harness to handle: links, archives, names. In real containers."""

import io
import os
import subprocess
import tarfile
from pathlib import Path

import pytest
import zstandard

from outpost.domain.artifacts import Artifact
from outpost.domain.dispatch import Status
from outpost.domain.ids import new_id
from outpost.domain.reasons import ReasonCode
from outpost.domain.workspaces import archive_name
from outpost.names import Env
from outpost.store.database import Database
from outpost.store.workspaces import Workspaces
from tests.worker.conftest import GitServer, Platform
from tests.worker.container import Engine
from tests.worker.test_workspaces import accept

HARNESS_UID = 10001
FORBIDDEN = ("REACHED", "WROTE")


def test_links_out_of_the_workspace_carry_nothing_into_the_patch(engine: Engine, platform: Platform) -> None:
    task = r"""
ln -s /etc/passwd passwd; ln -s ../harness harness; ln -s /proc/1/environ environ; ln -s ../../../../../etc deep
mkdir real; ln -s /etc real/etc; echo done
"""
    row = engine.work(platform, task)
    patch = platform.read(row, Artifact.PATCH).decode()
    assert row.status is Status.SUCCESS
    assert "new file mode 120000" in patch  # as links
    assert "root:x:0" not in patch
    assert "AWS_" not in patch
    assert "output.log" not in patch


def test_links_in_a_workspace_lead_nowhere_when_it_is_kept_and_unpacked(
    engine: Engine, platform: Platform, tmp_path_factory: pytest.TempPathFactory
) -> None:
    workspaces, id_ = Workspaces(Database.from_environment()), new_id()
    shared = tmp_path_factory.mktemp("efs")
    other = shared / "globex" / "plans"
    other.parent.mkdir()
    other.write_text("another tenant's")
    for path in (shared, other.parent, other):
        os.chown(path, HARNESS_UID, HARNESS_UID)
    mounted = (f"--volume={shared}:/mnt/workspaces", f"--env={Env.WORKSPACES_PATH}=/mnt/workspaces")
    plant = r"""
ln -s /mnt/workspaces/globex/plans plans; ln -s /mnt/workspaces/globex tenant; ln -s ../harness harness
ln -s ../repository/.git/config config; ln -s /proc/self/environ environ; ln -s loop loop
ln ../repository/.git/config hard 2> /dev/null && echo REACHED hard
ln -s .. up; ln -s /tmp "$(printf 'tmp
--checkpoint-action=exec=touch planted')"; mkfifo pipe
touch -- '--checkpoint=1' '--checkpoint-action=exec=touch planted'; echo done
"""
    first = engine.run(platform, accept(platform, workspaces, plant, id_), *mounted)
    look = r"""
for name in plans tenant/plans harness environ; do
    cat $name 2> /dev/null | grep -aE 'tenant.s|AWS_|output' && echo REACHED $name
done
(echo x > config) 2> /dev/null && echo WROTE config
ls planted 2> /dev/null && echo WROTE planted
readlink plans; echo done
"""
    second = engine.run(platform, accept(platform, workspaces, look, id_), *mounted)

    assert (first.status, second.status) == (Status.SUCCESS, Status.SUCCESS), (first.reason, second.reason)
    said = platform.messages(first) + platform.messages(second)
    assert [line for line in said if line.startswith(FORBIDDEN)] == []
    assert "/mnt/workspaces/globex/plans" in said  # the link is there again, as a link
    assert other.read_text() == "another tenant's"
    with tarfile.open(fileobj=io.BytesIO(_unpacked(shared / archive_name("acme", id_)))) as archive:
        kinds = {member.name: member.type for member in archive}
        held = b"".join(file.read() for member in archive if member.isfile() and (file := archive.extractfile(member)))
    assert {kinds[f"./{name}"] for name in ("plans", "tenant", "harness", "config", "environ", "up")} == {
        tarfile.SYMTYPE
    }
    assert b"another tenant's" not in held
    assert [name for name in kinds if ".." in Path(name).parts or name.startswith("/")] == []


def _unpacked(file: Path) -> bytes:
    with file.open("rb") as source:
        return zstandard.ZstdDecompressor().stream_reader(source).read()


def test_an_archive_that_would_write_elsewhere_writes_nowhere_but_in_the_workspace(
    engine: Engine, platform: Platform, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """No agent can make one, as its files are packed by tar: should there be one all the same, it is to no avail."""
    workspaces, id_ = Workspaces(Database.from_environment()), new_id()
    shared, scratch = tmp_path_factory.mktemp("efs"), tmp_path_factory.mktemp("tmp")
    scratch.chmod(0o1777)
    os.chown(shared, HARNESS_UID, HARNESS_UID)
    options = (
        f"--volume={shared}:/mnt/workspaces",
        f"--env={Env.WORKSPACES_PATH}=/mnt/workspaces",
        f"--volume={scratch}:/tmp",
    )
    assert engine.run(platform, accept(platform, workspaces, "echo 1 > one", id_), *options).status is Status.SUCCESS
    with io.BytesIO() as data:
        with tarfile.open(fileobj=data, mode="w") as archive:
            link = tarfile.TarInfo("./out")
            link.type, link.linkname = tarfile.SYMTYPE, "/tmp"  # noqa: S108 - the container's
            archive.addfile(link)
            for name in ("../climbed", "/tmp/absolute", "./out/through", "../harness/told"):  # noqa: S108
                archive.addfile(tarfile.TarInfo(name), io.BytesIO())
        (shared / archive_name("acme", id_)).write_bytes(zstandard.ZstdCompressor().compress(data.getvalue()))
    engine.run(platform, accept(platform, workspaces, "ls -R ..; echo done", id_), *options)

    assert [path for path in scratch.rglob("*") if path.name in {"climbed", "absolute", "through", "told"}] == []


HOSTILE_NAMES = r"""
touch -- '-rf' '--help' '$(touch pwned)' '`touch pwned`' ';touch pwned' '| touch pwned' "it's" 'a"b' '*' '~' ' '
touch -- "$(printf 'line\nbreak')" "$(printf 'diff --git\n--- a')" "$(printf '\033]0;title\007\033[2J')" $'tab\there'
touch -- "$(printf '\377\376')" 'é' "$(head -c 255 /dev/zero | tr '\0' n)"
mkdir -p .GIT/hooks 'C:' modules; echo 'touch pwned' > .GIT/hooks/post-checkout; echo '* filter=x' > .gitattributes
printf '[submodule "x"]\n\tpath = x\n\turl = ext::sh -c touch%% pwned\n' > .gitmodules
for file in *; do [ -f "./$file" ] && echo content > "./$file"; done
printf 'printed \033]0;title\007 a \033[31mcolour\n'
find / -xdev -name pwned 2> /dev/null | sed 's/^/WROTE /'; echo done
"""


def test_hostile_names_of_branches_and_paths_are_names_and_nothing_else(
    engine: Engine, platform: Platform, git_server: GitServer, tmp_path: Path
) -> None:
    name, branch = f"hostile-{new_id().lower()}", "x;touch${IFS}pwned;$(touch${IFS}pwned)|'\"&`touch${IFS}pwned`"
    repo = git_server.create(name, {"kept": b"kept\n"}, branch=branch)

    row = engine.work(platform, HOSTILE_NAMES, repo=repo, branch=branch)

    assert row.status is Status.SUCCESS, (row.reason, row.log_tail)
    said = platform.messages(row)
    assert [line for line in said if line.startswith(FORBIDDEN) or "\033" in line or "\007" in line] == []
    assert "left out: .GIT/hooks/post-checkout (git refuses names like its own)" in said
    patch = tmp_path / "changes.patch"
    patch.write_bytes(platform.read(row, Artifact.PATCH))
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "--quiet", str(git_server.folder / repo), str(clone)], check=True)  # noqa: S607
    subprocess.run(["git", "apply", str(patch)], cwd=clone, check=True)  # noqa: S607
    made = {os.fsencode(path.name) for path in clone.iterdir()}
    assert {b"-rf", b"$(touch pwned)", b"line\nbreak", b"\377\376", b"n" * 255, b"diff --git\n--- a"} <= made
    assert b"pwned" not in made


@pytest.mark.parametrize("branch", ["--upload-pack=touch /tmp/pwned", "-f", "../../etc", "a..b", "HEAD", "a\nb"])
def test_a_branch_that_git_would_take_for_something_else_is_never_given_to_git(
    engine: Engine, platform: Platform, git_server: GitServer, branch: str
) -> None:
    """Also when it comes past the API's own check: here it is written to the row."""
    row = engine.work(platform, "echo ran", repo=git_server.create(f"b-{new_id().lower()}", {"a": b"a"}), branch=branch)
    assert (row.status, row.reason and row.reason.code) == (Status.FAILED, ReasonCode.CLONE_FAILED)
    assert row.reason is not None
    assert "branch" in row.reason.message
    assert "ran" not in platform.messages(row)
