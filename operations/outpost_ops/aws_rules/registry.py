"""All rules, and what they find in an environment."""

from collections.abc import Iterator
from typing import NamedTuple

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


class Violation(NamedTuple):
    """A rule, and what breaks it."""

    rule: Rule
    finding: Finding


def violations(templates: Templates) -> Iterator[Violation]:
    """Yield everything in an environment's templates that breaks a rule."""
    for rule in RULES:
        for finding in rule.check(templates):
            yield Violation(rule, finding)
