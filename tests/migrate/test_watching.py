"""The deployed functions: who still calls v1 is counted and named; real samples are taken and evaluated."""

import json
import time
from contextlib import suppress
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import httpx
import pytest

from outpost.domain.ids import now
from outpost.names import LEGACY_DISPATCHES, METRIC_NAMESPACE
from outpost_migration.monitor.model import Plan
from outpost_migration.runner import run_step
from outpost_migration.steps import monitor
from outpost_migration.v1.layout import SCRIPTS_FOLDER
from tests.eventually import eventually
from tests.migrate.elapsed_time import tick

pytestmark = [pytest.mark.full, pytest.mark.timeout(900)]

World = Any
RETRIED = 300
"""Seconds within which an event is handled although its function failed twice: Lambda invokes it again after one minute
and after two more (AWS Lambda Developer Guide: "How Lambda handles errors and retries with asynchronous invocation").
"""


def counted(world: World, since: datetime) -> tuple[float, float]:
    """Return the smallest and the largest value that the metric has been given since that minute began.

    Neither depends on how often an event is delivered, nor on what earlier tests' late events add: a sum does. "You
    might receive the same event more than once" (Amazon EventBridge User Guide: "Events").
    """
    points = world.client("cloudwatch").get_metric_statistics(
        Namespace=METRIC_NAMESPACE,
        MetricName=LEGACY_DISPATCHES,
        Dimensions=[{"Name": "Environment", "Value": "local"}],
        StartTime=since.replace(second=0, microsecond=0),
        EndTime=now() + timedelta(minutes=5),
        Period=60,
        Statistics=["Minimum", "Maximum"],
    )["Datapoints"]
    return min((point["Minimum"] for point in points), default=-1), max((p["Maximum"] for p in points), default=-1)


def logged(world: World, command: str) -> list[dict[str, Any]]:
    """Return every line about a command: one for each delivery of its event."""
    pages = world.client("logs").get_paginator("filter_log_events").paginate(logGroupName="/outpost/local/legacy-watch")
    messages = (event["message"] for page in pages for event in page["events"])
    lines = [json.loads(message) for message in messages if message.startswith("{")]
    return [line for line in lines if line.get("message") == "SendCommand" and line["command"] == command]


def send(world: World, *commands: str) -> str:
    sent = world.client("ssm").send_command(
        InstanceIds=[world.host.instance_id],
        DocumentName="AWS-RunShellScript",
        Parameters={"commands": list(commands)},
    )
    return str(sent["Command"]["CommandId"])


def test_a_dispatch_by_v1_is_counted_and_its_caller_named_and_patching_is_not(fresh: World) -> None:
    world, since = fresh, now()
    patching = send(world, "echo apt-get -y upgrade")
    dispatch = send(world, f"{SCRIPTS_FOLDER}/dispatch-codex.sh {world.repository} 'echo still on v1'")
    for command, kind in ((patching, "other"), (dispatch, "dispatch")):
        lines = eventually(partial(logged, world, command), within=RETRIED, what=f"a line about the {kind}")
        assert {(line["kind"], line["caller"]) for line in lines} == {(kind, "arn:aws:iam::000000000000:root")}
    eventually(lambda: counted(world, since) == (0, 1), within=RETRIED, what="patching counts 0 and a dispatch 1")


def test_real_samples_of_a_short_window_are_taken_and_evaluated(fresh: World) -> None:
    world, run = fresh, f"short-{time.time_ns()}"
    short = Plan(
        run=run,
        started_at=now(),
        period_seconds=12,
        window_seconds=36,
        lag_seconds=3,
        metric_delay_seconds=3,
        checkpoints_seconds=(12, 36),
    )

    def report() -> monitor.MonitoringReport:
        return run_step(world.context(run), monitor.STEP, despite={"cutover": "a test"})

    monitor.start(world.context(run), short)
    assert report().status == "inconclusive"
    plan = world.plan(run)
    end = plan.ends_at + timedelta(seconds=plan.lag_seconds + 2)
    with httpx.Client(base_url=world.url, timeout=120) as client:
        while now() < end:  # the samples are of real time
            with suppress(httpx.TransportError):
                client.get("/health/live")
            time.sleep(0.5)

    def covered() -> bool:
        tick(world, now())  # one that runs beside the scheduled tick may leave its samples to the next
        return bool(report().coverage == 1.0)

    eventually(covered, within=RETRIED, what="every period has a complete sample")
    tick(world, now())
    done = report()
    states = {check.id: check.status for check in done.checks}
    assert (states["coverage"], states["v1-dispatches"], states["ticks"]) == ("pass", "pass", "pass"), done.checks
    assert "inconclusive" not in states.values(), done.checks  # but a busy machine may be slow, which fails
    assert (done.samples, done.ssm_calls) == (3, 0)
    assert [point.after_seconds for point in done.checkpoints] == [12, 36]
    assert done.baseline_saved is (done.status == "pass")
