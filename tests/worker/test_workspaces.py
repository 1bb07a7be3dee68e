"""A persistent workspace from run to run: unpacked, written back, fenced, bounded."""

from pathlib import Path

import boto3
import pytest

from outpost.domain.artifacts import Artifact
from outpost.domain.dispatch import Dispatch, InitMode, Lease, Spec, Status
from outpost.domain.ids import new_id, now
from outpost.domain.protocol import Assignment, Credentials
from outpost.domain.reasons import ReasonCode
from outpost.domain.secrets import MAX_NAME_LENGTH, TenantSecret
from outpost.domain.workspaces import QUOTAS, Workspace, archive_name, expiry
from outpost.names import Env
from outpost.store.database import Database
from outpost.store.tenants import Tenants
from outpost.store.workspaces import Workspaces
from tests.worker.conftest import GitServer, Platform
from worker.archive import Archive, ArchiveError, ArchiveFullError
from worker.isolation import NoIsolation
from worker.settings import read_settings
from worker.store import AttemptStore, TooLargeError
from worker.workspace import Workspace as RunWorkspace


@pytest.fixture
def workspaces(platform: Platform) -> Workspaces:
    return Workspaces(Database.from_environment())


def accept(
    platform: Platform,
    workspaces: Workspaces,
    task: str,
    workspace_id: str,
    repo: str | None = None,
    init_mode: InitMode = "full",
    secrets: tuple[str, ...] = (),
) -> Dispatch:
    """Create a pending dispatch in a workspace, which is made unless it is known, as the API does it."""
    row = Dispatch(
        id=new_id(),
        tenant_id="acme",
        created_by="otp_00000000",
        spec=Spec.model_validate(
            {
                "agent": "shell",
                "timeout_seconds": 60,
                "repo": repo,
                "workspace_mode": "persistent",
                "workspace_id": workspace_id,
                "workspace_init_mode": init_mode,
                "additional_secrets": secrets,
            }
        ),
        expires_at=int(now().timestamp()) + 3600,
        created_at=now(),
        queued_at=now(),
    )
    made = Workspace(
        id=workspace_id,
        tenant_id="acme",
        repo=repo,
        created_at=row.created_at,
        used_at=row.created_at,
        expires_at=expiry(row.created_at),
        dispatch_id=row.id,
        secrets=frozenset(secrets),
    )
    known = workspaces.get("acme", workspace_id)
    write = workspaces.taking(row) if known else workspaces.creating(made)
    return platform.dispatches.create(row, task, 1_000, workspace=[write])


def run(
    platform: Platform,
    workspaces: Workspaces,
    task: str,
    workspace_id: str,
    repo: str | None = None,
    init_mode: InitMode = "full",
    secrets: tuple[str, ...] = (),
) -> Dispatch:
    """Run a dispatch in a workspace to its end."""
    row = accept(platform, workspaces, task, workspace_id, repo, init_mode, secrets)
    assert platform.finish(platform.start_worker()) == 0
    return platform.row(row)


def folder(platform: Platform) -> Path:
    return Path(platform.environment[Env.WORKSPACES_PATH])


def test_a_later_run_finds_what_an_earlier_one_left(
    platform: Platform, workspaces: Workspaces, git_server: GitServer
) -> None:
    repo, id_ = git_server.create("kept", {"a.txt": b"a\n"}), new_id()
    task = """set -e
mkdir -p deep/.git closed; echo cache > deep/.git/file; echo b > b.txt; ln -s a.txt link; chmod 000 closed
git config user.note mine; git add b.txt; git commit --quiet --message second"""
    first = run(platform, workspaces, task, id_, repo)
    assert first.status is Status.SUCCESS, first.reason
    git_server.git("kept", "rm", "-q", "a.txt")
    git_server.git("kept", "commit", "-qm", "upstream continues")
    again = """set -e
cat a.txt b.txt deep/.git/file; readlink link; git config user.note; git log --format=%s; echo c > c.txt"""
    second = run(platform, workspaces, again, id_, repo)
    assert second.status is Status.SUCCESS, second.reason
    messages = platform.messages(second)
    assert [line for line in ("a", "b", "cache", "a.txt", "mine", "second", "begin") if line not in messages] == []
    patch = platform.read(second, Artifact.PATCH).decode()
    assert "+++ b/b.txt" in patch  # against the commit that the workspace began with
    assert "+++ b/c.txt" in patch
    assert platform.summary(second).commit_before == platform.summary(first).commit_before


