"""The estimate of the idle environment stands beside the ceiling of the configuration."""

import pytest

from outpost_ops.config import load
from outpost_ops.cost.estimate import estimate, warm_workers
from outpost_ops.doctor.cost import check_cost
from outpost_ops.doctor.finding import Level
from outpost_ops.templates import Templates
from tests.doctor.conftest import ROOT


@pytest.mark.parametrize(("above", "level"), [(1, Level.OK), (-1, Level.FAILURE)])
def test_the_monthly_cost_is_compared_with_the_ceiling(templates: Templates, above: int, level: Level) -> None:
    prod = load(ROOT / "config" / "prod.toml")
    total = estimate(templates, warm_workers(prod)).total
    config = prod.model_copy(update={"cost": prod.cost.model_copy(update={"ceiling": int(total) + above})})

    (finding,) = check_cost(config, templates)

    assert (finding.check, finding.level) == ("cost", level)
    assert finding.message == f"idle {total:.2f} USD a month at list prices, cost.ceiling is {int(total) + above}"
    assert ("outpost cost --env prod" in finding.remedy) == (level is Level.FAILURE)
