"""Time that passes for a migration: hours of a healthy service, and a month without a call of v1."""

import json
from datetime import datetime, timedelta
from typing import Any

from outpost.domain.ids import now
from outpost.names import MigrationOutput

World = Any


def put_metrics(world: World, start: datetime, minutes: int) -> None:
    """What CloudWatch would hold of a healthy balancer for that time."""
    deployment = world.deployment
    balancer = {
        "Name": "LoadBalancer",
        "Value": deployment[MigrationOutput.LOAD_BALANCER].partition("loadbalancer/")[2],
    }
    group = {"Name": "TargetGroup", "Value": deployment[MigrationOutput.TARGET_GROUP].rpartition(":")[2]}
    data = []
    for minute in range(minutes):
        at = start + timedelta(minutes=minute, seconds=1)
        data += [
            {"MetricName": "HealthyHostCount", "Dimensions": [balancer, group], "Timestamp": at, "Value": 1.0},
            {"MetricName": "RequestCount", "Dimensions": [balancer], "Timestamp": at, "Value": 10.0},
            {"MetricName": "TargetResponseTime", "Dimensions": [balancer], "Timestamp": at, "Value": 0.012},
        ]
    client = world.client("cloudwatch")
    for begin in range(0, len(data), 900):
        client.put_metric_data(Namespace="AWS/ApplicationELB", MetricData=data[begin : begin + 900])


def tick(world: World, at: datetime) -> None:
    """Start the deployed function as its schedule would at that time."""
    name = world.deployment[MigrationOutput.MONITOR_FUNCTION]
    event = {"time": at.strftime("%Y-%m-%dT%H:%M:%SZ")}
    response = world.client("lambda").invoke(FunctionName=name, Payload=json.dumps(event))
    payload = response["Payload"].read()
    assert "FunctionError" not in response, payload


def live_through(world: World, start: datetime, hours: int) -> None:
    """Let healthy hours pass: metrics, calls of AWS, and ticks, which take the samples of all minutes before."""
    put_metrics(world, start, hours * 60)
    for hour in range(1, hours + 1):
        call_at(world, start + timedelta(hours=hour))
        if hour % 2 == 0:
            tick(world, world.now())
    call_at(world, start + timedelta(hours=hours, minutes=30))
    tick(world, world.now())


def call_at(world: World, at: datetime) -> None:
    """Move the clock, and use the account then."""
    world.move(at - now())
    world.client("sts").get_caller_identity()


def quiet_month(world: World, start: datetime) -> None:
    """A month in which the account is used twice a day, v1 never."""
    for half in range(64):
        call_at(world, start + half * timedelta(hours=12))
