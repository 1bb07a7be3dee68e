"""Thousands of schedules, and what they have met: every call each cut, every fault each state, or it is named."""

import multiprocessing

import pytest

from tests.simulation.coverage import NAMED, Coverage
from tests.simulation.soak import CHUNK, run_seeds

COVERED = range(1_000, 3_500)
"""Seeds whose schedules together meet every pair of what can meet."""
MORE = range(3_500, 11_000)
"""Seeds whose schedules run in parts, for the runners to share."""
PART = 500
LONG_OUTAGES = 40
"""Schedules with outages of two or six hours."""


@pytest.mark.full
@pytest.mark.timeout(1_800)
def test_thousands_of_schedules_violate_no_invariant_and_leave_no_unnamed_hole() -> None:
    met, failed = Coverage(), list[str]()
    chunks = [(start, min(start + CHUNK, COVERED.stop), False) for start in COVERED[::CHUNK]]
    chunks += [(start, start + 10, True) for start in range(10, 10 + LONG_OUTAGES, 10)]
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        for failures, counted in pool.imap_unordered(run_seeds, chunks):
            met.add(counted)
            failed += [f"seed {seed}: {text}" for seed, text in failures]
    assert not failed
    unnamed = [hole for hole in met.holes() if hole not in NAMED]
    assert not unnamed, met.describe()


@pytest.mark.full
@pytest.mark.timeout(600)
@pytest.mark.parametrize("first", MORE[::PART])
def test_more_schedules_violate_no_invariant(first: int) -> None:
    failed, _ = run_seeds((first, first + PART, False))
    assert not failed
