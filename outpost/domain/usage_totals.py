"""What dispatches used, added up by day, tenant, agent, model and tag. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass, replace
from datetime import date

from outpost.domain.agents import Agent
from outpost.domain.dispatch import Dispatch
from outpost.domain.usage_event import usage_record

MILLI = 1_000


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
