"""A log group that expires, and the metric of the errors in it."""

from typing import get_args

from aws_cdk import RemovalPolicy
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_logs as logs
from constructs import Construct

from outpost.names import LOG_METRIC_NAMESPACE
from outpost_constructs.environment_key import key_of
from outpost_constructs.metrics import MINUTE
from outpost_constructs.stack import config_of
from outpost_ops.config.model import LogRetentionDays


class ExpiringLogGroup(logs.LogGroup):
    """`/outpost/<environment>/<name>`, kept as long as the environment says.

    Its name is an interface: operators look for it. Hence it goes with its stack, or a second deploy could not create
    it; what must outlive a stack is in the trail's bucket.
    """

    def __init__(self, scope: Construct, construct_id: str, *, name: str, days: int | None = None) -> None:
        environment = config_of(scope).name
        super().__init__(
            scope,
            construct_id,
            log_group_name=f"/outpost/{environment}/{name}",
            removal_policy=RemovalPolicy.DESTROY,
            encryption_key=key_of(scope),
        )
        expire(self, days or config_of(scope).retention.logs_days)
        self._metric_name = f"{environment}/{name}"

    def count_errors(self) -> cloudwatch.Metric:
        """Count lines of level ERROR or worse, which our service and functions write as JSON, as a metric."""
        levels = ("ERROR", "CRITICAL", "error", "critical")
        filtered = self.add_metric_filter(
            "Errors",
            filter_pattern=logs.FilterPattern.any(
                *(logs.FilterPattern.string_value("$.level", "=", level) for level in levels)
            ),
            metric_namespace=LOG_METRIC_NAMESPACE,
            metric_name=self._metric_name,
            metric_value="1",
            default_value=0,
        )
        return filtered.metric(statistic="Sum", period=MINUTE, label=self._metric_name)


def expire(group: logs.LogGroup, days: int) -> None:
    """Keep events for so many days, one of the retentions on offer: the L2 knows them by name only."""
    resource = group.node.default_child
    assert isinstance(resource, logs.CfnLogGroup)  # noqa: S101 - what the L2 is made of
    resource.retention_in_days = days


def audit_log_days(scope: Construct) -> int:
    """Return the days of the audit log: the shortest retention on offer that is not shorter than the trail's."""
    offered: tuple[int, ...] = get_args(LogRetentionDays)
    return min(days for days in offered if days >= config_of(scope).retention.audit_days)
