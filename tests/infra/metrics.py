"""The metrics that templates name, in alarms, dashboards, and scaling."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass

from tests.infra.assembly import Assembly, Resource


@dataclass(frozen=True, order=True)
class Named:
    """A metric as an alarm or a widget names it."""

    namespace: str
    name: str
    dimensions: frozenset[str]


def named(assembly: Assembly, environment: str) -> set[Named]:
    """Return every metric that the environment's templates name."""
    found = set()
    for _, alarm in assembly.of_type("AWS::CloudWatch::Alarm", environment):
        found |= set(_of_alarm(alarm["Properties"]))
    for _, dashboard in assembly.of_type("AWS::CloudWatch::Dashboard", environment):
        found |= set(_of_dashboard(dashboard["Properties"]["DashboardBody"]))
    return found


def _of_alarm(properties: Resource) -> Iterator[Named]:
    metrics = [
        properties,
        *(entry["MetricStat"]["Metric"] for entry in properties.get("Metrics", []) if "MetricStat" in entry),
    ]
    for metric in metrics:
        if "MetricName" in metric:
            names = frozenset(dimension["Name"] for dimension in metric.get("Dimensions", []))
            yield Named(metric["Namespace"], metric["MetricName"], names)


def _of_dashboard(body: Resource) -> Iterator[Named]:
    """References of CloudFormation stand within the body's JSON; a word in their place makes it readable."""
    text = body if isinstance(body, str) else "".join(p if isinstance(p, str) else "x" for p in body["Fn::Join"][1])
    for widget in json.loads(re.sub(r"[\n\r]", "", text))["widgets"]:
        for namespace, name, *rest in widget["properties"].get("metrics", []):
            yield Named(namespace, name, frozenset(word for word in rest[::2] if isinstance(word, str)))
