"""From samples to figures, checks, checkpoints, proposals and a baseline. Pure: the time is an argument."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import groupby

from outpost.report import Check
from outpost_migration.monitor.model import Baseline, Figures, Plan, Proposal, Sample

AVAILABILITY, SUCCESS, P95_MS, ERRORS = 0.999, 0.95, 500.0, 0.05
"""What a window must reach: availability at least, success above, 95th percentile below, error rate below."""
Samples = Mapping[int, Sample]


def figures(plan: Plan, samples: Samples, count: int) -> Figures:
    """Return what the first `count` periods amount to."""
    known = [samples[index] for index in range(count) if index in samples]
    complete = [sample for sample in known if sample.covered]
    seen = [sample for sample in known if sample.healthy is not None]
    error_rate = _error_rate(seen)
    return Figures(
        since=plan.started_at,
        until=plan.at(count),
        expected=count,
        samples=len(complete),
        coverage=len(complete) / count if count else 0.0,
        gaps=_gaps(plan, {sample.index for sample in complete}, count),
        down=sum(not _up(sample) for sample in seen),
        availability=_availability(seen) if seen else None,
        success_rate=None if error_rate is None else 1 - error_rate,
        error_rate=error_rate,
        p95_ms=_percentile([(s.p95_ms, s.requests) for s in seen if s.p95_ms is not None], 95),
        requests=sum(sample.requests for sample in seen),
        v1_dispatches=sum(sample.v1_dispatches or 0 for sample in known),
        v1_callers=sorted({caller for sample in known for caller in sample.v1_callers}),
    )


def checks(found: Figures, *, whole: int) -> list[Check]:
    """Compare a stretch with the thresholds; `whole` is the number of periods that it must cover to pass.

    A fault seen is a fault, however little is covered. Anything else passes only when nothing is missing.
    """
    holds = True if found.samples >= whole > 0 else None
    span = f"{found.since:%Y-%m-%d %H:%M:%S} to {found.until:%Y-%m-%d %H:%M:%S} UTC, {found.samples} of {whole} samples"
    targets, requests = "of periods with a healthy target", f"of {found.requests} requests"
    latency = "no data" if found.p95_ms is None else f"{found.p95_ms:.1f} ms"
    availability, success, errors = found.availability, found.success_rate, found.error_rate
    bad_availability = found.down > (1 - AVAILABILITY) * whole + 1e-9
    rates: tuple[tuple[str, str, float | None, Callable[[float], bool], str], ...] = (
        (
            "availability",
            f"Availability at least {AVAILABILITY:.1%}",
            availability,
            lambda _: bad_availability,
            f"{_percent(availability)} {targets}",
        ),
        ("success", f"Success rate above {SUCCESS:.0%}", success, SUCCESS.__ge__, f"{_percent(success)} {requests}"),
        ("latency", f"95th percentile below {P95_MS:.0f} ms", found.p95_ms, P95_MS.__le__, latency),
        ("errors", f"Error rate below {ERRORS:.0%}", errors, ERRORS.__le__, f"{_percent(errors)} {requests}"),
    )
    return [
        _check("coverage", "Every period has a complete sample", holds, [span, *found.gaps[:5]]),
        *(
            _check(id_, title, None if value is None else False if bad(value) else holds, [f"{text}; {span}"])
            for id_, title, value, bad, text in rates
        ),
        _check(
            "v1-dispatches",
            "No dispatch by v1",
            False if found.v1_dispatches else holds,
            [f"{found.v1_dispatches} SendCommand dispatches; {span}", *(f"caller: {c}" for c in found.v1_callers)],
        ),
    ]


def _percent(share: float | None) -> str:
    return "no data" if share is None else f"{share * 100:.3f} %"


def _check(id_: str, title: str, holds: bool | None, evidence: Sequence[str]) -> Check:
    remedy = "See `outpost migrate monitor` and the environment's dashboard; the decision table is in the runbook."
    return Check.of(id_, title, holds, evidence, remedy)


def proposal(plan: Plan, samples: Samples, count: int) -> Proposal | None:
    """Return the rollback that the last samples call for, if they do; a gap calls for nothing but attention."""
    for minutes, is_broken, reason in _RULES:
        length = max(1, minutes * 60 // plan.period_seconds)
        last = [samples[i] for i in range(max(0, count - length), count) if i in samples]
        seen = [sample for sample in last if sample.healthy is not None]
        if len(seen) == length and is_broken(seen):
            return Proposal(level=1, reason=f"{reason}, until {plan.at(count):%Y-%m-%d %H:%M} UTC")
    return None


def _availability(seen: Sequence[Sample]) -> float:
    return sum(_up(sample) for sample in seen) / len(seen)


def _error_rate(seen: Sequence[Sample]) -> float | None:
    requests = sum(sample.requests for sample in seen)
    return sum(sample.errors for sample in seen) / requests if requests else None


_RULES: tuple[tuple[int, Callable[[Sequence[Sample]], bool], str], ...] = (
    (5, lambda last: _availability(last) == 0, "no healthy target for 5 minutes"),
    (15, lambda last: _availability(last) < 0.95, "availability below 95 % for 15 minutes"),
    (30, lambda last: 1 - (_error_rate(last) or 0.0) < 0.80, "success rate below 80 % for 30 minutes"),
)
"""Minutes, whether their samples call for a rollback, and why."""


def due_checkpoints(plan: Plan, now: datetime) -> list[int]:
    """Return the checkpoints (seconds after the start) that can be evaluated now."""
    delay = max(plan.lag_seconds, plan.metric_delay_seconds)
    return [after for after in plan.checkpoints_seconds if plan.due(now, delay) * plan.period_seconds >= after]


def baseline(plan: Plan, samples: Samples) -> Baseline | None:
    """Return the percentiles of the whole window, or None unless it was healthy and complete."""
    found = figures(plan, samples, plan.expected)
    if any(check.status != "pass" for check in checks(found, whole=plan.expected)):
        return None
    every = [samples[index] for index in range(plan.expected)]
    latencies = [(s.p95_ms, s.requests) for s in every if s.p95_ms is not None]
    counts = [(float(s.requests), 1) for s in every]
    return Baseline(
        since=found.since,
        until=found.until,
        samples=found.samples,
        requests=found.requests,
        availability=found.availability or 0.0,
        error_rate=found.error_rate or 0.0,
        latency_ms={f"p{q}": _percentile(latencies, q) or 0.0 for q in (50, 95, 99)},
        requests_per_period={f"p{q}": _percentile(counts, q) or 0.0 for q in (50, 95, 99)},
    )


def _up(sample: Sample) -> bool:
    return sample.healthy is not None and sample.healthy >= 1


def _percentile(values: Iterable[tuple[float, int]], percent: int) -> float | None:
    """The smallest value below or at which that share of the weight lies; a period weighs as much as its requests."""
    ordered = sorted((value, max(weight, 1)) for value, weight in values)
    total, reached = sum(weight for _, weight in ordered), 0
    for value, weight in ordered:
        reached += weight
        if reached * 100 >= total * percent:
            return value
    return None


def _gaps(plan: Plan, complete: set[int], count: int) -> list[str]:
    missing = [index for index in range(count) if index not in complete]
    return [
        f"{plan.at(part.start):%Y-%m-%d %H:%M:%S} to {plan.at(part.stop):%H:%M:%S} UTC ({len(part)})"
        for part in stretches(missing)
    ]


def stretches(indexes: Iterable[int]) -> Iterator[range]:
    """Yield each run of consecutive numbers of a sorted sequence."""
    for _, run in groupby(enumerate(indexes), lambda pair: pair[1] - pair[0]):
        found = [index for _, index in run]
        yield range(found[0], found[-1] + 1)
