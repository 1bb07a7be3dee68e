"""Figures for CloudWatch, in its embedded metric format: a line in a function's log, no call and no permission.

Names are in `outpost.names.Metric`, which the templates use as well.
"""

import os

from aws_lambda_powertools.metrics import MetricUnit, single_metric

from outpost.names import METRIC_NAMESPACE, Env, Metric

UNITS = {
    metric: MetricUnit.Seconds
    if metric in (Metric.OLDEST_RUNNABLE, Metric.CLAIM_LATENCY, Metric.RUN_TIME, Metric.AUDIT_WAITING)
    else MetricUnit.Count
    for metric in Metric
}


def emit(metric: Metric, value: float, **dimensions: str) -> None:
    """Emit a value of a metric of this environment, with dimensions besides `Environment`, such as `Agent="shell"`."""
    with single_metric(name=metric, unit=UNITS[metric], value=value, namespace=METRIC_NAMESPACE) as figure:
        figure.add_dimension(name="Environment", value=os.environ[Env.ENVIRONMENT])
        for name, text in dimensions.items():
            figure.add_dimension(name=name, value=text)
