"""The metrics that the functions of a deployed environment emitted."""

import json
from collections.abc import Iterator
from typing import Any

from outpost.names import METRIC_NAMESPACE
from tests.e2e.conftest import Outpost


def emitted(outpost: Outpost) -> set[tuple[str, frozenset[str]]]:
    """Return (name, dimensions) of each metric of ours in the functions' logs, as CloudWatch would extract it."""
    return {
        (metric["Name"], frozenset(dimensions))
        for line in _lines(outpost.environment.client("logs"))
        for directive in line["_aws"]["CloudWatchMetrics"]
        if directive["Namespace"] == METRIC_NAMESPACE
        for metric in directive["Metrics"]
        for dimensions in directive["Dimensions"]
    }


def _lines(logs: Any) -> Iterator[dict[str, Any]]:  # noqa: ANN401 - a boto3 client
    groups = logs.describe_log_groups(logGroupNamePrefix="/outpost/local/")["logGroups"]
    for group in groups:
        pages = logs.get_paginator("filter_log_events").paginate(logGroupName=group["logGroupName"])
        for page in pages:
            for event in page["events"]:
                if '"_aws"' in event["message"]:
                    yield json.loads(event["message"])
