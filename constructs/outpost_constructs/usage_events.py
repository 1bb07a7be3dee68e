"""Events of ended dispatches, with what they consumed, on the account's default bus."""

from collections.abc import Mapping

from aws_cdk import Duration, Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_lambda_event_sources as sources
from constructs import Construct

from outpost.config import EnvironmentConfig
from outpost.domain.dispatch import Status
from outpost.store import schema
from outpost_constructs.function import OutpostFunction
from outpost_constructs.queues import FailedDeliveries
from outpost_constructs.store_table import StoreTable


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
        self._follow(dispatches)

    def _follow(self, dispatches: StoreTable) -> None:
        stream = dispatches.table_stream_arn
        assert stream is not None  # noqa: S101 - the schema gives the table a stream; the L2 types it as optional
        grant = dispatches.grant_follow(self.function)
        mapping = self.function.add_event_source_mapping(
            "Ended",
            event_source_arn=stream,
            starting_position=lambda_.StartingPosition.TRIM_HORIZON,
            batch_size=100,
            max_batching_window=Duration.seconds(2),
            bisect_batch_on_error=True,
            retry_attempts=10,
            on_failure=sources.SqsDlq(self.dead_letters),
            filters=[
                lambda_.FilterCriteria.filter(
                    {
                        "eventName": lambda_.FilterRule.is_equal("MODIFY"),
                        "dynamodb": {
                            "Keys": {schema.SORT_KEY: {"S": lambda_.FilterRule.is_equal(schema.ROW)}},
                            "NewImage": {"status": {"S": [str(status) for status in Status if status.terminal]}},
                        },
                    }
                )
            ],
        )
        grant.apply_before(mapping)
