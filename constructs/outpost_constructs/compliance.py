"""cdk-nag's packs: AwsSolutions as a gate, NIST 800-53 R5 as figures to watch."""

from collections import Counter

import cdk_nag
from aws_cdk import App, Stage, Validations


def add_gate(app: App) -> None:
    """Let every finding of AwsSolutions that nobody acknowledged fail the synth."""
    Validations.of(app).add_plugins(cdk_nag.AwsSolutionsChecks(app))


def nist_findings(stage: Stage) -> Counter[str]:
    """Count the findings of NIST 800-53 R5 in an environment, by rule; needs no synth."""
    violations = cdk_nag.NIST80053R5Checks().validate_scope(stage).violations
    found: Counter[str] = Counter()
    for violation in violations:
        found[violation.rule_name.removeprefix("NIST.800.53.R5-")] += len(violation.violating_resources)
    return found
