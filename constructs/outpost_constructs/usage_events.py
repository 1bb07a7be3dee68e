"""What ended dispatches consumed: counted, and sent as events to the account's default bus."""

from collections.abc import Mapping

from aws_cdk import Duration, Stack
from constructs import Construct

from outpost_constructs.function import OutpostFunction
from outpost_constructs.permissions import allow
from outpost_constructs.store_table import Access, Tables


class UsageEvents(OutpostFunction):
    """Counts the dispatches that `dispatch_changes` invokes it with, and sends their events; failures: dead letters."""

    def __init__(self, scope: Construct, construct_id: str, *, tables: Tables, environment: Mapping[str, str]) -> None:
        super().__init__(
            scope,
            construct_id,
            package="usage_events",
            description="Counts what every ended dispatch consumed, and sends it to the event bus",
            timeout=Duration.seconds(30),
            environment=environment,
            access=Access(writes=[tables.dispatches]),  # counters beside the rows
            retry_for=Duration.hours(6),
        )
        allow(self.role, "events:PutEvents", on=[default_bus(self)])


def default_bus(scope: Construct) -> str:
    """Return the ARN of the account's default event bus."""
    return Stack.of(scope).format_arn(service="events", resource="event-bus", resource_name="default")
