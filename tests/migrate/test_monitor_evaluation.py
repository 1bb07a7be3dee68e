"""What the monitor makes of samples: a fault seen is a fault, anything not covered never passes."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from outpost.report import overall
from outpost_migration.monitor.evaluation import baseline, checks, due_checkpoints, figures, proposal
from outpost_migration.monitor.model import Plan, Sample

START = datetime(2026, 11, 1, tzinfo=UTC)
HOUR = Plan(run="r", started_at=START, window_seconds=3600, checkpoints_seconds=(600, 3600))


def healthy(index: int, **changes: object) -> Sample:
    sample = Sample(index=index, healthy=1, requests=10, errors=0, p95_ms=20, v1_dispatches=0)
    return sample.model_copy(update=changes)


def window(**changed: dict[str, object]) -> dict[int, Sample]:
    return {index: healthy(index, **changed.get(f"m{index}", {})) for index in range(60)}


def statuses(samples: dict[int, Sample], count: int = 60) -> dict[str, str]:
    return {check.id: check.status for check in checks(figures(HOUR, samples, count), whole=60)}


def test_a_healthy_and_complete_window_passes() -> None:
    assert set(statuses(window()).values()) == {"pass"}


@given(missing=st.sets(st.integers(0, 59), min_size=1))
def test_a_window_with_gaps_never_passes_and_names_them(missing: set[int]) -> None:
    samples = {index: sample for index, sample in window().items() if index not in missing}
    found = figures(HOUR, samples, 60)
    assert overall(checks(found, whole=60)) == "inconclusive"
    assert sum(int(gap.rpartition("(")[2].rstrip(")")) for gap in found.gaps) == len(missing)


@given(count=st.integers(0, 59))
def test_a_window_that_is_not_over_never_passes(count: int) -> None:
    assert overall(checks(figures(HOUR, window(), count), whole=60)) == "inconclusive"


@given(known=st.sets(st.integers(0, 59), min_size=1), data=st.data())
def test_a_v1_dispatch_seen_fails_whatever_is_missing(known: set[int], data: st.DataObject) -> None:
    guilty = data.draw(st.sampled_from(sorted(known)))
    samples = {index: healthy(index) for index in known}
    samples[guilty] = healthy(guilty, v1_dispatches=1, v1_callers=("arn:somebody",))
    found = figures(HOUR, samples, 60)
    (check,) = (check for check in checks(found, whole=60) if check.id == "v1-dispatches")
    assert check.status == "fail"
    assert "caller: arn:somebody" in check.evidence


def test_silence_of_the_trail_is_no_pass() -> None:
    assert statuses({i: healthy(i, v1_dispatches=None) for i in range(60)})["v1-dispatches"] == "inconclusive"


def test_no_requests_at_all_prove_neither_success_nor_latency() -> None:
    states = statuses({i: healthy(i, requests=0, p95_ms=None) for i in range(60)})
    assert (states["success"], states["latency"], states["errors"]) == ("inconclusive",) * 3
    assert states["availability"] == "pass"


def test_each_threshold_fails_alone() -> None:
    assert statuses(window(m3={"healthy": 0})) == {**statuses(window()), "availability": "fail"}
    slow = {i: healthy(i, p95_ms=600) for i in range(60)}
    assert statuses(slow)["latency"] == "fail"
    failing = {i: healthy(i, errors=1) for i in range(60)}
    assert (statuses(failing)["success"], statuses(failing)["errors"]) == ("fail", "fail")


def test_a_window_without_any_sample_is_inconclusive_throughout() -> None:
    assert set(statuses({}, 0).values()) == {"inconclusive"}


def test_rollback_is_proposed_by_the_three_rules_and_not_by_a_gap() -> None:
    assert proposal(HOUR, window(), 60) is None
    silent = {**window(), **{i: healthy(i, healthy=0) for i in range(55, 60)}}
    found = proposal(HOUR, silent, 60)
    assert found is not None
    assert (found.level, found.reason.partition(",")[0]) == (1, "no healthy target for 5 minutes")
    flapping = proposal(HOUR, window(m50={"healthy": 0}), 60)
    assert flapping is not None
    assert flapping.reason.startswith("availability below 95 %")
    failing = proposal(HOUR, {i: healthy(i, errors=3 if i >= 30 else 0) for i in range(60)}, 60)
    assert failing is not None
    assert failing.reason.startswith("success rate below 80 %")
    gap = {index: sample for index, sample in silent.items() if index != 57}
    assert proposal(HOUR, gap, 60) is None


@given(seconds=st.integers(0, 6000))
def test_a_checkpoint_is_due_only_after_the_delivery_lag(seconds: int) -> None:
    due = due_checkpoints(HOUR, START + timedelta(seconds=seconds))
    assert due == [after for after in (600, 3600) if seconds >= after + 900]


def test_a_baseline_is_of_a_healthy_complete_window_only() -> None:
    found = baseline(HOUR, {i: healthy(i, p95_ms=float(i), requests=1) for i in range(60)})
    assert found is not None
    assert found.latency_ms == {"p50": 29.0, "p95": 56.0, "p99": 59.0}
    assert baseline(HOUR, window(m7={"v1_dispatches": None})) is None
    assert baseline(HOUR, window(m7={"v1_dispatches": 1})) is None
