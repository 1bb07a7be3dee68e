"""A hostile agent in a real container, within the limits that the task definition sets. Not run without an engine."""

import json

import pytest

from outpost.domain.artifacts import Artifact, LogSource
from outpost.domain.dispatch import Status
from tests.worker.conftest import Platform
from tests.worker.test_image import Engine, engine

__all__ = ["engine"]  # the fixture: one image for both files

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
