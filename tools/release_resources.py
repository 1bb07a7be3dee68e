"""Stops the tasks and empties the buckets of an environment: CloudFormation deletes no cluster or bucket in use.

`python tools/release_resources.py ENVIRONMENT`, with credentials of its account, when nothing starts tasks any more.
Refuses unless the configuration says `removal = "destroy"`.
"""

import sys
from pathlib import Path
from typing import Any

import boto3

from outpost.config import load
from outpost.verify.deployed import Deployed, NotDeployedError, WrongAccountError

CONFIG = Path(__file__).resolve().parents[1] / "config"


def stop_tasks(ecs: Any, clusters: list[str]) -> int:  # noqa: ANN401 - a client of boto3
    """Stop every task of the clusters and wait until they have ended; return how many. Raises ClientError."""
    stopped = 0
    for cluster in clusters:
        for page in ecs.get_paginator("list_tasks").paginate(cluster=cluster):
            for task in page["taskArns"]:
                ecs.stop_task(cluster=cluster, task=task, reason="the environment is destroyed")
            if page["taskArns"]:
                ecs.get_waiter("tasks_stopped").wait(cluster=cluster, tasks=page["taskArns"])
            stopped += len(page["taskArns"])
    return stopped


def empty_buckets(s3: Any, buckets: list[str]) -> int:  # noqa: ANN401 - a client of boto3
    """Delete every version of every object in the buckets; return how many. Raises ClientError."""
    deleted = 0
    for bucket in buckets:
        for page in s3.get_paginator("list_object_versions").paginate(Bucket=bucket):
            found = [*page.get("Versions", []), *page.get("DeleteMarkers", [])]
            objects = [{"Key": each["Key"], "VersionId": each["VersionId"]} for each in found]
            if objects:
                errors = s3.delete_objects(Bucket=bucket, Delete={"Objects": objects, "Quiet": True}).get("Errors", [])
                if errors:
                    raise SystemExit(f"{bucket}: {errors[0]['Key']}: {errors[0]['Message']}")
            deleted += len(objects)
    return deleted


def release(deployed: Deployed) -> str:
    """Stop and empty what the environment's stacks hold; return what was done. Raises ClientError."""
    try:
        clusters, buckets = deployed.of_type("AWS::ECS::Cluster"), deployed.of_type("AWS::S3::Bucket")
    except NotDeployedError:
        return "no stack is left"
    tasks = stop_tasks(deployed.client("ecs"), clusters)
    versions = empty_buckets(deployed.client("s3"), buckets)
    return f"{tasks} tasks stopped, {versions} object versions deleted from {len(buckets)} buckets"


def main(environment: str) -> None:
    """Release what an environment of `config/` holds."""
    config = load(CONFIG / f"{environment}.toml")
    if config.removal != "destroy":
        raise SystemExit(f'config/{environment}.toml: removal is "{config.removal}": its data survives its stacks')
    deployed = Deployed(config, boto3.Session(region_name=config.region))
    try:
        deployed.require_account()
    except WrongAccountError as error:
        raise SystemExit(str(error)) from error
    print(release(deployed))


if __name__ == "__main__":
    main(*sys.argv[1:])
