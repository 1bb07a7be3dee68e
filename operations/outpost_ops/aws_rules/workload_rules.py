"""Tags, user data and containers: limits that no schema has."""

from collections import Counter
from collections.abc import Iterator

from outpost_ops.aws_rules.model import Finding, rule
from outpost_ops.aws_rules.values import text_of
from outpost_ops.templates import Templates, values_at

_TAGS = 50
_KEY, _VALUE = 128, 256
_USER_DATA_BYTES = 16_384
_STOP_TIMEOUT = 120
_CONTAINERS = 10
_FILTERS = 5
_RESERVABLE = 900


@rule("tags", "AWS General Reference: Tagging (2026-11)")
def tags(templates: Templates) -> Iterator[Finding]:
    """The tags of a resource have keys of their own and fit."""
    for resource in templates.resources:
        listed = resource.properties.get("Tags", [])
        if not isinstance(listed, list):
            continue
        if len(listed) > _TAGS:
            yield Finding(resource, "Tags", f"{len(listed)} tags", f"Allowed: {_TAGS}")
        for key, count in Counter(str(tag.get("Key")) for tag in listed).items():
            if count > 1 or key.lower().startswith("aws:") or len(key) > _KEY:
                yield Finding(
                    resource, "Tags", key, f"Allowed: each key once, {_KEY} characters, not beginning with aws:"
                )
        for tag in listed:
            if len(text_of(tag.get("Value", ""), resource)) > _VALUE:
                yield Finding(resource, "Tags", tag["Key"], f"Allowed: values of {_VALUE} characters")


@rule("user-data-size", "EC2 User Guide: Run commands when you launch an instance (2026-11)")
def user_data(templates: Templates) -> Iterator[Finding]:
    """The user data of an instance fits into 16 KB."""
    for kind, path in (("AWS::EC2::Instance", "UserData"), ("AWS::EC2::LaunchTemplate", "LaunchTemplateData.UserData")):
        for instance in templates.of_type(kind):
            for value in values_at(instance.properties, path):
                script = value.get("Fn::Base64", "") if isinstance(value, dict) else value
                size = len(text_of(script, instance).encode())
                if size > _USER_DATA_BYTES:
                    yield Finding(instance, path, f"{size} bytes", f"Allowed: {_USER_DATA_BYTES}, before Base64")


@rule("task-containers", "ECS Developer Guide: Service quotas; ECS API: ContainerDefinition, stopTimeout (2026-11)")
def containers(templates: Templates) -> Iterator[Finding]:
    """A task of Fargate has at most ten containers, each with two minutes to stop, one of them essential."""
    for task in templates.of_type("AWS::ECS::TaskDefinition"):
        listed = task.properties.get("ContainerDefinitions", [])
        if len(listed) > _CONTAINERS:
            yield Finding(task, "ContainerDefinitions", f"{len(listed)} containers", f"Allowed: {_CONTAINERS}")
        if listed and not any(container.get("Essential", True) for container in listed):
            yield Finding(task, "ContainerDefinitions", "none is essential", "Set Essential on one of them")
        for n, container in enumerate(listed):
            timeout = container.get("StopTimeout", 0)
            if int(timeout) > _STOP_TIMEOUT:
                place = f"ContainerDefinitions[{n}].StopTimeout"
                yield Finding(task, place, timeout, f"Allowed on Fargate: {_STOP_TIMEOUT} seconds")


@rule("event-filters", "AWS Lambda Developer Guide: Control which events Lambda sends (2026-11)")
def event_filters(templates: Templates) -> Iterator[Finding]:
    """An event source mapping has at most five filters."""
    for mapping in templates.of_type("AWS::Lambda::EventSourceMapping"):
        filters = mapping.properties.get("FilterCriteria", {}).get("Filters", [])
        if len(filters) > _FILTERS:
            yield Finding(mapping, "FilterCriteria.Filters", f"{len(filters)} filters", f"Allowed: {_FILTERS}")


@rule("reserved-concurrency", "AWS Lambda Developer Guide: Configuring reserved concurrency (2026-11)")
def reserved_concurrency(templates: Templates) -> Iterator[Finding]:
    """Functions leave 100 of the default 1,000 concurrent executions unreserved."""
    functions = [
        each for each in templates.of_type("AWS::Lambda::Function") if "ReservedConcurrentExecutions" in each.properties
    ]
    total = sum(int(each.properties["ReservedConcurrentExecutions"]) for each in functions)
    if total > _RESERVABLE:
        remedy = f"Allowed: {_RESERVABLE} for all functions together, {total} are reserved"
        for each in functions:
            reserved = each.properties["ReservedConcurrentExecutions"]
            yield Finding(each, "ReservedConcurrentExecutions", reserved, remedy)
