"""Alarms, dashboards and metric filters."""

import json
from collections.abc import Iterator
from typing import Any

from outpost_ops.aws_rules.model import Finding, rule
from outpost_ops.aws_rules.values import text_of
from outpost_ops.templates import Resource, Templates

_ALARMS = "CloudWatch API: PutMetricAlarm (2026-11)"

_SHORT_PERIODS = {10, 20, 30}
_DAY, _WEEK = 86_400, 604_800
_WIDGETS = 500
_METRICS_OF_AN_ALARM = 10


@rule("alarm-period", _ALARMS)
def alarm_periods(templates: Templates) -> Iterator[Finding]:
    """The period of an alarm is 10, 20, 30 or a multiple of 60 seconds; all its periods are within a day, or a week."""
    for alarm in templates.of_type("AWS::CloudWatch::Alarm"):
        periods = [
            int(period)
            for body in [alarm.properties, *(each.get("MetricStat", {}) for each in _metrics(alarm)), *_metrics(alarm)]
            for period in [body.get("Period")]
            if period is not None
        ]
        for period in periods:
            if period % 60 and period not in _SHORT_PERIODS:
                yield Finding(alarm, "Period", period, "Allowed: 10, 20, 30, or a multiple of 60")
        longest = max(periods, default=0)
        window = longest * int(alarm.properties.get("EvaluationPeriods", 1))
        if window > (_WEEK if longest >= 3600 else _DAY):
            remedy = "Allowed: a day, or a week with periods of an hour or more"
            yield Finding(alarm, "EvaluationPeriods", f"{window} seconds", remedy)


@rule("alarm-datapoints", _ALARMS)
def alarm_datapoints(templates: Templates) -> Iterator[Finding]:
    """An alarm asks for no more datapoints than it looks at, and for at most ten metrics, one of them returned."""
    for alarm in templates.of_type("AWS::CloudWatch::Alarm"):
        looked_at = int(alarm.properties.get("EvaluationPeriods", 1))
        wanted = int(alarm.properties.get("DatapointsToAlarm", looked_at))
        if wanted > looked_at:
            yield Finding(alarm, "DatapointsToAlarm", wanted, f"Allowed: EvaluationPeriods, {looked_at}, or less")
        metrics = _metrics(alarm)
        if len([each for each in metrics if "MetricStat" in each]) > _METRICS_OF_AN_ALARM:
            yield Finding(alarm, "Metrics", f"{len(metrics)} metrics", f"Allowed: {_METRICS_OF_AN_ALARM}")
        returned = [each for each in metrics if each.get("ReturnData", True)]
        if metrics and len(returned) != 1:
            yield Finding(
                alarm, "Metrics", f"{len(returned)} with ReturnData", "Exactly one is compared with Threshold"
            )


@rule("dashboard-body", "CloudWatch API: Dashboard body structure (2026-11)")
def dashboards(templates: Templates) -> Iterator[Finding]:
    """The body of a dashboard is JSON with at most 500 widgets, each within its 24 columns."""
    for dashboard in templates.of_type("AWS::CloudWatch::Dashboard"):
        body = text_of(dashboard.properties.get("DashboardBody", ""), dashboard)
        try:
            widgets = json.loads(body)["widgets"]
        except (ValueError, KeyError, TypeError) as error:
            yield Finding(dashboard, "DashboardBody", str(error), "It must be a JSON object with a list of widgets")
            continue
        if len(widgets) > _WIDGETS:
            yield Finding(dashboard, "DashboardBody", f"{len(widgets)} widgets", f"Allowed: {_WIDGETS}")
        for n, widget in enumerate(widgets):
            if widget.get("x", 0) + widget.get("width", 6) > 24:
                yield Finding(dashboard, f"DashboardBody.widgets[{n}]", widget["x"], "x and width: 24 columns at most")


@rule("metric-filter-default", "CloudWatch Logs API: MetricTransformation (2026-11)")
def filter_values(templates: Templates) -> Iterator[Finding]:
    """A metric filter has a default value or dimensions."""
    for each in templates.of_type("AWS::Logs::MetricFilter"):
        for transformation in each.properties.get("MetricTransformations", []):
            if "DefaultValue" in transformation and transformation.get("Dimensions"):
                value = transformation["DefaultValue"]
                remedy = "Leave it out: with dimensions CloudWatch Logs refuses a default value"
                yield Finding(each, "MetricTransformations.DefaultValue", value, remedy)


def _metrics(alarm: Resource) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = alarm.properties.get("Metrics", [])
    return found
