"""The monitor of the day after the cutover."""

from collections.abc import Mapping

from aws_cdk import Duration
from aws_cdk import aws_s3 as s3
from constructs import Construct

from outpost.names import ROLLBACK_PROPOSED
from outpost_constructs.function import OutpostFunction
from outpost_constructs.migration import environment_metric, grant_account, grant_documents, grant_metrics
from outpost_constructs.stack import config_of


class MigrationMonitor(OutpostFunction):
    """Takes a sample each minute, in the account: no laptop must stay open."""

    def __init__(
        self, scope: Construct, construct_id: str, *, bucket: s3.IBucket, environment: Mapping[str, str]
    ) -> None:
        super().__init__(
            scope,
            construct_id,
            package="migration_monitor",
            description="Samples and judges the day after the cutover",
            timeout=Duration.seconds(50),
            environment=environment,
            every="Minute",
        )
        grant_documents(bucket, self.role, "s3:GetObject", "s3:PutObject")
        grant_account(self.role, "ssm:ListCommands", "cloudtrail:LookupEvents", "cloudwatch:GetMetricData")
        grant_metrics(self.role)
        self.metric = environment_metric(ROLLBACK_PROPOSED, "Maximum", config_of(self))
