"""The stored audit log of an environment: log events, records that were set aside, and signed checkpoints."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from pydantic import ValidationError

from outpost.domain.audit_checkpoint import CHECKPOINTS, RECORDS, Checkpoint
from outpost_ops.verify.audit_chains import Event, Finding, Kind

if TYPE_CHECKING:
    from types_boto3_logs.client import CloudWatchLogsClient
    from types_boto3_s3.client import S3Client

READERS = 16
"""Objects read at once."""


@dataclass(frozen=True)
class Evidence:
    """Where an environment's audit log is. Its methods raise what AWS responds; times are in milliseconds."""

    logs: "CloudWatchLogsClient"
    s3: "S3Client"
    environment: str
    group: str
    bucket: str

    def events(self, start: int) -> Iterator[Event]:
        """Yield the stored lines from `start` on."""
        pages = self.logs.get_paginator("filter_log_events").paginate(logGroupName=self.group, startTime=start)
        for page in pages:
            for event in page["events"]:
                yield Event(event["message"], event["timestamp"])
        for text in self.set_aside(start):
            yield Event(text, None)

    def set_aside(self, start: int) -> Iterator[str]:
        """Yield the lines in the bucket, of the day before `start` on."""
        for _, body in self._objects(RECORDS, start):
            yield from body.decode().splitlines()

    def checkpoints(self, start: int, key: RSAPublicKey) -> tuple[list[Checkpoint], list[Finding]]:
        """Return the checkpoints of the day before `start` on that the key signed, and what is wrong with others."""
        checkpoints, findings = [], []
        for name, body in self._objects(CHECKPOINTS, start):
            try:
                checkpoint = Checkpoint.model_validate_json(jwt.PyJWS().decode(body, key, algorithms=["PS256"]))
            except (jwt.InvalidTokenError, ValidationError) as error:
                findings.append(Finding(kind=Kind.FORGED, chain=None, detail=f"{name} is not validly signed: {error}"))
                continue
            if checkpoint.environment != self.environment or checkpoint.key != name:
                findings.append(
                    Finding(kind=Kind.FORGED, chain=checkpoint.chain, detail=f"{name} holds another checkpoint")
                )
            checkpoints.append(checkpoint)
        return checkpoints, findings

    def _objects(self, prefix: str, start: int) -> Iterator[tuple[str, bytes]]:
        """Yield name and content of every version of the objects: one that was replaced is evidence as well."""
        versions = [version for day in _days(start) for version in self._versions(f"{prefix}{day}/")]

        def read(version: tuple[str, str]) -> tuple[str, bytes]:
            name, id_ = version
            response = self.s3.get_object(Bucket=self.bucket, Key=name, VersionId=id_)
            return name, response["Body"].read()

        with ThreadPoolExecutor(READERS) as pool:
            yield from pool.map(read, versions)

    def _versions(self, prefix: str) -> Iterator[tuple[str, str]]:
        pages = self.s3.get_paginator("list_object_versions").paginate(Bucket=self.bucket, Prefix=prefix)
        for page in pages:
            for version in page.get("Versions", []):
                yield version["Key"], version["VersionId"]


def _days(start: int) -> Iterator[date]:
    """Yield the days from the one before `start` to tomorrow.

    Names have the day of the first record or of the signing, by the clock of a replica, which may be ahead of ours.
    """
    day = datetime.fromtimestamp(start / 1000, UTC).date() - timedelta(days=1)
    last = datetime.now(UTC).date() + timedelta(days=1)
    while day <= last:
        yield day
        day += timedelta(days=1)
