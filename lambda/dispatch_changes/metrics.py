"""The metrics of a changed dispatch row. The stream has each write of a row, whichever program made it."""

from collections.abc import Iterator
from typing import NamedTuple

from outpost.domain.dispatch import Dispatch, Status
from outpost.names import Metric


class Measurement(NamedTuple):
    """A value of a metric; `dimensions` are those besides the environment."""

    metric: Metric
    value: float
    dimensions: dict[str, str]


def measurements(row: Dispatch) -> Iterator[Measurement]:
    """Yield what this state of a row adds to metrics. A delivery that is repeated counts twice, which is rare."""
    agent = {"Agent": str(row.spec.agent)}
    # Later writes of the same claim bring progress or a wish to cancel.
    if row.status is Status.PROVISIONING and row.provisioning_at and not (row.progress or row.cancel_requested_at):
        yield Measurement(Metric.CLAIM_LATENCY, (row.provisioning_at - row.queued_at).total_seconds(), agent)
    if row.status.terminal and row.reason:
        yield Measurement(Metric.OUTCOMES, 1, {"Reason": str(row.reason.code)})
        if row.running_at and row.ended_at:
            yield Measurement(Metric.RUN_TIME, (row.ended_at - row.running_at).total_seconds(), agent)
