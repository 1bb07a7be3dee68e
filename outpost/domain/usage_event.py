"""What ended dispatches used: an event each on the account's bus, and sums by day, tenant, agent, model and tag."""

from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass, replace
from datetime import date, datetime
from typing import Literal

from outpost.domain.agents import CATALOGUE, Agent
from outpost.domain.dispatch import Dispatch, Kind, Status, Usage
from outpost.domain.reasons import ReasonCode
from outpost.domain.usage import compute_seconds
from outpost.domain.value import CamelValue

MILLI = 1_000
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


@dataclass(frozen=True)
class Totals:
    """Sums over ended dispatches; whole numbers, so that counters can hold them."""

    dispatches: int = 0
    unpriced: int = 0
    """Those of which the cost is not known: a model has no price."""
    input_tokens: int = 0
    cached_input_tokens: int = 0
    output_tokens: int = 0
    model_calls: int = 0
    cost_micros: int = 0
    """Micro-dollars, as charged."""
    run_millis: int = 0
    """Milliseconds that agents ran."""
    vcpu_millis: int = 0
    """Thousandths of vCPU-seconds."""
    gb_millis: int = 0
    """Thousandths of GB-seconds."""

    def __add__(self, other: "Totals") -> "Totals":
        """Return the sum."""
        return Totals(*(mine + theirs for mine, theirs in zip(astuple(self), astuple(other), strict=True)))


@dataclass(frozen=True)
class Entry:
    """The totals of one day, tenant, agent and model, and where asked for of one value of a tag; None: all of them."""

    totals: Totals
    day: date | None = None
    tenant: str | None = None
    agent: Agent | None = None
    model: str | None = None
    """None as well for agents without one."""
    tag: str | None = None
    """The tag's value."""


def entry_of(row: Dispatch) -> Entry:
    """Return what an ended dispatch adds. Raises `ValueError` for one that has not ended."""
    if row.ended_at is None:
        raise ValueError(f"dispatch {row.id} is {row.status}: it has not ended")
    used, charges = usage_record(row, row.ended_at), row.charges
    totals = Totals(
        dispatches=1,
        unpriced=int(charges is None),
        input_tokens=used.input_tokens,
        cached_input_tokens=used.cached_input_tokens,
        output_tokens=used.output_tokens,
        model_calls=used.model_calls,
        cost_micros=sum((charges or {}).values()),
        run_millis=round(used.duration_seconds * MILLI),
        vcpu_millis=round(used.vcpu_seconds * MILLI),
        gb_millis=round(used.gb_seconds * MILLI),
    )
    return Entry(totals, row.ended_at.date(), row.tenant_id, row.spec.agent, row.spec.model_id)


def grouped(entries: Iterable[Entry], by: Sequence[str]) -> list[Entry]:
    """Return the sums of entries that agree in the fields named, sorted by these fields in their order."""
    sums: dict[tuple[str, ...], Entry] = {}
    for entry in entries:
        fields = {name: getattr(entry, name) for name in by}
        key = tuple("" if value is None else str(value) for value in fields.values())
        before = sums.get(key, Entry(Totals(), **fields))
        sums[key] = replace(before, totals=before.totals + entry.totals)
    return [sums[key] for key in sorted(sums)]
