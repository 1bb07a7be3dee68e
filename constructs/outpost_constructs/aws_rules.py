"""The rules of `outpost_ops.aws_rules` as a policy validation of the CDK: what AWS would refuse fails the synth."""

import aws_cdk as cdk
import jsii

from outpost_ops.aws_rules.registry import RULES, Violation, violations
from outpost_ops.templates import read_templates


@jsii.implements(cdk.IPolicyValidationPlugin)
class AwsRules:
    """Runs every rule on every environment; the report names resource, property, value and remedy."""

    @property
    def name(self) -> str:
        """The name in reports."""
        return "OutpostAwsRules"

    @property
    def version(self) -> str:
        """The version in reports."""
        return "1.0.0"

    @property
    def rule_ids(self) -> list[str]:
        """The ids of the rules."""
        return [rule.id for rule in RULES]

    def validate(self, context: cdk.IPolicyValidationContext) -> cdk.PolicyValidationPluginReport:
        """Check the templates of the synthesis."""
        found = [
            _violation(violation)
            for templates in read_templates(context.template_paths)
            for violation in violations(templates)
        ]
        return cdk.PolicyValidationPluginReport(success=not found, violations=found)


def _violation(violation: Violation) -> cdk.PolicyViolation:
    rule, finding = violation
    return cdk.PolicyViolation(
        rule_name=rule.id,
        description=f"{rule.title}. {finding.text} ({rule.source})",
        severity="error",
        violating_resources=[
            cdk.PolicyViolatingResource(
                resource_logical_id=finding.resource.logical_id,
                template_path=finding.resource.file,
                locations=[finding.path] if finding.path else [],
            )
        ],
    )
