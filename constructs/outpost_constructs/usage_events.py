"""Events of ended dispatches, with what they consumed, on the account's default bus."""

from collections.abc import Mapping

from aws_cdk import Duration, Stack
from aws_cdk import aws_iam as iam
from constructs import Construct

from outpost.config import EnvironmentConfig
from outpost.domain.dispatch import Status
from outpost_constructs.function import OutpostFunction
from outpost_constructs.queues import FailedDeliveries
from outpost_constructs.store_table import ROW, Delivery, StoreTable


class UsageEvents(Construct):
    """Follows the rows of dispatches: one whose state is terminal has ended, and is told."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        dispatches: StoreTable,
        environment: Mapping[str, str],
        config: EnvironmentConfig,
    ) -> None:
        super().__init__(scope, construct_id)
        self.dead_letters = FailedDeliveries(self, "DeadLetters")
        self.function = OutpostFunction(
            self,
            "Function",
            package="usage_events",
            description="Tells the event bus of every dispatch that has ended, with what it consumed",
            timeout=Duration.seconds(30),
            environment=environment,
            config=config,
        )
        bus = Stack.of(self).format_arn(service="events", resource="event-bus", resource_name="default")
        iam.Grant.add_to_principal(
            grantee=self.function,
            actions=["events:PutEvents"],
            resource_arns=[bus],
        )
        terminal = {"NewImage": {"status": {"S": [str(status) for status in Status if status.terminal]}}}
        ended = {"eventName": ["MODIFY"], "dynamodb": {**ROW, **terminal}}
        delivery = Delivery(ended, retries=10, window=Duration.seconds(2))
        dispatches.deliver("Ended", self.function, self.dead_letters, delivery)
