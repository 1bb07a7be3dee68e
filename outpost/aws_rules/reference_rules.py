"""References between stacks."""

import json
from collections.abc import Iterator

from outpost.aws_rules.model import Finding, Rule
from outpost.templates import Templates


def exported_values(templates: Templates) -> Iterator[Finding]:
    """No stack imports what another one exports: neither could change it or leave it out afterwards."""
    for resource in templates.resources:
        for name in _imports(resource.attributes):
            remedy = "Read it from an SSM parameter: CloudFormation refuses to change or delete an export in use"
            yield Finding(resource, "Fn::ImportValue", name, remedy)


def _imports(value: object) -> Iterator[str]:
    """Yield the name of each export that a value imports, at any depth."""
    match value:
        case {"Fn::ImportValue": name}:
            yield name if isinstance(name, str) else json.dumps(name)
        case dict():
            for each in value.values():
                yield from _imports(each)
        case list():
            for each in value:
                yield from _imports(each)


RULES = (
    Rule(
        "no-exported-value",
        "No stack imports what another one exports",
        "CloudFormation User Guide: Get exported outputs from a deployed stack (2026-11); aws-cdk#7602",
        exported_values,
    ),
)
