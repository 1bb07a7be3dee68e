"""What ended dispatches consumed: counted, and sent as events to the account's default bus."""

from collections.abc import Mapping

from aws_cdk import Duration, Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda_destinations as destinations
from constructs import Construct

from outpost_constructs.environment_key import USE_DATA_KEYS, grant_key, key_of
from outpost_constructs.function import OutpostFunction
from outpost_constructs.queues import FailedDeliveries
from outpost_ops.config import EnvironmentConfig


class UsageEvents(Construct):
    """Counts the dispatches that `dispatch_changes` invokes it with, and sends their events; failures: dead letters."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        environment: Mapping[str, str],
        config: EnvironmentConfig,
    ) -> None:
        super().__init__(scope, construct_id)
        self.dead_letters = FailedDeliveries(self, "DeadLetters")
        self.function = OutpostFunction(
            self,
            "Function",
            package="usage_events",
            description="Counts what every ended dispatch consumed, and sends it to the event bus",
            timeout=Duration.seconds(30),
            environment=environment,
            config=config,
        )
        iam.Grant.add_to_principal(
            grantee=self.function, actions=["events:PutEvents"], resource_arns=[default_bus(self)]
        )
        grant_key(key_of(self), self.function, "sqs", USE_DATA_KEYS)  # Lambda sends dead letters as the function
        self.function.configure_async_invoke(
            retry_attempts=2,
            max_event_age=Duration.hours(6),
            on_failure=destinations.SqsDestination(self.dead_letters),
        )


def default_bus(scope: Construct) -> str:
    """Return the ARN of the account's default event bus."""
    return Stack.of(scope).format_arn(service="events", resource="event-bus", resource_name="default")
