"""Reading what attempts left in the artifacts bucket, and writing the summary of one whose worker is lost.

All else is written by attempts, with credentials of their own.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from outpost.aws.client_config import CLIENT_CONFIG
from outpost.aws.conditional_writes import PreconditionFailedError, put_conditionally
from outpost.domain.artifacts import Artifact, LogLine, Summary, attempt_prefix, chunk_key, stored_name
from outpost.domain.collection import Collection
from outpost.domain.context import context_prefix
from outpost.domain.dispatch import Dispatch
from outpost.domain.findings import Findings
from outpost.names import Env

if TYPE_CHECKING:
    from types_boto3_s3.client import S3Client


_PRESIGNING = Config(
    # Version 4 signatures, also in us-east-1: S3 takes no others for objects under a KMS key.
    signature_version="s3v4",
    # Presigned URLs name the region's own endpoint. Without this botocore puts the global host into them: S3 redirects
    # from there for a new bucket of another region, where the signature is for the wrong host, and returns 400 for
    # regions opened after March 2019 (Amazon S3: Virtual hosting of buckets; boto3#2187, boto3#4768).
    s3={"addressing_style": "virtual", "us_east_1_regional_endpoint": "regional"},
)
MOST_NOTES = 50
"""Even one line of each would fill the largest budget."""


@dataclass(frozen=True)
class Stored:
    """An artifact that is there."""

    artifact: Artifact
    size: int
    withheld: bool
    """It holds the value of a known secret."""

    @property
    def name(self) -> str:
        """The name of its object under the attempt's prefix."""
        return stored_name(self.artifact, withheld=self.withheld)


def prefix_of(row: Dispatch) -> str:
    """Return the prefix of the dispatch's current attempt: once it has ended, the winning one."""
    return attempt_prefix(row.tenant_id, row.id, row.attempt)


class Artifacts:
    """The artifacts bucket."""

    def __init__(self, client: "S3Client", bucket: str) -> None:
        self._client = client
        self._bucket = bucket

    @classmethod
    def from_environment(cls, config: Config | None = None) -> "Artifacts":
        """Connect as the environment says."""
        client = boto3.client("s3", config=(config or CLIENT_CONFIG).merge(_PRESIGNING))
        return cls(client, os.environ[Env.ARTIFACTS_BUCKET])

    def reach(self) -> None:
        """Ask for the bucket. Raises botocore's errors when it cannot be reached."""
        self._client.head_bucket(Bucket=self._bucket)

    def listing(self, row: Dispatch) -> list[Stored]:
        """Return the artifacts of the dispatch's current attempt that are there, withheld ones too."""
        prefix = prefix_of(row)
        response = self._client.list_objects_v2(Bucket=self._bucket, Prefix=prefix, Delimiter="/")
        sizes = {found["Key"].removeprefix(prefix): found["Size"] for found in response.get("Contents", [])}
        every = (Stored(artifact, 0, withheld) for artifact in Artifact for withheld in (False, True))
        return [replace(each, size=sizes[each.name]) for each in every if each.name in sizes]

    def context_keys(self, tenant_id: str) -> tuple[str, ...]:
        """Return the keys of the tenant's notes for agents, as many as can matter."""
        prefix = context_prefix(tenant_id)
        response = self._client.list_objects_v2(Bucket=self._bucket, Prefix=prefix, Delimiter="/", MaxKeys=MOST_NOTES)
        return tuple(found["Key"] for found in response.get("Contents", []) if found["Key"].endswith(".md"))

    def presign(self, key: str, seconds: int) -> str:
        """Return a URL that downloads one object for `seconds`, at most as long as our own credentials live."""
        # An attachment: what an agent wrote is never shown as a page of the storage's host.
        disposition = f'attachment; filename="{key.rpartition("/")[2]}"'
        parameters = {"Bucket": self._bucket, "Key": key, "ResponseContentDisposition": disposition}
        return self._client.generate_presigned_url("get_object", Params=parameters, ExpiresIn=seconds)

    def summary(self, row: Dispatch) -> Summary | None:
        """Read the summary of the current attempt; it is written last, so its presence means that all else is there."""
        body = self._read(prefix_of(row) + Artifact.SUMMARY)
        return Summary.model_validate_json(body) if body is not None else None

    def settle_summary(self, row: Dispatch, lost: Summary) -> Summary:
        """Write the summary of a lost worker, unless the attempt has one; return the one that it has now."""
        key, body = prefix_of(row) + Artifact.SUMMARY, lost.model_dump_json(indent=2).encode()
        try:
            put_conditionally(self._client, self._bucket, key, body, "application/json")
        except PreconditionFailedError:
            return self.summary(row) or lost  # None: it expired at this moment
        return lost

    def findings(self, row: Dispatch) -> Findings | None:
        """Read where secrets were found in what the current attempt left, or None when none was."""
        body = self._read(prefix_of(row) + Artifact.FINDINGS)
        return Findings.model_validate_json(body) if body is not None else None

    def collection(self, row: Dispatch) -> Collection | None:
        """Read what the current attempt kept and left out, or None when there is nothing to say."""
        body = self._read(prefix_of(row) + Artifact.COLLECTION)
        return Collection.model_validate_json(body) if body is not None else None

    def chunk(self, row: Dispatch, number: int) -> list[LogLine] | None:
        """Read log chunk `number` of the current attempt, or None when it has not been written."""
        body = self._read(chunk_key(prefix_of(row), number))
        return None if body is None else [LogLine.model_validate_json(line) for line in body.splitlines()]

    def chunks(self, row: Dispatch, first: int = 1) -> Iterator[tuple[int, list[LogLine]]]:
        """Yield the log chunks that are there, from number `first` on."""
        number = first
        while (lines := self.chunk(row, number)) is not None:
            yield number, lines
            number += 1

    def last_lines(self, row: Dispatch) -> list[str]:
        """Return the current attempt's last log lines, as many as a tail can hold, from its last chunks."""
        chunks = self._client.get_paginator("list_objects_v2").paginate(
            Bucket=self._bucket, Prefix=f"{prefix_of(row)}chunks/"
        )
        last = sum(page.get("KeyCount", 0) for page in chunks)
        # A chunk is 64 KB or the lines of two seconds: two may be needed when the last one is short.
        numbers = range(max(1, last - 1), last + 1)
        return [line.message for number in numbers for line in self.chunk(row, number) or ()]

    def _read(self, key: str) -> bytes | None:
        try:
            return self._client.get_object(Bucket=self._bucket, Key=key)["Body"].read()
        except ClientError as error:
            # Without s3:ListBucket a missing object is refused with AccessDenied; our readers have it.
            if error.response["Error"]["Code"] in ("NoSuchKey", "404"):
                return None
            raise
