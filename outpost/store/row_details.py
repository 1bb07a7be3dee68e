"""What of a dispatch does not fit into its row: kept in an item of its own, which is never changed.

The row is written at each change of state and copied into two indexes, and the reconciler reads the rows of all live
dispatches. So it stays below `ROW_BYTES`: one that would not is written without its details, and names the item
that has them by their digest. Its other attributes suffice for the reconciler, the planner and the stream's reader.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from outpost.domain.dispatch import Dispatch
from outpost.domain.findings import Findings

ROW_BYTES = 4_096
"""What one strongly consistent read unit reads (DynamoDB Developer Guide, "DynamoDB read and write operations")."""
_SPEC_DETAILS = frozenset({"additional_secrets", "branch", "collect", "promotes", "tags"})
_DETAILS = frozenset({"cancel_reason", "collection", "findings", "log_tail", "reason", "released"})
_SHORT = 60
"""Characters of a message that stay in the row, for readers of the release before."""
_MOST_WITHHELD = 10


def item_bytes(item: Mapping[str, Any]) -> int:
    """Return the size of an item of texts, numbers, truth values and sets of texts, at most a few bytes too large.

    Source: DynamoDB Developer Guide, "DynamoDB item sizes and formats".
    """
    return sum(len(name.encode()) + _value_bytes(value) for name, value in item.items())


def _value_bytes(value: Any) -> int:  # noqa: ANN401 - an attribute's type and value
    ((kind, content),) = value.items()
    match kind:
        case "S":
            return len(content.encode())
        case "N":
            return len(content) // 2 + 2
        case "BOOL":
            return 1
    raise TypeError(f"a row has an attribute of type {kind}: count its size here")


def shortened(row: Dispatch) -> Dispatch:
    """Return the row without its tags and details; what is left of each has a fixed size."""
    reason = row.reason and row.reason.model_copy(
        update={"message": row.reason.message[:_SHORT], "remedy": row.reason.remedy[:_SHORT]}
    )
    return row.model_copy(
        update={
            "spec": row.spec.model_copy(update={"tags": {}}),
            "cancel_reason": None,
            "collection": None,
            # What is withheld stays withheld, also for readers of the release before.
            "findings": row.findings and Findings(withheld=row.findings.withheld[:_MOST_WITHHELD]),
            "log_tail": None,
            "reason": reason,
            "released": row.released and row.released.model_copy(update={"reason": row.released.reason[:_SHORT]}),
        }
    )


def without_options(row: Dispatch) -> Dispatch:
    """Return the row without the options of its run that have no fixed size; the release before would miss them."""
    options = {"additional_secrets": (), "branch": None, "collect": (), "promotes": None}
    return row.model_copy(update={"spec": row.spec.model_copy(update=options)})


def details_of(row: Dispatch) -> str:
    """Return the details of a row as JSON."""
    return row.model_dump_json(include={"spec": set(_SPEC_DETAILS)} | dict.fromkeys(_DETAILS, True), exclude_none=True)


def name_of(details: str) -> str:
    """Return what identifies the details among those of the same dispatch."""
    return hashlib.sha256(details.encode()).hexdigest()[:16]


def completed(document: str, details: str, *, spec_only: bool) -> Dispatch:
    """Return the row of a shortened document and its details, or with those of its spec only."""
    row, longer = json.loads(document), json.loads(details)
    row["spec"] |= longer.pop("spec")
    return Dispatch.model_validate(row if spec_only else row | longer)
