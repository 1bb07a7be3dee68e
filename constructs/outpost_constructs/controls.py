"""OutpostControls: our rules over the templates, as a policy validation of the CDK. A finding fails the synth."""

import aws_cdk as cdk
import jsii

from outpost_ops.controls.catalogue import Control
from outpost_ops.controls.rules import Finding, findings
from outpost_ops.templates import read_templates


@jsii.implements(cdk.IPolicyValidationPlugin)
class OutpostControls:
    """Runs `outpost_ops.controls.rules` on every environment; the report names resource, template and what is wrong."""

    @property
    def name(self) -> str:
        """The name in reports, and of acknowledgements: none is ever given for a control."""
        return "OutpostControls"

    @property
    def version(self) -> str:
        """The version in reports."""
        return "1.0.0"

    @property
    def rule_ids(self) -> list[str]:
        """The ids of the rules: one for each control."""
        return list(Control)

    def validate(self, context: cdk.IPolicyValidationContext) -> cdk.PolicyValidationPluginReport:
        """Check the templates of the synthesis."""
        violations = [
            _violation(finding)
            for templates in read_templates(context.template_paths)
            for finding in findings(templates)
        ]
        return cdk.PolicyValidationPluginReport(success=not violations, violations=violations)


def _violation(finding: Finding) -> cdk.PolicyViolation:
    return cdk.PolicyViolation(
        rule_name=finding.control,
        description=f"{finding.control.demand}: {finding.resource.place} {finding.message}",
        severity="error",
        violating_resources=[
            cdk.PolicyViolatingResource(
                resource_logical_id=finding.resource.logical_id, template_path=finding.resource.file, locations=[]
            )
        ],
    )
