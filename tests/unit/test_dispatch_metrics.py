"""The metrics of rows in the stream."""

from datetime import UTC, datetime, timedelta

import pytest
import structlog
from structlog.testing import CapturingLogger

from control_plane.telemetry import emit
from dispatch_changes.changes import measurements
from outpost.domain.agents import Agent
from outpost.domain.dispatch import Dispatch, Spec, Status
from outpost.domain.reasons import Reason, ReasonCode
from outpost.names import METRIC_DIMENSIONS, METRIC_NAMESPACE, Env, Metric

NOW = datetime(2026, 1, 1, tzinfo=UTC)
PENDING = Dispatch(
    id="01KD0000000000000000000000",
    tenant_id="acme",
    created_by="otp_00000000",
    spec=Spec(agent=Agent.SHELL),
    expires_at=1,
    created_at=NOW,
    queued_at=NOW,
)
CLAIMED = PENDING.model_copy(
    update={"status": Status.PROVISIONING, "provisioning_at": NOW + timedelta(seconds=3), "attempt": 1}
)
ENDED = CLAIMED.model_copy(
    update={
        "status": Status.SUCCESS,
        "running_at": NOW + timedelta(seconds=5),
        "ended_at": NOW + timedelta(seconds=65),
        "reason": Reason.of(ReasonCode.COMPLETED, "done"),
    }
)


def test_a_pending_row_says_nothing() -> None:
    assert list(measurements(PENDING)) == []


def test_a_claim_tells_how_long_the_dispatch_waited() -> None:
    assert list(measurements(CLAIMED)) == [(Metric.CLAIM_LATENCY, 3.0, {"Agent": "shell"})]


def test_later_writes_of_the_same_claim_do_not_tell_it_again() -> None:
    assert list(measurements(CLAIMED.model_copy(update={"progress": "cloning"}))) == []
    assert list(measurements(CLAIMED.model_copy(update={"cancel_requested_at": NOW}))) == []


def test_an_end_tells_its_reason_and_the_run_time() -> None:
    assert list(measurements(ENDED)) == [
        (Metric.OUTCOMES, 1, {"Reason": "COMPLETED"}),
        (Metric.RUN_TIME, 60.0, {"Agent": "shell"}),
    ]


def test_a_dispatch_that_never_ran_has_no_run_time() -> None:
    cancelled = ENDED.model_copy(update={"status": Status.CANCELLED, "running_at": None})

    assert [metric for metric, _, _ in measurements(cancelled)] == [Metric.OUTCOMES]


def test_measurements_have_the_dimensions_that_the_templates_name() -> None:
    for metric, _, dimensions in [*measurements(CLAIMED), *measurements(ENDED)]:
        assert ("Environment", *dimensions) == METRIC_DIMENSIONS[metric]


@pytest.mark.parametrize("metric", [metric for metric in Metric if metric.startswith("Audit")])
def test_the_service_logs_a_metric_in_the_embedded_format_with_its_dimensions(
    metric: Metric, monkeypatch: pytest.MonkeyPatch
) -> None:
    """CloudWatch User Guide: "Specification: Embedded metric format"."""
    log = CapturingLogger()
    monkeypatch.setattr(structlog, "get_logger", lambda: log)
    monkeypatch.setenv(Env.ENVIRONMENT, "test")
    emit(metric, 3)
    (call,) = log.calls
    (directive,) = call.kwargs["_aws"]["CloudWatchMetrics"]
    assert (call.kwargs[metric], call.kwargs["Environment"]) == (3, "test")
    assert (directive["Namespace"], directive["Metrics"][0]["Name"]) == (METRIC_NAMESPACE, metric)
    assert [tuple(names) for names in directive["Dimensions"]] == [METRIC_DIMENSIONS[metric]]
