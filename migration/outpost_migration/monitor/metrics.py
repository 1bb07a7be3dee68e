"""Metrics of the migration's functions."""

import os
from typing import TYPE_CHECKING, Literal

from outpost.names import METRIC_NAMESPACE, Env

if TYPE_CHECKING:
    from types_boto3_cloudwatch.client import CloudWatchClient
    from types_boto3_cloudwatch.type_defs import DimensionTypeDef


def put_metric(cloudwatch: "CloudWatchClient", name: str, value: float, unit: Literal["Count", "None"]) -> None:
    """Put a value of a metric of this environment."""
    environment: DimensionTypeDef = {"Name": "Environment", "Value": os.environ[Env.ENVIRONMENT]}
    cloudwatch.put_metric_data(
        Namespace=METRIC_NAMESPACE,
        MetricData=[{"MetricName": name, "Dimensions": [environment], "Value": value, "Unit": unit}],
    )
