"""The functions of the migration from v1: who still calls the old one, and how the new one does."""

from collections.abc import Mapping, Sequence
from typing import Any

from aws_cdk import Duration
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_events as events
from aws_cdk import aws_s3 as s3
from constructs import Construct

from outpost.names import LEGACY_DISPATCHES, METRIC_NAMESPACE, ROLLBACK_PROPOSED
from outpost_constructs.environment_key import WRITE, grant_key
from outpost_constructs.function import OutpostFunction
from outpost_constructs.nag_suppressions import KNOWS_NO_RESOURCE, NAMED_AT_RUN_TIME, acknowledge_wildcard, printed
from outpost_constructs.permissions import allow
from outpost_constructs.stack import config_of

_DOCUMENTS = "migration/*"


class _MigrationFunction(OutpostFunction):
    """Works with the documents of the migration in the audit bucket, and puts one metric of the environment.

    `documents`: actions on these documents. `account`: reading actions that know no resource.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        bucket: s3.IBucket,
        documents: Sequence[str],
        account: Sequence[str],
        metric: str,
        statistic: str,
        **function: Any,  # noqa: ANN401 - arguments of OutpostFunction
    ) -> None:
        super().__init__(scope, construct_id, **function)
        acknowledge_wildcard(self.role, f"{printed(bucket, bucket.bucket_arn)}/{_DOCUMENTS}", NAMED_AT_RUN_TIME)
        grant_key(bucket.encryption_key, self.role, "s3", WRITE)
        allow(self.role, *documents, on=[bucket.arn_for_objects(_DOCUMENTS)])
        allow(self.role, "s3:ListBucket", on=[bucket.bucket_arn])  # without it, a missing document is "access denied"
        acknowledge_wildcard(self.role, "*", KNOWS_NO_RESOURCE)
        allow(self.role, *account, on=["*"])
        own = {"StringEquals": {"cloudwatch:namespace": METRIC_NAMESPACE}}
        allow(self.role, "cloudwatch:PutMetricData", on=["*"], when=own)
        self.metric = cloudwatch.Metric(
            namespace=METRIC_NAMESPACE,
            metric_name=metric,
            dimensions_map={"Environment": config_of(self).name},
            statistic=statistic,
            period=Duration.minutes(1),
        )


class LegacyWatch(_MigrationFunction):
    """Counts the dispatches that still go to v1, and logs who makes them."""

    def __init__(
        self, scope: Construct, construct_id: str, *, bucket: s3.IBucket, environment: Mapping[str, str]
    ) -> None:
        super().__init__(
            scope,
            construct_id,
            bucket=bucket,
            documents=["s3:GetObject"],
            account=["ssm:ListCommands"],
            metric=LEGACY_DISPATCHES,
            statistic="Sum",
            package="legacy_watch",
            description="Counts the dispatches that still go to v1",
            timeout=Duration.seconds(30),
            environment=environment,
            on={
                "SendCommand": events.EventPattern(
                    source=["aws.ssm"],
                    detail_type=["AWS API Call via CloudTrail"],
                    detail={"eventSource": ["ssm.amazonaws.com"], "eventName": ["SendCommand"]},
                )
            },
        )


class MigrationMonitor(_MigrationFunction):
    """Takes a sample each minute of the day after the cutover, in the account: no laptop must stay open."""

    def __init__(
        self, scope: Construct, construct_id: str, *, bucket: s3.IBucket, environment: Mapping[str, str]
    ) -> None:
        super().__init__(
            scope,
            construct_id,
            bucket=bucket,
            documents=["s3:GetObject", "s3:PutObject"],
            account=["ssm:ListCommands", "cloudtrail:LookupEvents", "cloudwatch:GetMetricData"],
            metric=ROLLBACK_PROPOSED,
            statistic="Maximum",
            package="migration_monitor",
            description="Samples and evaluates the day after the cutover",
            timeout=Duration.seconds(50),
            environment=environment,
            every="Minute",
        )
