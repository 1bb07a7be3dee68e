"""Stops and empties what CloudFormation does not delete while it is in use, and deletes what no stack created.

`python tools/release_resources.py release ENVIRONMENT`, with credentials of its account, when nothing starts tasks any
more: the stacks with the services, the functions and the load balancer are deleted, hence its access logs have ended.
What is delivered late (S3: "best effort", CloudTrail: within minutes) is deleted by a second run.
Refuses unless the configuration says `removal = "destroy"`; `check` in place of `release` does no more than that.
"""

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3

from outpost.names import tenant_secrets_prefix
from outpost_ops.config import ConfigError, load
from outpost_ops.verify.deployed import Deployed, NotDeployedError, WrongAccountError

CONFIG = Path(__file__).resolve().parents[1] / "config"
_POLL_SECONDS, _POLLS = 10.0, 180
_BUSY = {"CREATING", "DELETING"}
"""States in which AWS Backup refuses to delete a recovery point; it ends them by itself."""


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


def stop_logging(cloudtrail: Any, trails: list[str]) -> None:  # noqa: ANN401 - a client of boto3
    """Stop what the trails deliver into their buckets. Raises ClientError."""
    for trail in trails:
        cloudtrail.stop_logging(Name=trail)


def stop_access_logs(s3: Any, buckets: list[str]) -> set[str]:  # noqa: ANN401 - a client of boto3
    """Stop the access logs of the buckets; return the buckets that they were delivered to. Raises ClientError."""
    targets = set()
    for bucket in buckets:
        logging = s3.get_bucket_logging(Bucket=bucket).get("LoggingEnabled")
        if logging:
            targets.add(logging["TargetBucket"])
            s3.put_bucket_logging(Bucket=bucket, BucketLoggingStatus={})
    return targets


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


def delete_recovery_points(
    backup: Any,  # noqa: ANN401 - a client of boto3
    vaults: list[str],
    pause: Callable[[float], None] = time.sleep,
) -> int:
    """Delete the recovery points in the vaults and wait up to 30 minutes until they are gone; return how many.

    A point that AWS Backup may not delete becomes EXPIRED and stays. Raises ClientError, and SystemExit when one stays.
    """
    deleted = set()
    for vault in vaults:
        pages = backup.get_paginator("list_recovery_points_by_backup_vault")
        for _ in range(_POLLS):
            points = [point for page in pages.paginate(BackupVaultName=vault) for point in page["RecoveryPoints"]]
            if not points:
                break
            for point in (each for each in points if each["Status"] not in _BUSY):
                backup.delete_recovery_point(BackupVaultName=vault, RecoveryPointArn=point["RecoveryPointArn"])
                deleted.add(point["RecoveryPointArn"])
            pause(_POLL_SECONDS)
        else:
            first = points[0]
            raise SystemExit(
                f"{vault}: {first['RecoveryPointArn']} is {first['Status']}: see its status message with `aws backup "
                f"describe-recovery-point --backup-vault-name {vault} --recovery-point-arn {first['RecoveryPointArn']}`"
            )
    return len(deleted)


def delete_tenant_secrets(secrets: Any, environment: str) -> int:  # noqa: ANN401 - a client of boto3
    """Delete the secrets that tenants stored, at once: their names are free again. Return how many.

    Raises ClientError.
    """
    prefix = tenant_secrets_prefix(environment)
    pages = secrets.get_paginator("list_secrets").paginate(Filters=[{"Key": "name", "Values": [prefix]}])
    found = [each["ARN"] for page in pages for each in page["SecretList"] if each["Name"].startswith(prefix)]
    for arn in found:
        secrets.delete_secret(SecretId=arn, ForceDeleteWithoutRecovery=True)
    return len(found)


def release(deployed: Deployed, pause: Callable[[float], None] = time.sleep) -> str:
    """Stop and empty what the environment's stacks hold; return what was done. Raises ClientError, SystemExit."""
    try:
        clusters, buckets = deployed.of_type("AWS::ECS::Cluster"), deployed.of_type("AWS::S3::Bucket")
    except NotDeployedError:
        return "no stack is left"
    s3 = deployed.client("s3")
    stop_logging(deployed.client("cloudtrail"), deployed.of_type("AWS::CloudTrail::Trail"))
    targets = stop_access_logs(s3, buckets)
    tasks = stop_tasks(deployed.client("ecs"), clusters)
    points = delete_recovery_points(deployed.client("backup"), deployed.of_type("AWS::Backup::BackupVault"), pause)
    secrets = delete_tenant_secrets(deployed.client("secretsmanager"), deployed.config.name)
    versions = empty_buckets(s3, sorted(buckets, key=targets.__contains__))
    return (
        f"{tasks} tasks stopped, {points} recovery points and {secrets} secrets of tenants deleted, "
        f"{versions} object versions deleted from {len(buckets)} buckets"
    )


def permitted(environment: str) -> Deployed:
    """Return the environment if it may be destroyed with the credentials at hand. Raises SystemExit."""
    try:
        config = load(CONFIG / f"{environment}.toml")
        if config.removal != "destroy":
            raise SystemExit(f'config/{environment}.toml: removal is "{config.removal}": its data survives its stacks')
        deployed = Deployed(config, boto3.Session(region_name=config.region))
        deployed.require_account()
    except (ConfigError, WrongAccountError) as error:
        raise SystemExit(str(error)) from error
    return deployed


def main(step: str, environment: str) -> None:
    """Check that an environment of `config/` may be destroyed, or release what it holds as well."""
    deployed = permitted(environment)
    if step == "release":
        print(release(deployed))


if __name__ == "__main__":
    main(*sys.argv[1:])