def test_a_secret_that_an_earlier_run_left_withholds_the_patch_of_a_later_one_that_is_not_given_it(
    platform: Platform, workspaces: Workspaces
) -> None:
    tenants, id_ = Tenants(Database.from_environment()), new_id()
    for name in ("FIRST_TOKEN", "SECOND_TOKEN"):
        value = f"{name}-Xq7-vault-Zp93kd"
        arn = boto3.client("secretsmanager").create_secret(Name=f"{name}-{id_}", SecretString=value)["ARN"]
        tenants.add_secret("acme", TenantSecret(name=name, arn=arn, updated_at=now()))
    run(platform, workspaces, 'echo "$FIRST_TOKEN" > first', id_, secrets=("FIRST_TOKEN",))
    run(platform, workspaces, 'echo "$SECOND_TOKEN" > second', id_, secrets=("SECOND_TOKEN",))
    third = run(platform, workspaces, 'test -z "$FIRST_TOKEN$SECOND_TOKEN"; cat first', id_)
    assert third.status is Status.SUCCESS
    assert third.findings
    assert third.findings.secrets == {"FIRST_TOKEN": 1, "SECOND_TOKEN": 1}
    assert third.withheld
    assert "[REDACTED:FIRST_TOKEN]" in platform.messages(third)


def test_a_value_that_was_changed_since_an_earlier_run_withholds_the_patch_of_a_later_one(
    platform: Platform, workspaces: Workspaces
) -> None:
    """The patch is against the commit that the workspace began with: what the earlier run wrote is in it."""
    tenants, id_, client = Tenants(Database.from_environment()), new_id(), boto3.client("secretsmanager")
    name = "A" * MAX_NAME_LENGTH
    for secret in (name, "NPM_TOKEN"):
        arn = client.create_secret(Name=f"{secret}-{id_}", SecretString=f"{secret[-3:]}-Xq7-vault-Zp93kd")["ARN"]
        tenants.add_secret("acme", TenantSecret(name=secret, arn=arn, updated_at=now()))
    run(platform, workspaces, f'echo "${name}" > a; echo "$NPM_TOKEN" > b', id_, secrets=(name, "NPM_TOKEN"))
    for secret in (name, "NPM_TOKEN"):
        client.put_secret_value(SecretId=f"{secret}-{id_}", SecretString=f"{secret[-3:]}-another-Mv42tw")
    later = run(platform, workspaces, "cat b", id_, secrets=(name,))
    assert later.findings
    assert later.findings.secrets == {f"{name[:-10]} (earlier)": 1, "NPM_TOKEN (earlier)": 1}
    assert later.withheld
    assert "[REDACTED:NPM_TOKEN (earlier)]" in platform.messages(later)


def test_a_workspace_that_began_sparse_stays_so_and_its_patch_deletes_nothing(
    platform: Platform, workspaces: Workspaces, git_server: GitServer
) -> None:
    repo, id_ = git_server.create("sparse", {"a.txt": b"a\n", "lib/b.txt": b"b\n"}), new_id()
    run(platform, workspaces, "ls -A; exit 0", id_, repo, "minimal")
    second = run(platform, workspaces, "ls -A; echo c > c.txt", id_, repo)
    assert "lib" not in platform.messages(second)
    assert platform.summary(second).files_changed == 1


def test_the_row_has_the_size_of_the_archive_and_is_free_again(platform: Platform, workspaces: Workspaces) -> None:
    id_ = new_id()
    run(platform, workspaces, "head -c 200000 /dev/urandom > data", id_)
    row = workspaces.get("acme", id_)
    assert row is not None
    files = [file for file in (folder(platform) / "acme").iterdir() if file.name.startswith(id_)]
    assert {file.name.partition(".")[2] for file in files} == {"tar.zst", "base.tar.zst", "lock"}
    assert row.size_bytes == sum(file.stat().st_size for file in files if file.name.endswith(".zst"))
    assert row.dispatch_id is None


def test_a_failed_run_keeps_its_workspace_too(platform: Platform, workspaces: Workspaces) -> None:
    id_ = new_id()
    assert run(platform, workspaces, "echo half > half.txt; exit 3", id_).status is Status.FAILED
    assert "half" in platform.messages(run(platform, workspaces, "cat half.txt; exit 0", id_))


def test_a_workspace_over_the_quota_stays_as_it_was_and_the_dispatch_says_why(
    platform: Platform, workspaces: Workspaces
) -> None:
    big, id_ = new_id(), new_id()
    run(platform, workspaces, "echo small > small.txt", id_)
    run(platform, workspaces, "echo other > other.txt", big)
    holder = run(platform, workspaces, "echo again", big)
    database = Database.from_environment()
    key = ("TENANT#acme", f"WORKSPACE#{big}")
    database.update(database.workspaces, *key, "SET size_bytes = :all", all=QUOTAS["free"].size_bytes - 100_000)
    ended = run(platform, workspaces, "head -c 900000 /dev/urandom > big", id_)
    database.update(database.workspaces, *key, "SET size_bytes = :none", none=0)
    assert (ended.status, ended.reason and ended.reason.code) == (Status.FAILED, ReasonCode.WORKSPACE_FULL)
    assert holder.status is Status.SUCCESS
    assert "big" in platform.read(ended, Artifact.PATCH).decode()
    assert "small.txt" in platform.messages(run(platform, workspaces, "ls; exit 0", id_))


