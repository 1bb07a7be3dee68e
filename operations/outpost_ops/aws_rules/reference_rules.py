"""References between stacks."""

import json
from collections.abc import Iterator

from outpost_ops.aws_rules.model import Finding, rule
from outpost_ops.aws_rules.resource_schemas import custom_name
from outpost_ops.aws_rules.values import is_literal
from outpost_ops.templates import Templates

_NOT_UNIQUE = {"AWS::ApplicationAutoScaling::ScalingPolicy", "AWS::IAM::Policy", "AWS::Logs::MetricFilter"}
"""Types whose names are unique within another resource only."""


@rule(
    "no-exported-value", "CloudFormation User Guide: Get exported outputs from a deployed stack (2026-11); aws-cdk#7602"
)
def exported_values(templates: Templates) -> Iterator[Finding]:
    """No stack imports what another one exports."""
    for resource in templates.resources:
        for name in _imports(resource.attributes):
            remedy = "Read it from an SSM parameter: CloudFormation refuses to change or delete an export in use"
            yield Finding(resource, "Fn::ImportValue", name, remedy)


@rule("published-parameter", "CloudFormation User Guide: SSM parameter types (2026-11)")
def unpublished_parameters(templates: Templates) -> Iterator[Finding]:
    """Each parameter that a stack reads of the environment is published by another stack."""
    own = f"/outpost/{templates.environment}/"
    published = {parameter.properties.get("Name") for parameter in templates.of_type("AWS::SSM::Parameter")}
    for stack, template in templates.stacks.items():
        for name, parameter in template.get("Parameters", {}).items():
            read = str(parameter.get("Default", ""))
            if "AWS::SSM::Parameter" in parameter["Type"] and read.startswith(own) and read not in published:
                reader = next(each for each in templates.resources if each.stack == stack)
                yield Finding(reader, f"Parameters.{name}", read, "No stack of the environment publishes it")


@rule("unique-name", "CloudFormation User Guide: Name type (2026-11)")
def shared_names(templates: Templates) -> Iterator[Finding]:
    """No two resources of a type have the same fixed name."""
    seen: dict[tuple[str, object], str] = {}
    for resource in templates.resources:
        name = custom_name(resource.type)
        value = resource.properties.get(name or "")
        if value is None or not is_literal(value) or resource.type in _NOT_UNIQUE:
            continue
        other = seen.setdefault((resource.type, value), resource.place)
        if other != resource.place:
            yield Finding(resource, str(name), value, f"{other} has the name as well: leave it out of one of them")


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
