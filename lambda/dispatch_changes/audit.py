"""From a record of the dispatches' stream to a record of the audit log. Pure."""

import json
from datetime import UTC, datetime
from typing import Any

Record = dict[str, Any]


def audit_record(record: Record) -> Record | None:
    """Return who, what and when of a change of state; None for a change of anything else, such as progress."""
    change = record["dynamodb"]
    new, old = change["NewImage"], change.get("OldImage")
    status, before = new["status"]["S"], old["status"]["S"] if old else None
    if status == before:
        return None
    row = json.loads(new["document"]["S"])
    reason = row.get("reason") or {}
    return {
        "audit": "state",
        "id": record["eventID"],
        "time": datetime.fromtimestamp(change["ApproximateCreationDateTime"], UTC).isoformat(),
        "tenant": row["tenant_id"],
        "dispatch": row["id"],
        "key": row["created_by"],
        "before": before,
        "status": status,
        "version": row["version"],
        "attempt": row["attempt"],
        "worker": row.get("worker_id"),
        "outcome": reason.get("code"),
    }
