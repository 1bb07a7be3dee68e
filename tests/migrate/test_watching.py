"""The deployed functions: who still calls v1 is counted and named; real samples are taken and judged."""

import json
import time
from datetime import timedelta
from typing import Any

import httpx
import pytest

from outpost.domain.ids import now
from outpost.names import LEGACY_DISPATCHES, METRIC_NAMESPACE, MigrationOutput
from outpost_migration.monitor.model import Plan
from outpost_migration.runner import Runner
from outpost_migration.steps import monitor
from outpost_migration.v1.layout import SCRIPTS_FOLDER
from tests.eventually import eventually

pytestmark = [pytest.mark.full, pytest.mark.timeout(900)]

World = Any


def counted(world: World) -> float:
    points = world.client("cloudwatch").get_metric_statistics(
        Namespace=METRIC_NAMESPACE,
        MetricName=LEGACY_DISPATCHES,
        Dimensions=[{"Name": "Environment", "Value": "local"}],
        StartTime=now() - timedelta(hours=1),
        EndTime=now() + timedelta(minutes=5),
        Period=3600,
        Statistics=["Sum"],
    )["Datapoints"]
    return float(sum(point["Sum"] for point in points))


def lines(world: World) -> list[dict[str, Any]]:
    events = world.client("logs").filter_log_events(logGroupName="/outpost/local/legacy-watch")["events"]
    parsed = [json.loads(event["message"]) for event in events if event["message"].startswith("{")]
    return [line for line in parsed if line.get("message") == "SendCommand"]


def send(world: World, *commands: str) -> str:
    sent = world.client("ssm").send_command(
        InstanceIds=[world.host.instance_id],
        DocumentName="AWS-RunShellScript",
        Parameters={"commands": list(commands)},
    )
    return str(sent["Command"]["CommandId"])


def test_a_dispatch_by_v1_is_counted_and_its_caller_named_and_patching_is_not(fresh: World) -> None:
    world, before = fresh, counted(fresh)
    patching = send(world, "echo apt-get -y upgrade")
    dispatch = send(world, f"{SCRIPTS_FOLDER}/dispatch-codex.sh {world.repository} 'echo still on v1'")
    seen = {}

    def both_told() -> bool:
        seen.update({line["command"]: line for line in lines(world)})
        return {patching, dispatch} <= set(seen)

    eventually(both_told, what="the watch reports both commands")
    assert (seen[patching]["kind"], seen[dispatch]["kind"]) == ("other", "dispatch")
    assert seen[dispatch]["caller"] == "arn:aws:iam::000000000000:root"
    eventually(lambda: counted(world) == before + 1, what="one dispatch is counted")


def test_real_samples_of_a_short_window_are_taken_and_judged(fresh: World) -> None:
    world, run = fresh, f"short-{int(time.time())}"
    short = Plan(
        run=run,
        started_at=now(),
        period_seconds=12,
        window_seconds=36,
        lag_seconds=3,
        metric_delay_seconds=3,
        checkpoints_seconds=(12, 36),
    )
    begun = Runner(world.context(run)).run("monitor", lambda c: monitor.run(c, short), despite={"cutover": "a test"})
    assert begun.status == "inconclusive"
    plan = world.plan(run)
    name = world.deployment[MigrationOutput.MONITOR_FUNCTION]
    end = plan.ends_at + timedelta(seconds=plan.lag_seconds + 2)
    while now() < end:
        httpx.get(f"{world.url}/health/live")
        time.sleep(0.5)  # the samples are of real time
    event = json.dumps({"time": now().isoformat()})
    world.client("lambda").invoke(FunctionName=name, Payload=event)["Payload"].read()
    done = Runner(world.context(run)).run("monitor", lambda c: monitor.run(c, short), despite={"cutover": "a test"})
    assert done.status == "pass", done.checks
    assert (done.samples, done.coverage, done.ssm_calls) == (3, 1.0, 0)  # type: ignore[attr-defined]
    assert [point.after_seconds for point in done.checkpoints] == [12, 36]  # type: ignore[attr-defined]
    assert done.baseline_saved  # type: ignore[attr-defined]
