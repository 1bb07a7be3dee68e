"""A run emits every metric that the templates name, with the dimensions that they name."""

import pytest

from outpost.names import METRIC_DIMENSIONS, Metric
from tests.e2e.conftest import Outpost
from tests.e2e.emitted import emitted
from tests.eventually import eventually


@pytest.mark.full
def test_a_run_emits_every_metric_that_templates_name(outpost: Outpost) -> None:
    """But for what only faults bring about: tests/e2e/test_faults.py, tests/contract/test_audit_trail.py."""
    outpost.ends(outpost.dispatch("echo measured").id)
    wanted = {
        (str(metric), frozenset(dimensions))
        for metric, dimensions in METRIC_DIMENSIONS.items()
        if metric is not Metric.LEASE_EXPIRIES and not metric.startswith("Audit")
    }

    # The planner tells the backlog each minute.
    eventually(lambda: wanted <= emitted(outpost), within=100, what=f"metrics {sorted(name for name, _ in wanted)}")
