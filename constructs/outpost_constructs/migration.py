"""The migration from v1: who still calls the old one."""

from collections.abc import Mapping

from aws_cdk import Duration
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_events as events
from aws_cdk import aws_iam as iam
from aws_cdk import aws_s3 as s3
from constructs import Construct

from outpost.names import LEGACY_DISPATCHES, METRIC_NAMESPACE
from outpost_constructs.environment_key import WRITE, grant_key
from outpost_constructs.function import OutpostFunction
from outpost_constructs.nag_suppressions import (
    KNOWS_NO_RESOURCE,
    NAMED_AT_RUN_TIME,
    acknowledge_wildcard,
    printed,
)
from outpost_constructs.stack import config_of
from outpost_ops.config import EnvironmentConfig

_MIGRATION = "migration/*"


class LegacyWatch(OutpostFunction):
    """Counts the dispatches that still go to v1, names who makes them."""

    def __init__(
        self, scope: Construct, construct_id: str, *, bucket: s3.IBucket, environment: Mapping[str, str]
    ) -> None:
        super().__init__(
            scope,
            construct_id,
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
        grant_documents(bucket, self.role, "s3:GetObject")
        grant_account(self.role, "ssm:ListCommands")
        grant_metrics(self.role)
        self.metric = environment_metric(LEGACY_DISPATCHES, "Sum", config_of(self))


def environment_metric(name: str, statistic: str, config: EnvironmentConfig) -> cloudwatch.Metric:
    """Return one of our metrics of this environment, by the minute."""
    return cloudwatch.Metric(
        namespace=METRIC_NAMESPACE,
        metric_name=name,
        dimensions_map={"Environment": config.name},
        statistic=statistic,
        period=Duration.minutes(1),
    )


def grant_documents(bucket: s3.IBucket, grantee: iam.IGrantable, *actions: str) -> None:
    """Allow actions on what the migration keeps, and to tell "not there" from "not allowed"."""
    acknowledge_wildcard(
        grantee,
        f"{printed(bucket, bucket.bucket_arn)}/{_MIGRATION}",
        NAMED_AT_RUN_TIME,
    )
    grant_key(bucket.encryption_key, grantee, "s3", WRITE)
    iam.Grant.add_to_principal(
        grantee=grantee, actions=list(actions), resource_arns=[bucket.arn_for_objects(_MIGRATION)]
    )
    iam.Grant.add_to_principal(grantee=grantee, actions=["s3:ListBucket"], resource_arns=[bucket.bucket_arn])


def grant_account(grantee: iam.IGrantable, *actions: str) -> None:
    """Allow reading actions that know no resource."""
    acknowledge_wildcard(grantee, "*", KNOWS_NO_RESOURCE)
    iam.Grant.add_to_principal(grantee=grantee, actions=list(actions), resource_arns=["*"])


def grant_metrics(grantee: iam.IGrantable) -> None:
    """Allow writing metrics of our namespace, and of no other."""
    iam.Grant.add_to_principal(
        grantee=grantee,
        actions=["cloudwatch:PutMetricData"],
        resource_arns=["*"],
        conditions={"StringEquals": {"cloudwatch:namespace": METRIC_NAMESPACE}},
    )
