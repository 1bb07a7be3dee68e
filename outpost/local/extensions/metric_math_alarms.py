"""Alarms on several metrics (metric math) can be deployed: MiniStack's CloudFormation refuses them.

It judges an alarm by namespace and name alone, whatever the dimensions. Ours combine one metric over its dimensions,
so the alarm is recorded on the first one: what it would see of all of them together.
"""

from typing import Any

from ministack.services.cloudformation import provisioners

from outpost.local.extensions.cloudformation import Properties


def install() -> None:
    """Translate before the alarm is recorded."""
    record = provisioners._cw_metric_alarm_record

    def record_first(name: str, props: Properties) -> Any:
        return record(name, _on_one_metric(props) if props.get("Metrics") else props)

    provisioners._cw_metric_alarm_record = record_first


def _on_one_metric(props: Properties) -> Properties:
    """Return the properties of an alarm on the metric that all of them are; raises ValueError for different ones."""
    statistics = [each["MetricStat"] for each in props["Metrics"] if "MetricStat" in each]
    names = {(each["Metric"]["Namespace"], each["Metric"]["MetricName"]) for each in statistics}
    if len(names) != 1:
        raise ValueError(f"Metrics: an alarm on different metrics cannot be judged here: {sorted(names)}")
    ((namespace, metric),) = names
    first = statistics[0]
    plain = {key: value for key, value in props.items() if key != "Metrics"}
    return {
        **plain,
        "Namespace": namespace,
        "MetricName": metric,
        "Period": first["Period"],
        "Statistic": first["Stat"],
    }
