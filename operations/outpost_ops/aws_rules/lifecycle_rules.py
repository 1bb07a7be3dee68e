"""What a second deploy, a rollback or a replacement meets: references, fixed names, policies of deletion."""

import json
from collections.abc import Iterator

from outpost_ops.aws_rules.model import Finding, rule
from outpost_ops.aws_rules.resource_schemas import create_only, custom_name, read_only
from outpost_ops.aws_rules.values import is_literal
from outpost_ops.templates import Templates, values_at

_TEMPLATE_REFERENCE = "CloudFormation Template Reference"
_SCHEMAS = "CloudFormation's resource schemas, as cfn-lint ships them"

_NAMED_WITHIN_ANOTHER = {"AWS::ApplicationAutoScaling::ScalingPolicy", "AWS::ECS::Service"}
"""Types whose names are unique within the resource that they refer to: a new one of those brings a new scope."""
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


@rule("read-only-property", f"{_SCHEMAS}: readOnlyProperties")
def read_only_properties(templates: Templates) -> Iterator[Finding]:
    """No property is set that only AWS sets."""
    for resource in templates.resources:
        for path in read_only(resource.type):
            if len(path) == 1 and path[0] in resource.properties:
                yield Finding(resource, path[0], resource.properties[path[0]], "Leave it out: AWS sets it")


@rule("replaced-under-its-name", f"{_SCHEMAS}: createOnlyProperties; CloudFormation User Guide: Name type (2026-11)")
def replaced_under_its_name(templates: Templates) -> Iterator[Finding]:
    """A resource with a fixed name is not replaced when another resource is."""
    for resource in templates.resources:
        name = custom_name(resource.type)
        if name is None or not is_literal(resource.properties.get(name)) or resource.type in _NAMED_WITHIN_ANOTHER:
            continue
        for path in create_only(resource.type):
            for value in values_at(resource.properties, ".".join(path)) if path[0] != name else ():
                if not is_literal(value) and any(True for _ in resource.targets(value)):
                    remedy = f"Leave {name} out: when {path[0]} changes, CloudFormation cannot make a second one first"
                    yield Finding(resource, ".".join(path), resource.properties[name], remedy)


@rule("retained-on-create", f"{_TEMPLATE_REFERENCE}: DeletionPolicy attribute, RetainExceptOnCreate (2026-11)")
def retained_on_create(templates: Templates) -> Iterator[Finding]:
    """What stays when its stack is deleted goes when its first create fails."""
    for resource in templates.resources:
        if resource.attributes.get("DeletionPolicy") == "Retain":
            remedy = "Set RetainExceptOnCreate: a failed first create would leave it behind"
            yield Finding(resource, "DeletionPolicy", "Retain", remedy)


@rule(
    "protected-on-create", "DynamoDB: Using deletion protection; Elastic Load Balancing: Deletion protection (2026-11)"
)
def protected_on_create(templates: Templates) -> Iterator[Finding]:
    """Nothing is created with deletion protection, which the rollback of a failed create cannot lift."""
    for resource in templates.resources:
        found = {each: resource.properties.get(each) for each in ("DeletionProtectionEnabled", "DeletionProtection")}
        for n, attribute in enumerate(resource.properties.get("LoadBalancerAttributes", [])):
            if attribute.get("Key") == "deletion_protection.enabled":
                found[f"LoadBalancerAttributes[{n}]"] = attribute.get("Value")
        for place, value in found.items():
            if value in (True, "true"):
                yield Finding(resource, place, value, "Protect it after the create: its rollback could not delete it")


@rule(
    "named-survivor",
    f"{_TEMPLATE_REFERENCE}: DeletionPolicy attribute; Secrets Manager: DeleteSecret, recovery window (2026-11)",
)
def named_survivors(templates: Templates) -> Iterator[Finding]:
    """What outlives its stack, and every secret, has a generated name."""
    for resource in templates.resources:
        name = custom_name(resource.type)
        if name and is_literal(resource.properties.get(name)):
            why = ""
            if resource.type == "AWS::SecretsManager::Secret":
                why = "a deleted secret keeps its name for its recovery window of 7 to 30 days"
            elif resource.attributes.get("DeletionPolicy", "Delete") != "Delete":
                why = "the one that stays after a deletion keeps the next deploy from creating it"
            if why:
                yield Finding(resource, name, resource.properties[name], f"Leave {name} out: {why}")


@rule("scaled-desired-count", "ECS Developer Guide: Automatically scale your service; ECS API: UpdateService (2026-11)")
def scaled_counts(templates: Templates) -> Iterator[Finding]:
    """A service that scales by itself has no DesiredCount."""
    for scaled in templates.of_type("AWS::ApplicationAutoScaling::ScalableTarget"):
        for service in scaled.targets(scaled.properties.get("ResourceId")):
            if service.type == "AWS::ECS::Service" and "DesiredCount" in service.properties:
                count = service.properties["DesiredCount"]
                yield Finding(service, "DesiredCount", count, f"Leave it out: {scaled.place} decides it")


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
