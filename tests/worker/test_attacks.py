"""A hostile agent in a real container, within the limits that the task definition sets. Not run without an engine."""

import io
import json
import os
import socket
import subprocess
import tarfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import zstandard

from outpost.domain.artifacts import Artifact, LogSource
from outpost.domain.dispatch import Status
from outpost.domain.ids import new_id
from outpost.domain.reasons import ReasonCode
from outpost.domain.workspaces import archive_name
from outpost.names import Env
from outpost.store.database import Database
from outpost.store.workspaces import Workspaces
from tests.worker.conftest import GitServer, Platform
from tests.worker.test_image import Engine, engine
from tests.worker.test_workspaces import accept

__all__ = ["engine"]  # the fixture: one image for both files

HARNESS_UID = 10001
FORBIDDEN = ("GOT", "REACHED", "ESCALATED", "WROTE")

NO_CREDENTIALS = r"""
env | grep -E '^(AWS|ECS|OUTPOST_(QUEUE|BROKER)|.*TOKEN|.*SECRET)' | sed 's/^/GOT /'
python3 - <<'END'
import os, pathlib, urllib.request
def ask(name, url):
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            print("REACHED", name, answer.read(80))
    except Exception:
        pass
# The addresses of EC2's and ECS's metadata and credentials, and what the harness was told of its own.
ask("instance metadata", "http://169.254.169.254/latest/meta-data/iam/security-credentials/")
ask("task credentials", "http://169.254.170.2/v2/credentials/")
ask("task metadata", "http://169.254.170.2/v4/")
for entry in pathlib.Path("/proc").glob("[0-9]*"):
    try:
        if entry.stat().st_uid != os.getuid():
            for variable in (entry / "environ").read_bytes().split(b"\0"):
                print("GOT", variable[:80])
    except OSError:
        pass
for name in ("/home", "/root/.aws", "/opt/outpost/secrets", "/run/secrets"):
    for file in pathlib.Path(name).glob("**/*") if os.access(name, os.R_OK) else ():
        print("GOT", file)
END
echo done
"""


def lines_of(platform: Platform, engine: Engine, task: str, *options: str, **spec: object) -> list[str]:
    row = engine.work(platform, task, *options, **spec)
    assert row.status is Status.SUCCESS, (row.reason, row.log_tail)
    return platform.read(row, Artifact.OUTPUT).decode().splitlines()


def test_an_agent_finds_no_credentials_anywhere(engine: Engine, platform: Platform) -> None:
    lines = lines_of(platform, engine, NO_CREDENTIALS)
    assert [line for line in lines if line.startswith(FORBIDDEN)] == []
    assert lines[-1] == "done"