# The archive itself


def with_room(_: int) -> None:
    """There is room for every size."""


def archive(platform: Platform, root: Path, dispatch_id: str, token: int = 1, room: int = 10**9) -> Archive:
    credentials = Credentials(access_key_id="a", secret_access_key="b", session_token="c", expires_at=now())
    return Archive(
        root,
        Assignment(
            dispatch_id=dispatch_id,
            tenant_id="acme",
            lease=Lease(worker_id="w", token=token),
            spec=Spec.model_validate({"agent": "shell", "workspace_id": "01K9ZJ3J0X4T8WB6Q1V5N7M2CD"}),
            task="",
            bucket="",
            prefix="",
            workspace_room=room,
            credentials=credentials,
        ),
    )


@pytest.fixture
def local(platform: Platform, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunWorkspace:
    """A prepared workspace with one file."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    workspace = RunWorkspace(read_settings(platform.environment), NoIsolation())
    (workspace.root / "repository" / ".git").mkdir(parents=True)
    (workspace.path / "file").write_text("content")
    return workspace


def test_a_worker_that_was_overtaken_writes_nothing(platform: Platform, local: RunWorkspace, tmp_path: Path) -> None:
    stale = archive(platform, tmp_path, "01A", token=1)
    stale.restore(local)
    stale.save(local, 30, with_room)
    archive(platform, tmp_path, "01A", token=2).restore(local)
    before = (tmp_path / archive_name("acme", "01K9ZJ3J0X4T8WB6Q1V5N7M2CD")).read_bytes()
    (local.path / "file").write_text("stale")
    with pytest.raises(ArchiveError, match="later attempt"):
        stale.save(local, 30, with_room)
    with pytest.raises(ArchiveError, match="later attempt"):
        stale.restore(local)
    assert (tmp_path / archive_name("acme", "01K9ZJ3J0X4T8WB6Q1V5N7M2CD")).read_bytes() == before
    assert list(tmp_path.glob("acme/*.tmp")) == []


def test_an_archive_that_is_too_large_leaves_nothing_behind(
    platform: Platform, local: RunWorkspace, tmp_path: Path
) -> None:
    small = archive(platform, tmp_path, "01A", room=10)
    small.restore(local)
    with pytest.raises(ArchiveFullError):
        small.save(local, 30, with_room)
    assert {file.name.partition(".")[2] for file in (tmp_path / "acme").iterdir()} == {"lock"}


def test_a_size_that_is_refused_leaves_everything_as_it_was(
    platform: Platform, local: RunWorkspace, tmp_path: Path
) -> None:
    asked: list[int] = []

    def refuse(size: int) -> int:
        asked.append(size)
        return size - 1

    refused = archive(platform, tmp_path, "01A")
    refused.restore(local)
    with pytest.raises(ArchiveFullError, match="larger than the 0 MiB that are left"):
        refused.save(local, 30, refuse)
    assert {file.name.partition(".")[2] for file in (tmp_path / "acme").iterdir()} == {"lock"}
    assert asked == [refused.save(local, 30, with_room)]


def test_a_damaged_archive_is_reported_and_not_used(platform: Platform, local: RunWorkspace, tmp_path: Path) -> None:
    kept = archive(platform, tmp_path, "01A")
    kept.restore(local)
    kept.save(local, 30, with_room)
    (tmp_path / archive_name("acme", "01K9ZJ3J0X4T8WB6Q1V5N7M2CD")).write_bytes(b"not an archive")
    with pytest.raises(ArchiveError, match="could not be unpacked"):
        archive(platform, tmp_path, "01B").restore(local)


def test_an_artifact_over_5_gb_is_refused_by_its_name_and_size(tmp_path: Path, platform: Platform) -> None:
    credentials = Credentials(access_key_id="a", secret_access_key="b", session_token="c", expires_at=now())
    spec = Spec.model_validate({"agent": "shell"})
    lease = Lease(worker_id="w", token=1)
    store = AttemptStore(
        Assignment(
            dispatch_id="d",
            tenant_id="t",
            lease=lease,
            spec=spec,
            task="",
            bucket="b",
            prefix="",
            credentials=credentials,
        )
    )
    with (tmp_path / "patch").open("wb") as file:
        file.truncate(5 * 2**30 + 1)  # sparse: takes no room
    with pytest.raises(TooLargeError, match=r"changes\.patch has 5\.0 GiB"):
        store.put_file(Artifact.PATCH, tmp_path / "patch")
