"""Streams, queues, topics and events: who reads, who may send, and when a message comes back."""

import json
from collections import defaultdict
from collections.abc import Iterator

from outpost_ops.aws_rules.model import Finding, rule
from outpost_ops.aws_rules.policies import Kind, policies
from outpost_ops.aws_rules.values import text_of, values_at
from outpost_ops.templates import Resource, Templates

_STREAM_READERS = 2
_VISIBILITY_FACTOR = 6
_DEFAULT_VISIBILITY = 30
_DEFAULT_TIMEOUT = 3
_DEFAULT_RETENTION = 345_600
_POLICIES = {
    "AWS::SQS::Queue": ("AWS::SQS::QueuePolicy", "Queues"),
    "AWS::SNS::Topic": ("AWS::SNS::TopicPolicy", "Topics"),
}


@rule(
    "stream-readers", "DynamoDB Developer Guide: Change data capture for DynamoDB Streams, readers of a shard (2026-11)"
)
def stream_readers(templates: Templates) -> Iterator[Finding]:
    """At most two functions or pipes read the stream of a table."""
    readers: dict[Resource, list[Resource]] = defaultdict(list)
    for kind, name in (("AWS::Lambda::EventSourceMapping", "EventSourceArn"), ("AWS::Pipes::Pipe", "Source")):
        for reader in templates.of_type(kind):
            table = templates.target(reader.properties.get(name), reader.stack)
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
        queue = templates.target(mapping.properties.get("EventSourceArn"), mapping.stack)
        function = templates.target(mapping.properties.get("FunctionName"), mapping.stack)
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
        for value in values_at(queue.properties, "RedrivePolicy.deadLetterTargetArn"):
            dead = templates.target(value, queue.stack)
            if dead is not None:
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
            pattern = text_of(each.get("Pattern", "{}"), templates, mapping.stack)
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
            for value in values_at(source.properties, path):
                target = templates.target(value, source.stack)
                if target is not None and not _admits(target, "events.amazonaws.com", templates):
                    remedy = (
                        f"Allow it to events.amazonaws.com, for {source.place}: EventBridge drops what it may not send"
                    )
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
        for value in (value for path in paths for value in values_at(sender.properties, path)):
            topic = templates.target(value, sender.stack)
            if topic is None or topic.type != "AWS::SNS::Topic" or (topic, service) in seen:
                continue
            seen.add((topic, service))
            if not _admits(topic, f"{service}.amazonaws.com", templates):
                yield Finding(
                    topic, "", f"no permission for {service}", f"Allow sns:Publish to {service}.amazonaws.com"
                )


def _admits(target: Resource, service: str, templates: Templates) -> bool:
    """Return whether a function has a permission for a service, or a queue's or topic's policy an Allow."""
    if target.type == "AWS::Lambda::Function":
        return any(
            permission.properties.get("Principal") == service
            and templates.target(permission.properties.get("FunctionName"), permission.stack) == target
            for permission in templates.of_type("AWS::Lambda::Permission")
        )
    if target.type not in _POLICIES:
        return True
    kind, name = _POLICIES[target.type]
    return any(
        statement.allows and service in statement.services
        for policy in policies(templates, Kind.RESOURCE)
        if policy.resource.type == kind
        and target in [templates.target(each, policy.resource.stack) for each in policy.resource.properties[name]]
        for statement in policy.statements
    )
