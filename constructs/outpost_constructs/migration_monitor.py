"""The monitor of the day after the cutover."""

from collections.abc import Mapping

from aws_cdk import Duration
from aws_cdk import aws_s3 as s3
from constructs import Construct

from outpost.names import ROLLBACK_PROPOSED
from outpost_constructs.function import OutpostFunction
from outpost_constructs.migration import environment_metric, grant_account, grant_documents, grant_metrics
from outpost_ops.config import EnvironmentConfig


class MigrationMonitor(Construct):
    """Takes a sample each minute, in the account: no laptop must stay open."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        bucket: s3.IBucket,
        environment: Mapping[str, str],
        config: EnvironmentConfig,
    ) -> None:
        super().__init__(scope, construct_id)
        self.function = OutpostFunction(
            self,
            "Function",
            package="migration_monitor",
            description="Samples and judges the day after the cutover",
            timeout=Duration.seconds(50),
            environment=environment,
            config=config,
        )
        grant_documents(bucket, self.function, "s3:GetObject", "s3:PutObject")
        grant_account(self.function, "ssm:ListCommands", "cloudtrail:LookupEvents", "cloudwatch:GetMetricData")
        grant_metrics(self.function)
        self.function.start_each("EachMinute", Duration.minutes(1))
        self.metric = environment_metric(ROLLBACK_PROPOSED, "Maximum", config)
