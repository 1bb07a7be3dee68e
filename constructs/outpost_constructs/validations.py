"""Our rules over the synthesized templates, as policy validations of the CDK: a finding fails the synth."""

from collections.abc import Iterator, Sequence
from typing import ClassVar

import aws_cdk as cdk
import jsii

from outpost_ops.aws_rules.registry import RULES, violations
from outpost_ops.config import EnvironmentConfig
from outpost_ops.controls.catalogue import Control
from outpost_ops.controls.rules import findings
from outpost_ops.cost.estimate import estimate, warm_workers
from outpost_ops.templates import Resource, Templates, read_templates


@jsii.implements(cdk.IPolicyValidationPlugin)
class _TemplateRules:
    """Checks every environment; the report names resource, template and what is wrong."""

    _name: ClassVar[str]
    _rules: ClassVar[list[str]]

    @property
    def name(self) -> str:
        """The name in reports, and of acknowledgements: none is ever given for these rules."""
        return self._name

    @property
    def version(self) -> str:
        """The version in reports."""
        return "1.0.0"

    @property
    def rule_ids(self) -> list[str]:
        """The ids of the rules."""
        return self._rules

    def validate(self, context: cdk.IPolicyValidationContext) -> cdk.PolicyValidationPluginReport:
        """Check the templates of the synthesis."""
        found = [each for templates in read_templates(context.template_paths) for each in self._check(templates)]
        return cdk.PolicyValidationPluginReport(success=not found, violations=found)

    def _check(self, templates: Templates) -> Iterator[cdk.PolicyViolation]:
        """Yield what is wrong in an environment's templates."""
        raise NotImplementedError


class OutpostControls(_TemplateRules):
    """The seven controls, `outpost_ops.controls.rules`: one rule for each."""

    _name, _rules = "OutpostControls", list(Control)

    def _check(self, templates: Templates) -> Iterator[cdk.PolicyViolation]:
        for control, resource, message in findings(templates):
            yield _violation(control, f"{control.demand}: {resource.place} {message}", resource)


class AwsRules(_TemplateRules):
    """What AWS would refuse, `outpost_ops.aws_rules`; the report names property, value and remedy too."""

    _name, _rules = "OutpostAwsRules", [rule.id for rule in RULES]

    def _check(self, templates: Templates) -> Iterator[cdk.PolicyViolation]:
        for rule, finding in violations(templates):
            text = f"{rule.title}. {finding.text} ({rule.source})"
            yield _violation(rule.id, text, finding.resource, [finding.path] if finding.path else [])


class CostCeiling(_TemplateRules):
    """Compares the estimate of the monthly cost with `cost.ceiling` of the configuration."""

    _name, _rules = "OutpostCost", ["ceiling"]

    def __init__(self, configs: Sequence[EnvironmentConfig]) -> None:
        self._configs = {config.name: config for config in configs}

    def _check(self, templates: Templates) -> Iterator[cdk.PolicyViolation]:
        """Name file, field, value and remedy; the resource is the dearest one."""
        config = self._configs.get(templates.environment)
        found = config and estimate(templates, warm_workers(config))
        if not config or not found or found.total <= config.cost.ceiling:
            return
        resource = next(each for each in templates.resources if each.place == found.lines[0].resource)
        most = ", ".join(f"{line.resource} {line.usd:.2f} ({line.what})" for line in found.lines[:4])
        text = (
            f"config/{config.name}.toml: cost.ceiling is {config.cost.ceiling}; allowed: the estimate, "
            f"{found.total:.2f} USD a month, or more. Raise it, or leave out what costs most: {most}. "
            f"`outpost cost --env {config.name}` shows what each choice costs"
        )
        yield _violation("ceiling", text, resource)


def _violation(rule: str, text: str, resource: Resource, locations: Sequence[str] = ()) -> cdk.PolicyViolation:
    violating = cdk.PolicyViolatingResource(
        resource_logical_id=resource.logical_id, template_path=resource.file, locations=list(locations)
    )
    return cdk.PolicyViolation(rule_name=rule, description=text, severity="error", violating_resources=[violating])
