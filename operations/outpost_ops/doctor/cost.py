"""What the idle environment costs a month, beside what the configuration allows."""

from collections.abc import Iterator

from outpost_ops.config import EnvironmentConfig
from outpost_ops.cost.estimate import estimate, warm_workers
from outpost_ops.doctor.finding import Finding, Level
from outpost_ops.templates import Templates


def check_cost(config: EnvironmentConfig, templates: Templates) -> Iterator[Finding]:
    """The estimate at list prices, in USD a month, is within `cost.ceiling`; above it no synth succeeds."""
    found, ceiling = estimate(templates, warm_workers(config)), config.cost.ceiling
    message = f"idle {found.total:.2f} USD a month at list prices, cost.ceiling is {ceiling}"
    if found.total <= ceiling:
        yield Finding("cost", Level.OK, message)
    else:
        remedy = f"outpost cost --env {config.name} prices each choice; or raise cost.ceiling"
        yield Finding("cost", Level.FAILURE, message, remedy)
