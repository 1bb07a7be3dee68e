"""The audit log: who called what, and each change of a dispatch's state, in a log group with a retention of its own."""

from aws_cdk import Duration
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_lambda_event_sources as sources
from constructs import Construct

from outpost.config import EnvironmentConfig
from outpost.store import schema
from outpost_constructs.function import OutpostFunction
from outpost_constructs.log_group import ExpiringLogGroup
from outpost_constructs.queues import FailedDeliveries
from outpost_constructs.store_table import StoreTable
from outpost_constructs.translation import audit_retention


class AuditRecords(Construct):
    """The log group, and the function that prints state changes into it; calls are written by the control plane."""

    def __init__(self, scope: Construct, construct_id: str, *, config: EnvironmentConfig) -> None:
        super().__init__(scope, construct_id)
        self.log_group = ExpiringLogGroup(self, "Logs", config=config, name="audit", retention=audit_retention(config))
        self.function = OutpostFunction(
            self,
            "Function",
            package="audit_records",
            description="Writes changes of dispatches into the audit log",
            timeout=Duration.seconds(30),
            environment={},
            log_group=self.log_group,
            config=config,
        )
        self.dead_letters = FailedDeliveries(self, "DeadLetters")

    def grant_write(self, role: iam.IRole) -> None:
        """Let the role write records into a stream of its own."""
        self.log_group.grant_write(role)

    def follow(self, dispatches: StoreTable) -> None:
        """Deliver new and changed dispatch rows."""
        stream = dispatches.table_stream_arn
        assert stream is not None  # noqa: S101 - the schema gives the table a stream; the L2 types it as optional
        grant = dispatches.grant_follow(self.function)
        mapping = self.function.add_event_source_mapping(
            "Changes",
            event_source_arn=stream,
            starting_position=lambda_.StartingPosition.TRIM_HORIZON,
            batch_size=100,
            max_batching_window=Duration.seconds(1),
            bisect_batch_on_error=True,
            retry_attempts=10,
            on_failure=sources.SqsDlq(self.dead_letters),
            filters=[
                lambda_.FilterCriteria.filter(
                    {
                        "eventName": lambda_.FilterRule.or_("INSERT", "MODIFY"),
                        "dynamodb": {"Keys": {schema.SORT_KEY: {"S": lambda_.FilterRule.is_equal(schema.ROW)}}},
                    }
                )
            ],
        )
        grant.apply_before(mapping)
