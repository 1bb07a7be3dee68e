"""An alarm judges missing data as it was told to: MiniStack leaves an alarm without data in the state that it had.

All alarms of ours treat missing data as not breaching. So one of which nothing is heard is OK, as on AWS, and one that
rang is OK again when nothing more is heard.
"""

from typing import Any

from ministack.services import cloudwatch

_REASON = "Missing data is treated as not breaching"


def install() -> None:
    """Look for data before an alarm is judged by it."""
    evaluate = cloudwatch._evaluate_alarm

    def evaluate_missing(alarm: dict[str, Any]) -> None:
        if alarm.get("TreatMissingData") == "notBreaching" and not _has_data(alarm):
            _calm(alarm)
        else:
            evaluate(alarm)

    cloudwatch._evaluate_alarm = evaluate_missing


def _has_data(alarm: dict[str, Any]) -> bool:
    # The service's clock: tests move it.
    since = cloudwatch.time.time() - alarm.get("Period", 60) * alarm.get("EvaluationPeriods", 1)
    metric = alarm.get("Namespace"), alarm.get("MetricName")
    found = (points for (namespace, name, _), points in cloudwatch._metrics.items() if (namespace, name) == metric)
    return any(point["Timestamp"] >= since for points in found for point in points)


def _calm(alarm: dict[str, Any]) -> None:
    before = alarm["StateValue"]
    if before == "OK":
        return
    alarm |= {"StateValue": "OK", "StateReason": _REASON, "StateUpdatedTimestamp": int(cloudwatch.time.time())}
    cloudwatch._record_history(alarm["AlarmName"], before, "OK", _REASON)
    cloudwatch._dispatch_alarm_actions(alarm, before, "OK", _REASON)
