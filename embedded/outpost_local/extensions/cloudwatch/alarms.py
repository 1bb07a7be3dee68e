"""Alarms evaluate several metrics (metric math) and missing data as their template says.

MiniStack's CloudFormation refuses an alarm on several metrics: it evaluates one namespace and name, whatever the
dimensions. Ours go into ALARM when the greatest or the sum of some metrics is too high, so each evaluation takes the
metric with the highest value: exact for the greatest; a sum of which no part is too high does not alarm here.

MiniStack leaves an alarm without data in the state that it had. All alarms of ours treat missing data as not breaching:
one without data is OK, as on AWS, and one in ALARM is OK again when no more data arrives.
"""

import time
from collections.abc import Callable
from typing import Any

from ministack.services import cloudwatch

from outpost_local.extensions.cloudformation.handlers import Properties
from outpost_local.extensions.patch import around

_SEVERAL = "_Several"
"""Member of an alarm's record: the (namespace, name) pairs that it looks at."""
_REASON = "Missing data is treated as not breaching"

Alarm = dict[str, Any]


def _record(record: Callable[..., Alarm], name: str, props: Properties) -> Alarm:
    metrics = [each["MetricStat"] for each in props.get("Metrics", []) if "MetricStat" in each]
    if not metrics:
        return record(name, props)
    several = sorted({(each["Metric"]["Namespace"], each["Metric"]["MetricName"]) for each in metrics})
    plain = {key: value for key, value in props.items() if key != "Metrics"}
    first = {"Period": metrics[0]["Period"], "Statistic": metrics[0]["Stat"]}
    recorded = record(name, {**plain, **first, "Namespace": several[0][0], "MetricName": several[0][1]})
    recorded[_SEVERAL] = several
    return recorded


def _evaluate(evaluate: Callable[[Alarm], None], alarm: Alarm) -> None:
    if _SEVERAL in alarm:
        since = time.time() - alarm["Period"] * alarm["EvaluationPeriods"]
        alarm["Namespace"], alarm["MetricName"] = max(
            alarm[_SEVERAL],
            key=lambda metric: max(
                (float(point.get("Value", point.get("Maximum", 0))) for point in _points(metric, since)),
                default=float("-inf"),
            ),
        )
    # The service's clock: tests move it.
    since = cloudwatch.time.time() - alarm.get("Period", 60) * alarm.get("EvaluationPeriods", 1)
    metric = alarm.get("Namespace"), alarm.get("MetricName")
    if alarm.get("TreatMissingData") == "notBreaching" and not _points(metric, since):
        _set_ok(alarm)
    else:
        evaluate(alarm)


def _points(metric: tuple[Any, Any], since: float) -> list[dict[str, Any]]:
    found = [points for (*name, _), points in list(cloudwatch._metrics.items()) if tuple(name) == metric]
    return [point for points in found for point in points if point["Timestamp"] >= since]


def _set_ok(alarm: Alarm) -> None:
    before = alarm["StateValue"]
    if before == "OK":
        return
    alarm |= {"StateValue": "OK", "StateReason": _REASON, "StateUpdatedTimestamp": int(cloudwatch.time.time())}
    cloudwatch._record_history(alarm["AlarmName"], before, "OK", _REASON)
    cloudwatch._dispatch_alarm_actions(alarm, before, "OK", _REASON)


PATCHES = (
    around("services.cloudformation.provisioners._cw_metric_alarm_record", _record, "alarms have one metric"),
    around("services.cloudwatch._evaluate_alarm", _evaluate, "alarms keep their state without data"),
)
