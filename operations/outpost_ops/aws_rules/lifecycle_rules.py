"""What a second deploy, a rollback or a replacement meets: policies of deletion, fixed names, read-only properties."""

from collections.abc import Iterator

from outpost_ops.aws_rules.model import Finding, rule
from outpost_ops.aws_rules.resource_schemas import create_only, custom_name, read_only
from outpost_ops.aws_rules.values import is_literal, values_at
from outpost_ops.templates import Templates

_TEMPLATE_REFERENCE = "CloudFormation Template Reference"
_SCHEMAS = "CloudFormation's resource schemas, as cfn-lint ships them"

_NAMED_WITHIN_ANOTHER = {"AWS::ApplicationAutoScaling::ScalingPolicy", "AWS::ECS::Service"}
"""Types whose names are unique within the resource that they refer to: a new one of those brings a new scope."""


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
                if not is_literal(value) and any(True for _ in templates.targets(value, resource.stack)):
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
        for name in ("DeletionProtectionEnabled", "DeletionProtection"):
            if resource.properties.get(name) is True:
                yield Finding(resource, name, True, "Protect it after the create: its rollback could not delete it")
        for n, attribute in enumerate(resource.properties.get("LoadBalancerAttributes", [])):
            if attribute == {"Key": "deletion_protection.enabled", "Value": "true"}:
                place = f"LoadBalancerAttributes[{n}]"
                yield Finding(resource, place, "true", "Protect it after the create: its rollback could not delete it")


@rule(
    "named-survivor",
    f"{_TEMPLATE_REFERENCE}: DeletionPolicy attribute; Secrets Manager: DeleteSecret, recovery window (2026-11)",
)
def named_survivors(templates: Templates) -> Iterator[Finding]:
    """What outlives its stack, and every secret, has a generated name."""
    for resource in templates.resources:
        survives = str(resource.attributes.get("DeletionPolicy", "Delete")) != "Delete"
        name = custom_name(resource.type)
        if name and is_literal(resource.properties.get(name)):
            value = resource.properties[name]
            if resource.type == "AWS::SecretsManager::Secret":
                remedy = f"Leave {name} out: a deleted secret keeps its name for its recovery window of 7 to 30 days"
                yield Finding(resource, name, value, remedy)
            elif survives:
                remedy = f"Leave {name} out: the one that stays after a deletion keeps the next deploy from creating it"
                yield Finding(resource, name, value, remedy)


@rule("scaled-desired-count", "ECS Developer Guide: Automatically scale your service; ECS API: UpdateService (2026-11)")
def scaled_counts(templates: Templates) -> Iterator[Finding]:
    """A service that scales by itself has no DesiredCount."""
    for scaled in templates.of_type("AWS::ApplicationAutoScaling::ScalableTarget"):
        for service in templates.targets(scaled.properties.get("ResourceId"), scaled.stack):
            if service.type == "AWS::ECS::Service" and "DesiredCount" in service.properties:
                count = service.properties["DesiredCount"]
                yield Finding(service, "DesiredCount", count, f"Leave it out: {scaled.place} decides it")
