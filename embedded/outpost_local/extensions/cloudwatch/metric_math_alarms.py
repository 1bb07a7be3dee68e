"""Alarms on several metrics (metric math) can be deployed and ring: MiniStack's CloudFormation refuses them.

It judges an alarm by one namespace and name, whatever the dimensions. Ours ring when the greatest or the sum of some
metrics is too high, so each time such an alarm is judged by the metric with the highest value: exact for the greatest;
a sum of which no part is too high does not ring here.
"""

import time
from typing import Any

from ministack.services import cloudwatch
from ministack.services.cloudformation import provisioners

from outpost_local.extensions.cloudformation.handlers import Properties

_SEVERAL = "_Several"
"""Member of an alarm's record: the (namespace, name) pairs that it looks at."""


def install() -> None:
    """Translate before an alarm is recorded, choose the metric before it is judged."""
    record, evaluate = provisioners._cw_metric_alarm_record, cloudwatch._evaluate_alarm

    def record_several(name: str, props: Properties) -> Any:
        metrics = [each["MetricStat"] for each in props.get("Metrics", []) if "MetricStat" in each]
        if not metrics:
            return record(name, props)
        several = sorted({(each["Metric"]["Namespace"], each["Metric"]["MetricName"]) for each in metrics})
        plain = {key: value for key, value in props.items() if key != "Metrics"}
        first = {"Period": metrics[0]["Period"], "Statistic": metrics[0]["Stat"]}
        recorded = record(name, {**plain, **first, "Namespace": several[0][0], "MetricName": several[0][1]})
        recorded[_SEVERAL] = several
        return recorded

    def evaluate_highest(alarm: dict[str, Any]) -> None:
        if _SEVERAL in alarm:
            since = time.time() - alarm["Period"] * alarm["EvaluationPeriods"]
            highest = max(alarm[_SEVERAL], key=lambda metric: _highest(metric, since))
            alarm["Namespace"], alarm["MetricName"] = highest
        evaluate(alarm)

    provisioners._cw_metric_alarm_record = record_several
    cloudwatch._evaluate_alarm = evaluate_highest


def _highest(metric: tuple[str, str], since: float) -> float:
    points = [
        float(point.get("Value", point.get("Maximum", 0)))
        for (namespace, name, _), found in cloudwatch._metrics.items()
        if (namespace, name) == metric
        for point in found
        if point["Timestamp"] >= since
    ]
    return max(points, default=float("-inf"))
