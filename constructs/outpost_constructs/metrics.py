"""Our own metrics, in the terms of CloudWatch: one place that knows their dimensions."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from aws_cdk import Duration
from aws_cdk import aws_cloudwatch as cloudwatch

from outpost.names import METRIC_DIMENSIONS, METRIC_NAMESPACE, Metric

MINUTE = Duration.minutes(1)
"""Period of every metric."""
Statistic = Literal["Sum", "Maximum", "Average", "p95"]


@dataclass(frozen=True)
class OutpostMetrics:
    """The metrics that the functions of an environment emit."""

    environment: str
    agents: Sequence[str]

    def of(self, metric: Metric, statistic: Statistic, **dimensions: str) -> cloudwatch.Metric:
        """Return a metric. Raises `ValueError` for dimensions that the functions do not give it."""
        given = ("Environment", *dimensions)
        if given != METRIC_DIMENSIONS[metric]:
            raise ValueError(f"{metric} has the dimensions {METRIC_DIMENSIONS[metric]}, not {given}")
        return cloudwatch.Metric(
            namespace=METRIC_NAMESPACE,
            metric_name=metric,
            dimensions_map={"Environment": self.environment, **dimensions},
            statistic=statistic,
            period=MINUTE,
            label=" ".join(dimensions.values()) or metric,
        )

    def by_agent(self, metric: Metric, statistic: Statistic) -> list[cloudwatch.Metric]:
        """Return the metric of each agent."""
        return [self.of(metric, statistic, Agent=agent) for agent in self.agents]


def combine(
    operation: Literal["MAX", "SUM"], metrics: Iterable[cloudwatch.Metric], label: str
) -> cloudwatch.MathExpression:
    """Return the greatest of some metrics, or all of them together: for one alarm on what each agent has."""
    using = {f"m{number}": metric for number, metric in enumerate(metrics)}
    return cloudwatch.MathExpression(
        expression=f"{operation}([{', '.join(using)}])", using_metrics=using, label=label, period=MINUTE
    )
