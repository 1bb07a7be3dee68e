"""A table of the store, as `outpost.store.schema` describes it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aws_cdk import Duration
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_lambda_event_sources as sources
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from outpost.store import schema
from outpost_constructs.cdk_enums import removal_policy
from outpost_constructs.environment_key import READ, USE_DATA_KEYS, WRITE, grant_key, key_of
from outpost_ops.config import EnvironmentConfig

ROW = {"Keys": {schema.SORT_KEY: {"S": [schema.ROW]}}}
"""Changes of a dispatch's row, not of the other items beside it."""


@dataclass(frozen=True)
class Delivery:
    """Which changes of items start a function; after `retries` failures a change is a dead letter."""

    pattern: Mapping[str, Any]
    retries: int
    batch: int = 100
    window: Duration | None = None
    """For how long changes are collected into a batch."""
    partial: bool = False
    """Whether the function returns from which record on it wants a batch again."""


class StoreTable(dynamodb.Table):
    """On demand, encrypted, recoverable to any second of 35 days; keys, indexes, TTL and stream from the schema."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        table: schema.Table,
        config: EnvironmentConfig,
    ) -> None:
        key = key_of(scope)
        super().__init__(
            scope,
            construct_id,
            partition_key=_string(schema.PARTITION_KEY),
            sort_key=_string(schema.SORT_KEY),
            billing_mode=dynamodb.BillingMode.PAY_PER_REQUEST,
            encryption=dynamodb.TableEncryption.CUSTOMER_MANAGED if key else dynamodb.TableEncryption.AWS_MANAGED,
            encryption_key=key,
            point_in_time_recovery_specification=dynamodb.PointInTimeRecoverySpecification(
                point_in_time_recovery_enabled=True
            ),
            time_to_live_attribute=schema.TTL_ATTRIBUTE,
            stream=dynamodb.StreamViewType.NEW_AND_OLD_IMAGES if table.stream else None,
            removal_policy=removal_policy(config),
        )
        self._indexes = [index.name for index in table.indexes]
        for index in table.indexes:
            self.add_global_secondary_index(
                index_name=index.name,
                partition_key=_string(index.hash_key),
                sort_key=_string(index.range_key),
                projection_type=dynamodb.ProjectionType.ALL,
            )

    def grant_read(self, grantee: iam.IGrantable) -> iam.Grant:
        """Let the grantee get and query items, by key and by index; scans are for nobody."""
        grant_key(self.encryption_key, grantee, "dynamodb", READ)
        indexes = [f"{self.table_arn}/index/{name}" for name in self._indexes]
        return iam.Grant.add_to_principal(
            grantee=grantee,
            actions=["dynamodb:GetItem", "dynamodb:Query"],
            resource_arns=[self.table_arn, *indexes],
        )

    def grant_read_many(self, grantee: iam.IGrantable) -> iam.Grant:
        """Let the grantee get many items by key in one call, beside what `grant_read` allows."""
        return iam.Grant.add_to_principal(
            grantee=grantee, actions=["dynamodb:BatchGetItem"], resource_arns=[self.table_arn]
        )

    def grant_read_write(self, grantee: iam.IGrantable) -> iam.Grant:
        """Let the grantee read, and put and update items, alone or in transactions."""
        self.grant_read(grantee)
        return self._grant(grantee, "dynamodb:PutItem", "dynamodb:UpdateItem")

    def deliver(
        self, construct_id: str, function: lambda_.Function, dead_letters: sqs.IQueue, delivery: "Delivery"
    ) -> None:
        """Start a function with changes of items, and let it read the stream; what it cannot take is a dead letter.

        A stream has its table's key (aws-cdk issue 22796): without the grant on the key it cannot be read.
        """
        stream = self.table_stream_arn
        assert stream is not None  # noqa: S101 - the schema gives the table a stream; the L2 types it as optional
        grant_key(self.encryption_key, function, "dynamodb", READ)
        grant_key(key_of(self), function, "sqs", USE_DATA_KEYS)  # Lambda sends dead letters as the function
        actions = ("DescribeStream", "GetRecords", "GetShardIterator", "ListStreams")
        grant = iam.Grant.add_to_principal(
            grantee=function, actions=[f"dynamodb:{action}" for action in actions], resource_arns=[stream]
        )
        mapping = function.add_event_source_mapping(
            construct_id,
            event_source_arn=stream,
            starting_position=lambda_.StartingPosition.TRIM_HORIZON,
            batch_size=delivery.batch,
            max_batching_window=delivery.window,
            bisect_batch_on_error=True,
            report_batch_item_failures=delivery.partial,
            retry_attempts=delivery.retries,
            on_failure=sources.SqsDlq(dead_letters),
            filters=[lambda_.FilterCriteria.filter(delivery.pattern)],
        )
        grant.apply_before(mapping)

    def grant_check(self, grantee: iam.IGrantable) -> iam.Grant:
        """Let the grantee make a transaction depend on items that it does not change."""
        return self._grant(grantee, "dynamodb:ConditionCheckItem")

    def grant_delete(self, grantee: iam.IGrantable) -> iam.Grant:
        """Let the grantee delete items; most items end by their TTL instead."""
        return self._grant(grantee, "dynamodb:DeleteItem")

    def _grant(self, grantee: iam.IGrantable, *actions: str) -> iam.Grant:
        grant_key(self.encryption_key, grantee, "dynamodb", WRITE)
        return iam.Grant.add_to_principal(grantee=grantee, actions=list(actions), resource_arns=[self.table_arn])


def _string(name: str) -> dynamodb.Attribute:
    return dynamodb.Attribute(name=name, type=dynamodb.AttributeType.STRING)
