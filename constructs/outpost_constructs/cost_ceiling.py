"""The ceiling of the monthly cost, as a policy validation of the CDK: an environment above it fails the synth."""

from collections.abc import Sequence

import aws_cdk as cdk
import jsii

from outpost_ops.config import EnvironmentConfig
from outpost_ops.cost.choices import warm_workers
from outpost_ops.cost.estimate import Estimate, estimate
from outpost_ops.templates import Templates, read_templates

RULE = "ceiling"


@jsii.implements(cdk.IPolicyValidationPlugin)
class CostCeiling:
    """Compares the estimate of each environment with `cost.ceiling` of its configuration."""

    def __init__(self, configs: Sequence[EnvironmentConfig]) -> None:
        self._configs = {config.name: config for config in configs}

    @property
    def name(self) -> str:
        """The name in reports."""
        return "OutpostCost"

    @property
    def version(self) -> str:
        """The version in reports."""
        return "1.0.0"

    @property
    def rule_ids(self) -> list[str]:
        """The only rule."""
        return [RULE]

    def validate(self, context: cdk.IPolicyValidationContext) -> cdk.PolicyValidationPluginReport:
        """Estimate each environment of the synthesis."""
        violations = []
        for templates in read_templates(context.template_paths):
            config = self._configs.get(templates.environment)
            found = config and estimate(templates, warm_workers(config))
            if config and found and found.total > config.cost.ceiling:
                violations.append(_violation(found, config, templates))
        return cdk.PolicyValidationPluginReport(success=not violations, violations=violations)


def _violation(found: Estimate, config: EnvironmentConfig, templates: Templates) -> cdk.PolicyViolation:
    """Name file, field, value and remedy; the resource is the dearest one."""
    dearest = found.lines[0]
    resource = next(each for each in templates.resources if each.place == dearest.resource)
    most = ", ".join(f"{line.resource} {line.usd:.2f} ({line.what})" for line in found.lines[:4])
    return cdk.PolicyViolation(
        rule_name=RULE,
        description=(
            f"config/{config.name}.toml: cost.ceiling is {config.cost.ceiling}; allowed: the estimate, "
            f"{found.total:.2f} USD a month, or more. Raise it, or leave out what costs most: {most}. "
            f"`outpost cost --env {config.name}` shows what each choice costs"
        ),
        severity="error",
        violating_resources=[
            cdk.PolicyViolatingResource(
                resource_logical_id=resource.logical_id, template_path=resource.file, locations=[]
            )
        ],
    )
