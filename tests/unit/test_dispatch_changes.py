"""State changes in the audit log: each change of the state, and of nothing else."""

import json
from typing import Any

from dispatch_changes.changes import audit_record
from outpost.domain.dispatch import Dispatch, Status
from outpost.domain.ids import new_id, now
from outpost.domain.lifecycle import Cancel, apply

ROW = Dispatch.model_validate(
    {
        "id": new_id(),
        "tenant_id": "acme",
        "created_by": "otp_00000000",
        "spec": {"agent": "shell", "tags": {"private": "payload"}},
        "expires_at": 1,
        "created_at": now(),
        "queued_at": now(),
    }
)


def record(new: Dispatch, old: Dispatch | None = None) -> dict[str, Any]:
    def image(row: Dispatch) -> dict[str, Any]:
        return {"status": {"S": row.status}, "document": {"S": row.model_dump_json(exclude_none=True)}}

    change = {"NewImage": image(new), "ApproximateCreationDateTime": 1_763_000_000.0}
    return {"eventID": "e-1", "dynamodb": change | ({"OldImage": image(old)} if old else {})}


def test_a_new_dispatch_is_recorded_without_its_payload() -> None:
    change = audit_record(record(ROW))
    assert change is not None
    assert (change["before"], change["status"], change["tenant"]) == (None, "pending", "acme")
    assert (change["dispatch"], change["key"], change["outcome"]) == (ROW.id, "otp_00000000", None)
    assert change["time"] == "2025-11-13T02:13:20+00:00"
    assert "payload" not in json.dumps(change)


def test_an_end_is_recorded_with_its_reason() -> None:
    change = audit_record(record(apply(ROW, Cancel("no need", now())), ROW))
    assert change is not None
    assert (change["before"], change["status"], change["outcome"]) == (
        Status.PENDING,
        Status.CANCELLED,
        "CANCELLED_BY_USER",
    )
    assert "no need" not in json.dumps(change)


def test_a_change_of_anything_else_is_no_change_of_state() -> None:
    assert audit_record(record(ROW.model_copy(update={"progress": "half", "version": 2}), ROW)) is None
