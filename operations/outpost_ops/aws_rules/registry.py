"""All rules, and what they find in an environment."""

from collections.abc import Iterator
from typing import NamedTuple

from outpost_ops.aws_rules import (
    condition_rules,
    encryption_rules,
    event_rules,
    firewall_rules,
    iam_rules,
    lifecycle_rules,
    monitoring_rules,
    network_rules,
    order_rules,
    permission_rules,
    reference_rules,
    service_models,
    size_rules,
    storage_rules,
    trust_rules,
    workload_rules,
)
from outpost_ops.aws_rules.model import Finding, Rule
from outpost_ops.templates import Templates

RULES: tuple[Rule, ...] = (
    *reference_rules.RULES,
    *lifecycle_rules.RULES,
    *order_rules.RULES,
    *size_rules.RULES,
    *service_models.RULES,
    *iam_rules.RULES,
    *condition_rules.RULES,
    *trust_rules.RULES,
    *permission_rules.RULES,
    *encryption_rules.RULES,
    *event_rules.RULES,
    *network_rules.RULES,
    *storage_rules.RULES,
    *firewall_rules.RULES,
    *monitoring_rules.RULES,
    *workload_rules.RULES,
)


class Violation(NamedTuple):
    """A rule, and what breaks it."""

    rule: Rule
    finding: Finding


def violations(templates: Templates) -> Iterator[Violation]:
    """Yield everything in an environment's templates that breaks a rule."""
    for rule in RULES:
        for finding in rule.check(templates):
            yield Violation(rule, finding)
