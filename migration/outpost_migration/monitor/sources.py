"""What the account knows of a stretch of time: the load balancer's metrics, and who called v1."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Protocol

from outpost_migration.monitor.model import Plan, Sample
from outpost_migration.v1.calls import Call
from outpost_migration.v1.trail import Trail

if TYPE_CHECKING:
    from types_boto3_cloudwatch.client import CloudWatchClient
    from types_boto3_cloudwatch.type_defs import MetricDataQueryTypeDef

NAMESPACE = "AWS/ApplicationELB"
ALIVE_AROUND = timedelta(minutes=5)
"""The trail is trusted for a period when it knows of any call this close to it."""


class Sources(Protocol):
    """Where samples come from."""

    def traffic(self, plan: Plan, first: int, last: int) -> Mapping[int, Sample]:
        """Return what is known of the periods first..last (inclusive), without v1's calls; a gap is left out."""
        ...

    def v1_calls(self, start: datetime, end: datetime) -> Sequence[Call] | None:
        """Return the calls of v1 in that time, or None when the source proves nothing about it."""
        ...


@dataclass(frozen=True)
class _Metric:
    name: str
    stat: str
    of_targets: bool = False


_METRICS = {
    "healthy": _Metric("HealthyHostCount", "Minimum", of_targets=True),
    "requests": _Metric("RequestCount", "Sum"),
    "target_errors": _Metric("HTTPCode_Target_5XX_Count", "Sum"),
    "own_errors": _Metric("HTTPCode_ELB_5XX_Count", "Sum"),
    "p95": _Metric("TargetResponseTime", "p95"),
}


@dataclass(frozen=True)
class AccountSources:
    """The sources of a deployed environment."""

    cloudwatch: "CloudWatchClient"
    trail: Trail
    load_balancer: str
    target_group: str
    instance_id: str | None

    def traffic(self, plan: Plan, first: int, last: int) -> Mapping[int, Sample]:
        """Ask CloudWatch once for all periods."""
        pages = self.cloudwatch.get_paginator("get_metric_data").paginate(
            MetricDataQueries=[self._query(id_, metric, plan.period_seconds) for id_, metric in _METRICS.items()],
            StartTime=plan.at(first),
            EndTime=plan.at(last + 1),
        )
        points: dict[str, dict[int, float]] = {id_: {} for id_ in _METRICS}
        for page in pages:
            for result in page["MetricDataResults"]:
                for time, value in zip(result["Timestamps"], result["Values"], strict=True):
                    index = int((time - plan.started_at).total_seconds() // plan.period_seconds)
                    points[result["Id"]][index] = value
        return {
            index: _sample(index, {id_: series.get(index) for id_, series in points.items()})
            for index in range(first, last + 1)
            if index in points["healthy"]
        }

    def v1_calls(self, start: datetime, end: datetime) -> Sequence[Call] | None:
        """Ask the trail, and whether it is alive."""
        if not self.trail.alive(start - ALIVE_AROUND, end + ALIVE_AROUND):
            return None
        return [call for call in self.trail.calls(start, end, self.instance_id) if call.counts]

    def _query(self, id_: str, metric: _Metric, period: int) -> "MetricDataQueryTypeDef":
        dimensions = [("LoadBalancer", self.load_balancer)]
        if metric.of_targets:
            dimensions.append(("TargetGroup", self.target_group))
        return {
            "Id": id_,
            "MetricStat": {
                "Metric": {
                    "Namespace": NAMESPACE,
                    "MetricName": metric.name,
                    "Dimensions": [{"Name": name, "Value": value} for name, value in dimensions],
                },
                "Period": period,
                "Stat": metric.stat,
            },
        }


def _sample(index: int, values: Mapping[str, float | None]) -> Sample:
    seconds = values["p95"]
    return Sample(
        index=index,
        healthy=values["healthy"],
        requests=int(values["requests"] or 0),
        errors=int((values["target_errors"] or 0) + (values["own_errors"] or 0)),
        p95_ms=None if seconds is None else seconds * 1000,
    )
