"""Empties the buckets of an environment that is about to be destroyed: CloudFormation deletes only empty ones.

`python tools/empty_buckets.py ENVIRONMENT`, with credentials of its account. Refuses unless the configuration says
`removal = "destroy"`.
"""

import sys
from pathlib import Path
from typing import Any

import boto3

from outpost.config import EnvironmentConfig, load
from outpost.verify.deployed import Deployed, NotDeployedError

CONFIG = Path(__file__).resolve().parents[1] / "config"


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


def _buckets(config: EnvironmentConfig, session: boto3.Session) -> list[str]:
    try:
        return Deployed(config, session).of_type("AWS::S3::Bucket")
    except NotDeployedError:
        return []


def main(environment: str) -> None:
    """Empty the buckets of an environment of `config/`."""
    config = load(CONFIG / f"{environment}.toml")
    if config.removal != "destroy":
        raise SystemExit(f'config/{environment}.toml: removal is "{config.removal}": its data survives its stacks')
    session = boto3.Session(region_name=config.region)
    buckets = _buckets(config, session)
    print(f"{empty_buckets(session.client('s3'), buckets)} object versions deleted from {len(buckets)} buckets")


if __name__ == "__main__":
    main(*sys.argv[1:])
