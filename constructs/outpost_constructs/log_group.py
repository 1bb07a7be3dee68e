"""A log group that expires."""

from aws_cdk import RemovalPolicy
from aws_cdk import aws_logs as logs
from constructs import Construct

from outpost.config import EnvironmentConfig
from outpost_constructs.translation import log_retention


class ExpiringLogGroup(logs.LogGroup):
    """`/outpost/<environment>/<name>`, kept as long as the environment says.

    Its name is an interface: operators look for it. Hence it goes with its stack, or a second deploy could not create
    it; what must outlive a stack is in the trail's bucket.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        config: EnvironmentConfig,
        name: str,
        retention: logs.RetentionDays | None = None,
    ) -> None:
        super().__init__(
            scope,
            construct_id,
            log_group_name=f"/outpost/{config.name}/{name}",
            retention=retention or log_retention(config),
            removal_policy=RemovalPolicy.DESTROY,
        )
