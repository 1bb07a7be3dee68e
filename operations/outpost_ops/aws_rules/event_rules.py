"""Streams, queues, topics and events: who reads, who may send, and when a message comes back."""

import json
from collections import defaultdict
from collections.abc import Iterator

from outpost_ops.aws_rules.model import Finding, rule
from outpost_ops.aws_rules.policies import Kind, statements
from outpost_ops.aws_rules.values import text_of
from outpost_ops.templates import Resource, Templates

_STREAM_READERS = 2
_VISIBILITY_FACTOR = 6
_DEFAULT_VISIBILITY = 30
_DEFAULT_TIMEOUT = 3
_DEFAULT_RETENTION = 345_600


@rule(
    "stream-readers", "DynamoDB Developer Guide: Change data capture for DynamoDB Streams, readers of a shard (2026-11)"
)
def stream_readers(templates: Templates) -> Iterator[Finding]:
    """At most two functions or pipes read the stream of a table."""
    readers: dict[Resource, list[Resource]] = defaultdict(list)
    for kind, name in (("AWS::Lambda::EventSourceMapping", "EventSourceArn"), ("AWS::Pipes::Pipe", "Source")):
        for reader in templates.of_type(kind):
            table = reader.named(name)
            if table is not None and table.type == "AWS::DynamoDB::Table":
                readers[table].append(reader)
    for table, found in readers.items():
        if len(found) > _STREAM_READERS:
            names = ", ".join(reader.place for reader in found)
            remedy = f"Allowed: {_STREAM_READERS}, more are throttled. Let one reader pass the records on: {names}"
            yield Finding(table, "StreamSpecification", f"{len(found)} readers", remedy)


@rule("queue-visibility", "AWS Lambda Developer Guide: Using Lambda with Amazon SQS, configuring a queue (2026-11)")
def visibility(templates: Templates) -> Iterator[Finding]:
    """A queue hides a message six times as long as the function that reads it may run."""
    for mapping in templates.of_type("AWS::Lambda::EventSourceMapping"):
        queue, function = mapping.named("EventSourceArn"), mapping.named("FunctionName")
        if queue is None or function is None or queue.type != "AWS::SQS::Queue":
            continue
        hidden = int(queue.properties.get("VisibilityTimeout", _DEFAULT_VISIBILITY))
        needed = _VISIBILITY_FACTOR * int(function.properties.get("Timeout", _DEFAULT_TIMEOUT))
        needed += int(mapping.properties.get("MaximumBatchingWindowInSeconds", 0))
        if hidden < needed:
            remedy = f"Set {needed} seconds or more: {function.place} may still work on the message when it comes back"
            yield Finding(queue, "VisibilityTimeout", hidden, remedy)


@rule("dead-letter-retention", "SQS Developer Guide: Using dead-letter queues, retention periods (2026-11)")
def retention(templates: Templates) -> Iterator[Finding]:
    """Dead letters are kept longer than the messages of their queue."""
    for queue in templates.of_type("AWS::SQS::Queue"):
        for dead in queue.all_named("RedrivePolicy.deadLetterTargetArn"):
            kept, own = (
                int(each.properties.get("MessageRetentionPeriod", _DEFAULT_RETENTION)) for each in (dead, queue)
            )
            if kept <= own:
                remedy = f"Set more than the {own} seconds of {queue.place}: a message keeps its age when it moves"
                yield Finding(dead, "MessageRetentionPeriod", kept, remedy)


@rule("event-pattern", "EventBridge User Guide: Creating event patterns; AWS Lambda: Event filtering (2026-11)")
def pattern_forms(templates: Templates) -> Iterator[Finding]:
    """Each field of an event pattern is a list of what it may be."""
    for source in templates.of_type("AWS::Events::Rule"):
        yield from _not_lists(source, "EventPattern", source.properties.get("EventPattern", {}))
    for mapping in templates.of_type("AWS::Lambda::EventSourceMapping"):
        for n, each in enumerate(mapping.properties.get("FilterCriteria", {}).get("Filters", [])):
            pattern = text_of(each.get("Pattern", "{}"), mapping)
            yield from _not_lists(mapping, f"FilterCriteria.Filters[{n}].Pattern", json.loads(pattern))


def _not_lists(resource: Resource, path: str, pattern: object) -> Iterator[Finding]:
    if isinstance(pattern, dict):
        for name, value in pattern.items():
            yield from _not_lists(resource, f"{path}.{name}", value)
    elif not isinstance(pattern, list) or not pattern:
        yield Finding(resource, path, pattern, "Make it a list with what the field may be")


@rule(
    "event-target-permission", "EventBridge User Guide: Using resource-based policies for Amazon EventBridge (2026-11)"
)
def permitted_targets(templates: Templates) -> Iterator[Finding]:
    """Each target and dead-letter queue of a rule lets EventBridge in."""
    for source in templates.of_type("AWS::Events::Rule"):
        for path in ("Targets.Arn", "Targets.DeadLetterConfig.Arn"):
            for target in source.all_named(path):
                if not _admits(target, "events.amazonaws.com"):
                    remedy = f"Allow it to events.amazonaws.com: EventBridge drops what {source.place} may not send"
                    yield Finding(target, "", "no permission for EventBridge", remedy)


@rule(
    "notice-permission",
    "CloudWatch User Guide: Notifying users on alarm changes; Cost Management: Budgets and SNS topics (2026-11)",
)
def permitted_notices(templates: Templates) -> Iterator[Finding]:
    """Each topic lets in the service whose alarm or budget notifies it."""
    senders = {
        "AWS::CloudWatch::Alarm": ("cloudwatch", ("AlarmActions", "OKActions", "InsufficientDataActions")),
        "AWS::CloudWatch::CompositeAlarm": ("cloudwatch", ("AlarmActions", "OKActions", "InsufficientDataActions")),
        "AWS::Budgets::Budget": ("budgets", ("NotificationsWithSubscribers.Subscribers.Address",)),
    }
    seen = set()
    for sender in templates.of_type(*senders):
        service, paths = senders[sender.type]
        for topic in (each for path in paths for each in sender.all_named(path)):
            if topic.type == "AWS::SNS::Topic" and (topic, service) not in seen:
                seen.add((topic, service))
                if not _admits(topic, f"{service}.amazonaws.com"):
                    remedy = f"Allow sns:Publish to {service}.amazonaws.com"
                    yield Finding(topic, "", f"no permission for {service}", remedy)


def _admits(target: Resource, service: str) -> bool:
    """Return whether a function has a permission for a service, or a queue's or topic's policy an Allow."""
    if target.type == "AWS::Lambda::Function":
        return any(
            permission.properties.get("Principal") == service and permission.named("FunctionName") == target
            for permission in target.templates.of_type("AWS::Lambda::Permission")
        )
    owners = {"AWS::SQS::Queue": "Queues", "AWS::SNS::Topic": "Topics"}.get(target.type)
    return owners is None or any(
        statement.allows and service in statement.services and target in statement.resource.all_named(owners)
        for statement in statements(target.templates, Kind.RESOURCE)
    )
