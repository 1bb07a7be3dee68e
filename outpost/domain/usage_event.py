"""The event of a dispatch that has ended, on the account's bus, for billing and reports."""

from datetime import datetime
from typing import Literal

from outpost.domain.agents import CATALOGUE, Agent
from outpost.domain.dispatch import Dispatch, Kind, Status, Usage
from outpost.domain.reasons import ReasonCode
from outpost.domain.usage import compute_seconds
from outpost.domain.value import CamelValue

SOURCE = "outpost"
DETAIL_TYPE = "Outpost Dispatch Ended"
VERSION: Literal["1.1"] = "1.1"
"""A field more raises the minor part; anything that could break a reader raises the major one."""


class UsageRecord(CamelValue, Usage):
    """What the dispatch consumed. Its last attempt: what an attempt used whose worker was lost, is not known."""

    estimated: bool = False
    """The worker never reported: compute is taken from the row's times and the agent's usual size, tokens are 0."""


class DispatchEnded(CamelValue):
    """The event's detail. It is delivered at least once: `id` is the same in each delivery."""

    schema_version: Literal["1.0", "1.1"] = VERSION
    id: str
    tenant_id: str
    environment: str
    kind: Kind
    agent: Agent
    model_id: str | None
    tags: dict[str, str]
    status: Status
    reason_code: ReasonCode
    attempt: int
    created_at: datetime
    running_at: datetime | None
    ended_at: datetime
    usage: UsageRecord
    cost_usd: float | None = None
    """What the model calls of all attempts are charged (since 1.1); None when a model has no known price."""


def dispatch_ended(row: Dispatch, environment: str) -> DispatchEnded:
    """Return the event of a row that has ended. Raises `ValueError` for one that has not."""
    if row.ended_at is None or row.reason is None:
        raise ValueError(f"dispatch {row.id} is {row.status}: it has not ended")
    return DispatchEnded(
        id=row.id,
        tenant_id=row.tenant_id,
        environment=environment,
        kind=row.spec.kind,
        agent=row.spec.agent,
        model_id=row.spec.model_id,
        tags=row.spec.tags,
        status=row.status,
        reason_code=row.reason.code,
        attempt=row.attempt,
        created_at=row.created_at,
        running_at=row.running_at,
        ended_at=row.ended_at,
        usage=usage_record(row, row.ended_at),
        cost_usd=row.cost_usd,
    )


def usage_record(row: Dispatch, ended_at: datetime) -> UsageRecord:
    """Return what a row that ended then consumed."""
    if row.usage is not None:
        return UsageRecord.model_validate(row.usage.model_dump())
    if row.provisioning_at is None:
        return UsageRecord()  # nothing ever ran
    size = CATALOGUE[row.spec.agent]
    seconds = (ended_at - row.provisioning_at).total_seconds()
    vcpu, gigabytes = compute_seconds(size.cpu / 1024, size.memory, seconds)
    return UsageRecord(vcpu_seconds=vcpu, gb_seconds=gigabytes, estimated=True)
