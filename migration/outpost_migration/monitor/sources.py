"""What the account knows of a stretch of time: the load balancer's metrics, and who called v1."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from outpost_migration.monitor.model import Plan, Sample
from outpost_migration.v1.calls import Call
from outpost_migration.v1.trail import Trail

if TYPE_CHECKING:
    from types_boto3_cloudwatch.client import CloudWatchClient
    from types_boto3_cloudwatch.type_defs import MetricDataQueryTypeDef

NAMESPACE = "AWS/ApplicationELB"
ALIVE_AROUND = timedelta(minutes=5)
"""The trail is trusted for a period when it knows of any call this close to it."""


_OF_BALANCER = ("LoadBalancer",)
_METRICS = {
    "healthy": ("HealthyHostCount", "Minimum", ("LoadBalancer", "TargetGroup")),
    "requests": ("RequestCount", "Sum", _OF_BALANCER),
    "target_errors": ("HTTPCode_Target_5XX_Count", "Sum", _OF_BALANCER),
    "own_errors": ("HTTPCode_ELB_5XX_Count", "Sum", _OF_BALANCER),
    "p95": ("TargetResponseTime", "p95", _OF_BALANCER),
}
"""Id of a query -> metric, statistic, dimensions."""


@dataclass(frozen=True)
class AccountSources:
    """The sources of a deployed environment."""

    cloudwatch: "CloudWatchClient"
    trail: Trail
    load_balancer: str
    target_group: str
    instance_id: str | None

    def traffic(self, plan: Plan, first: int, last: int) -> Mapping[int, Sample]:
        """Return what CloudWatch knows of the periods first..last (inclusive), without v1's calls.

        Periods whose number of healthy targets is not known are left out.
        """
        pages = self.cloudwatch.get_paginator("get_metric_data").paginate(
            MetricDataQueries=[self._query(id_, plan.period_seconds) for id_ in _METRICS],
            StartTime=plan.at(first),
            EndTime=plan.at(last + 1),
        )
        points: dict[int, dict[str, float]] = defaultdict(dict)
        for page in pages:
            for result in page["MetricDataResults"]:
                for time, value in zip(result["Timestamps"], result["Values"], strict=True):
                    index = int((time - plan.started_at).total_seconds() // plan.period_seconds)
                    points[index][result["Id"]] = value
        return {
            index: _sample(index, values)
            for index, values in points.items()
            if first <= index <= last and "healthy" in values
        }

    def v1_calls(self, start: datetime, end: datetime) -> Sequence[Call] | None:
        """Return the calls of v1 in that time; None when the trail proves nothing about it."""
        if not self.trail.has_events(start - ALIVE_AROUND, end + ALIVE_AROUND):
            return None
        return [call for call in self.trail.calls(start, end, self.instance_id) if call.counts]

    def _query(self, id_: str, period: int) -> "MetricDataQueryTypeDef":
        name, stat, dimensions = _METRICS[id_]
        values = {"LoadBalancer": self.load_balancer, "TargetGroup": self.target_group}
        return {
            "Id": id_,
            "MetricStat": {
                "Metric": {
                    "Namespace": NAMESPACE,
                    "MetricName": name,
                    "Dimensions": [{"Name": dimension, "Value": values[dimension]} for dimension in dimensions],
                },
                "Period": period,
                "Stat": stat,
            },
        }


def _sample(index: int, values: Mapping[str, float]) -> Sample:
    seconds = values.get("p95")
    return Sample(
        index=index,
        healthy=values["healthy"],
        requests=int(values.get("requests", 0)),
        errors=int(values.get("target_errors", 0) + values.get("own_errors", 0)),
        p95_ms=None if seconds is None else seconds * 1000,
    )
