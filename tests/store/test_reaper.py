"""The reaper on the real table and real files: it removes what nobody can use any more, and nothing else."""

import os
from datetime import timedelta
from pathlib import Path

import pytest

from outpost.domain.ids import new_id, now
from outpost.domain.workspaces import Workspace, archive_name, expiry
from outpost.store.database import Database
from outpost.store.workspaces import Workspaces, workspace_of
from workspace_reaper.handler import Reaper

OLD = timedelta(days=2)


@pytest.fixture
def workspaces(database: Database) -> Workspaces:
    return Workspaces(database)


@pytest.fixture
def reaper(workspaces: Workspaces, tmp_path: Path) -> Reaper:
    return Reaper(workspaces, tmp_path, now)


def keep(reaper: Reaper, database: Database, tenant_id: str = "acme", *, row: bool = True, **fields: object) -> str:
    """Lay out a workspace's files, and its row."""
    id_, at = new_id(), now()
    workspace = Workspace.model_validate(
        {"id": id_, "tenant_id": tenant_id, "created_at": at, "used_at": at, "expires_at": expiry(at)} | fields
    )
    if row:
        database.transact([reaper.workspaces.creating(workspace)])
    archive = reaper.root / archive_name(tenant_id, id_)
    archive.parent.mkdir(exist_ok=True)
    for file in (archive, archive.with_name(f"{id_}.base.tar.zst"), archive.with_name(f"{id_}.lock")):
        file.write_bytes(b"x" * 100)
    return id_


def files(reaper: Reaper, id_: str) -> list[Path]:
    return list(reaper.root.glob(f"*/{id_}.*"))


def age(paths: list[Path]) -> None:
    past = (now() - OLD).timestamp()
    for path in paths:
        os.utime(path, (past, past))


def test_a_workspace_in_time_and_one_in_use_are_left_alone(reaper: Reaper, database: Database) -> None:
    fresh = keep(reaper, database)
    held = keep(reaper, database, dispatch_id=new_id(), expires_at=1)
    assert reaper.reap(dry_run=False) == []
    assert len(files(reaper, fresh)) == len(files(reaper, held)) == 3


def test_an_expired_workspace_loses_its_row_and_its_files(reaper: Reaper, database: Database) -> None:
    id_ = keep(reaper, database, expires_at=1)
    (found,) = reaper.reap(dry_run=False)
    assert (found.tenant_id, found.workspace_id, found.why, found.size_bytes) == ("acme", id_, "expired", 300)
    assert files(reaper, id_) == []
    assert reaper.workspaces.get("acme", id_) is None


def test_files_without_a_row_are_removed_when_they_are_a_day_old(reaper: Reaper, database: Database) -> None:
    young, old = (keep(reaper, database, row=False) for _ in range(2))
    age(files(reaper, old))
    assert [(found.workspace_id, found.why) for found in reaper.reap(dry_run=False)] == [(old, "orphaned")]
    assert files(reaper, old) == []
    assert len(files(reaper, young)) == 3


def test_the_same_id_of_another_tenant_protects_nothing(reaper: Reaper, database: Database) -> None:
    id_ = keep(reaper, database)
    foreign = reaper.root / archive_name("globex", id_)
    foreign.parent.mkdir()
    foreign.write_bytes(b"x")
    age([foreign])
    reaper.reap(dry_run=False)
    assert not foreign.exists()
    assert len(files(reaper, id_)) == 3


def test_what_a_dead_worker_left_half_written_is_removed(reaper: Reaper, database: Database) -> None:
    id_ = keep(reaper, database)
    part = reaper.root / "acme" / f"{id_}.{new_id()}-000001.tmp"
    part.write_bytes(b"x")
    age([part])
    (found,) = reaper.reap(dry_run=False)
    assert (found.why, found.files) == ("abandoned", (part,))
    assert not part.exists()
    assert len(files(reaper, id_)) == 3


def test_a_dry_run_names_everything_and_removes_nothing(reaper: Reaper, database: Database) -> None:
    id_ = keep(reaper, database, expires_at=1)
    assert [found.workspace_id for found in reaper.reap(dry_run=True)] == [id_]
    assert len(files(reaper, id_)) == 3
    assert reaper.workspaces.get("acme", id_) is not None


def test_strange_names_and_links_are_not_touched(reaper: Reaper, database: Database, tmp_path: Path) -> None:
    elsewhere = tmp_path.parent / f"{tmp_path.name}-elsewhere"
    elsewhere.mkdir()
    (elsewhere / f"{new_id()}.tar.zst").write_bytes(b"x")
    (reaper.root / "linked").symlink_to(elsewhere)
    (reaper.root / "acme").mkdir()
    note = reaper.root / "acme" / "README"
    note.write_text("an operator's note")
    age([note, *elsewhere.iterdir()])
    assert reaper.reap(dry_run=False) == []
    assert note.exists()
    assert len(list(elsewhere.iterdir())) == 1


def test_the_stream_names_the_workspace_that_was_deleted_and_its_files_go_at_once(
    reaper: Reaper, database: Database
) -> None:
    gone, kept = keep(reaper, database), keep(reaper, database)
    row = reaper.workspaces.get("acme", gone)
    assert row is not None
    reaper.workspaces.delete(row)
    keys = {"pk": {"S": "TENANT#acme"}, "sk": {"S": f"WORKSPACE#{gone}"}}
    assert workspace_of(keys) == ("acme", gone)
    reaper.follow(*workspace_of(keys))
    reaper.follow("acme", kept)
    reaper.follow("acme", "../../etc")
    assert files(reaper, gone) == []
    assert len(files(reaper, kept)) == 3
