"""The demonstration app's functions."""

import os
from typing import Any

import boto3


def launch(event: dict[str, Any], _context: object) -> list[str]:
    """For each new row of the table, run a task that ends with the row's exit code."""
    ecs = boto3.client("ecs")
    started = []
    for record in event["Records"]:
        row = record["dynamodb"]["NewImage"]
        response = ecs.run_task(
            cluster=os.environ["CLUSTER"],
            taskDefinition=os.environ["FAMILY"],
            launchType="FARGATE",
            networkConfiguration={"awsvpcConfiguration": {"subnets": os.environ["SUBNETS"].split(",")}},
            overrides={"containerOverrides": [{"name": "job", "command": ["exit", row["exit_code"]["S"]]}]},
            startedBy=row["pk"]["S"],
        )
        started += [task["taskArn"] for task in response["tasks"]]
    return started


def record_stop(event: dict[str, Any], _context: object) -> None:
    """Write what an ECS event says about a stopped task into the table."""
    detail = event["detail"]
    boto3.resource("dynamodb").Table(os.environ["STOPPED"]).put_item(
        Item={
            "pk": detail["taskArn"],
            "last_status": detail["lastStatus"],
            "stop_code": detail["stopCode"],
            "exit_code": detail["containers"][0].get("exitCode"),
            "started_by": detail.get("startedBy", ""),
            "cluster": detail["clusterArn"],
        }
    )
