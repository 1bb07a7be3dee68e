"""What a changed dispatch row says in figures: the stream has each write of it, whichever program made it."""

from collections.abc import Iterator

from outpost.domain.dispatch import Dispatch, Status
from outpost.names import Metric

Figure = tuple[Metric, float, dict[str, str]]
"""Metric, value, dimensions besides the environment."""


def figures(row: Dispatch) -> Iterator[Figure]:
    """Yield what this state of a row says. A delivery that is repeated counts twice, which is rare."""
    agent = {"Agent": str(row.spec.agent)}
    # Later writes of the same claim bring progress or a wish to cancel.
    if row.status is Status.PROVISIONING and row.provisioning_at and not (row.progress or row.cancel_requested_at):
        yield Metric.CLAIM_LATENCY, (row.provisioning_at - row.queued_at).total_seconds(), agent
    if row.status.terminal and row.reason:
        yield Metric.OUTCOMES, 1, {"Reason": str(row.reason.code)}
        if row.running_at and row.ended_at:
            yield Metric.RUN_TIME, (row.ended_at - row.running_at).total_seconds(), agent
