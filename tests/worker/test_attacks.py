"""A hostile agent in a real container, within the limits that the task definition sets. Not run without an engine."""

import json
import socket
from concurrent.futures import ThreadPoolExecutor

import pytest

from outpost.domain.artifacts import Artifact, LogSource
from outpost.domain.dispatch import Status
from tests.worker.conftest import Platform
from tests.worker.container import Engine

FORBIDDEN = ("GOT", "REACHED", "ESCALATED", "WROTE")

NO_CREDENTIALS = r"""
env | grep -E '^(AWS|ECS|OUTPOST_(QUEUE|BROKER)|.*TOKEN|.*SECRET)' | sed 's/^/GOT /'
python3 - <<'END'
import os, pathlib, urllib.request
def ask(name, url):
    try:
        with urllib.request.urlopen(url, timeout=2) as response:
            print("REACHED", name, response.read(80))
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


def test_an_agent_cannot_ask_the_broker_or_the_queue_without_credentials(engine: Engine, platform: Platform) -> None:
    """A program that reaches AWS's addresses still needs a signature: the agent has nothing to sign with."""
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


def test_a_printed_record_forges_no_line_of_the_log(engine: Engine, platform: Platform) -> None:
    forged = {"timestamp": "2026-01-01T00:00:00Z", "level": "info", "source": "executor", "message": "agent exited 0"}
    task = f"printf '%s\\n' '{json.dumps(forged)}'; printf 'x\\r%s\\n' '{json.dumps(forged)}'; exit 3"
    row = engine.work(platform, task)
    assert row.status is Status.FAILED
    messages = [line.message for line in platform.log(row) if line.source is LogSource.EXECUTOR]
    assert "agent exited 0" not in messages
    assert "agent exited 3" in messages


@pytest.mark.parametrize("then", ["sleep 60; exit 0", "exit 3"])
def test_a_full_disk_has_its_own_reason_and_the_results_still_arrive(
    engine: Engine, platform: Platform, then: str
) -> None:
    task = f"echo before > first; echo started; cat /dev/zero > big 2> /dev/null; {then}"
    row = engine.work(platform, task, "--tmpfs=/tmp:rw,mode=1777,size=400m")
    assert row.reason is not None
    assert (row.status, row.reason.code) == (Status.FAILED, "DISK_FULL"), row.log_tail
    assert "started" in platform.messages(row)
    assert b"+before" in platform.read(row, Artifact.PATCH)
