"""All rules, and what they find in an environment."""

from collections.abc import Iterator

from outpost_ops.aws_rules import (
    encryption_rules,
    event_rules,
    iam_rules,
    lifecycle_rules,
    monitoring_rules,
    network_rules,
    order_rules,
    role_rules,
    service_models,
    size_rules,
    storage_rules,
    workload_rules,
)
from outpost_ops.aws_rules.model import Finding, Rule
from outpost_ops.templates import Templates

_THEMES = (
    lifecycle_rules,
    order_rules,
    size_rules,
    service_models,
    iam_rules,
    role_rules,
    encryption_rules,
    event_rules,
    network_rules,
    storage_rules,
    monitoring_rules,
    workload_rules,
)
RULES = tuple(each for theme in _THEMES for each in vars(theme).values() if isinstance(each, Rule))


def violations(templates: Templates) -> Iterator[tuple[Rule, Finding]]:
    """Yield each rule that an environment's templates break, with what breaks it."""
    for rule in RULES:
        for finding in rule.check(templates):
            yield rule, finding