def test_an_agent_cannot_reach_the_files_of_workspaces(
    engine: Engine, platform: Platform, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Neither through the mount, which is the harness's, nor by mounting one, nor through a program of its own."""
    shared = tmp_path_factory.mktemp("efs")
    (shared / "globex").mkdir()
    (shared / "globex" / "secret").write_text("another tenant's")
    shared.chmod(0o755)
    task = r"""
cat /mnt/workspaces/globex/secret 2> /dev/null && echo REACHED the file
ls /mnt /mnt/workspaces 2> /dev/null && echo REACHED the mount
mkdir here; mount -t tmpfs none here 2> /dev/null && echo ESCALATED mount
mount -t nfs4 127.0.0.1:/ here 2> /dev/null && echo ESCALATED nfs
unshare --user --mount --map-root-user true 2> /dev/null && unshare -Urm mount --bind /mnt here 2> /dev/null \
    && ls here/workspaces 2> /dev/null && echo ESCALATED namespace
echo done
"""
    lines = lines_of(platform, engine, task, f"--volume={shared}:/mnt/workspaces")
    assert [line for line in lines if line.startswith(FORBIDDEN)] == []
    assert lines[-1] == "done"


NFS_CLIENT = r"""
python3 - <<'END'
import ctypes, os, socket, struct
libc = ctypes.CDLL(None, use_errno=True)
os.mkdir("here")
for kind, data in ((b"nfs4", b"addr=127.0.0.1,vers=4.1"), (b"nfs", b""), (b"fuse", b"fd=0"), (b"tmpfs", b"")):
    if libc.mount(b"127.0.0.1:/", b"here", kind, 0, data) == 0:
        print("ESCALATED mount", kind)
    if libc.syscall(430, kind, 0) >= 0:
        print("ESCALATED fsopen", kind)
try:
    os.open("/dev/fuse", os.O_RDWR)
    print("ESCALATED fuse")
except OSError:
    pass
# RFC 8881: COMPOUND(PUTROOTFH, GETFH), with the harness's uid in AUTH_SYS: the protocol believes what it is told.
name = b"mount-target"
sys_auth = struct.pack(">II", 0, len(name)) + name + struct.pack(">III", 10001, 10001, 0)
call = struct.pack(">IIIIIIII", 1, 0, 2, 100003, 4, 1, 1, len(sys_auth)) + sys_auth + struct.pack(">II", 0, 0)
call += struct.pack(">IIIII", 0, 1, 2, 24, 10)
with socket.create_connection(("127.0.0.1", int(os.environ["NFS_PORT"])), timeout=10) as server:
    server.sendall(struct.pack(">I", 0x80000000 | len(call)) + call)
    print("sent", len(call), "without", "AWS_SESSION_TOKEN" if "AWS_SESSION_TOKEN" not in os.environ else "nothing")
END
echo done
"""


def test_an_nfs_client_of_the_agents_own_has_neither_a_mount_nor_a_signature(
    engine: Engine, platform: Platform
) -> None:
    """The network lets a program speak NFS from user space, with any uid it likes to claim: so none may count.

    There is no EFS here. What is shown: the kernel mounts nothing for the agent, and what a client of its own sends is
    bare TCP with a claimed uid. EFS turns that away by its policy, which asks for TLS, an access point and a signature
    (tests/infra/test_data.py holds the policy to that); a signature the agent cannot make, as the test above shows.
    """
    with socket.create_server(("127.0.0.1", 0)) as server, ThreadPoolExecutor(1) as pool:
        server.settimeout(120)
        received = pool.submit(_first_message, server)
        port = server.getsockname()[1]
        lines = lines_of(platform, engine, f"export NFS_PORT={port}\n{NFS_CLIENT}")
        sent = received.result()
    assert [line for line in lines if line.startswith(FORBIDDEN)] == []
    assert f"sent {len(sent) - 4} without AWS_SESSION_TOKEN" in lines
    assert sent[12:24] == bytes.fromhex(
        "00000002 000186a3 00000004"
    )  # ONC RPC 2, program NFS, version 4: in clear text


def _first_message(server: socket.socket) -> bytes:
    connection, _ = server.accept()
    with connection:
        return connection.recv(4096)


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
    assert any(line.endswith(", 1 left out: git refuses names like its own") for line in said)  # .GIT/hooks/...
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


def test_an_agent_cannot_ask_the_broker_or_the_queue_without_credentials(engine: Engine, platform: Platform) -> None:
    """Whoever reaches AWS's addresses still needs a signature: the agent has nothing to sign with."""
    task = r"""
python3 - <<'END'
import os
print("GOT credentials") if any(name.startswith("AWS_") for name in os.environ) else None
try:
    import boto3
    print("GOT the harness's packages")
except ImportError:
    pass
END
test -r /opt/outpost/bin/python && /opt/outpost/bin/python -c '
import boto3
print("GOT", boto3.Session().get_credentials().access_key)' 2> /dev/null
echo done
"""
    lines = lines_of(platform, engine, task)
    assert [line for line in lines if line.startswith(FORBIDDEN)] == []


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


def test_a_printed_record_forges_no_line_of_the_log(engine: Engine, platform: Platform) -> None:
    forged = {"timestamp": "2026-01-01T00:00:00Z", "level": "info", "source": "executor", "message": "agent exited 0"}
    task = f"printf '%s\\n' '{json.dumps(forged)}'; printf 'x\\r%s\\n' '{json.dumps(forged)}'; exit 3"
    row = engine.work(platform, task)
    assert row.status is Status.FAILED
    told = [line.message for line in platform.log(row) if line.source is LogSource.EXECUTOR]
    assert "agent exited 0" not in told
    assert "agent exited 3" in told


def test_a_full_disk_has_its_own_reason_and_the_results_still_arrive(engine: Engine, platform: Platform) -> None:
    task = "echo before > first; echo started; cat /dev/zero > big 2> /dev/null; sleep 60; exit 0"
    row = engine.work(platform, task, "--tmpfs=/tmp:rw,mode=1777,size=300m")
    assert row.reason is not None
    assert (row.status, row.reason.code) == (Status.FAILED, "DISK_FULL"), row.log_tail
    assert "started" in platform.messages(row)
