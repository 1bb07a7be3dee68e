"""Verifies the audit log of a deployed environment: log events, records that were set aside, signed checkpoints."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

import boto3
import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_der_public_key, load_pem_public_key
from pydantic import BaseModel, ConfigDict, ValidationError

from outpost.aws.client_config import CLIENT_CONFIG
from outpost.domain.audit_checkpoint import CHECKPOINTS, RECORDS, Checkpoint
from outpost.names import Output, audit_log_group
from outpost.report import Status
from outpost_ops.verify.audit_chains import INCONCLUSIVE, Event, Finding, Kind, evidence_start, verify_chains
from outpost_ops.verify.deployed import NotDeployedError

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


class AuditReport(BaseModel):
    """What an audit log proves about a time."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    environment: str
    since: datetime
    checked_at: datetime
    status: Status
    records: int
    set_aside: int
    """How many of them are in the audit bucket, because CloudWatch Logs did not take them."""
    checkpoints: int
    findings: list[Finding]


def open_evidence(environment: str, session: boto3.Session) -> tuple[Evidence, str]:
    """Return where the environment's audit log is, and the ARN of the key that signs it.

    Raises NotDeployedError and what AWS responds.
    """
    stack = f"Outpost-{environment}-ControlPlane"
    stacks = session.client("cloudformation", config=CLIENT_CONFIG).describe_stacks(StackName=stack)["Stacks"]
    outputs = {each["OutputKey"]: each["OutputValue"] for each in stacks[0].get("Outputs", [])}
    missing = [name for name in (Output.AUDIT_BUCKET, Output.AUDIT_KEY) if name not in outputs]
    if missing:
        raise NotDeployedError(f"the stack {stack} has no output {', '.join(missing)}: deploy this version first")
    evidence = Evidence(
        logs=session.client("logs", config=CLIENT_CONFIG),
        s3=session.client("s3", config=CLIENT_CONFIG),
        environment=environment,
        group=audit_log_group(environment),
        bucket=outputs[Output.AUDIT_BUCKET],
    )
    return evidence, outputs[Output.AUDIT_KEY]


def fetch_key(session: boto3.Session, arn: str) -> RSAPublicKey:
    """Return the public key of the environment's signing key. Raises what KMS responds."""
    return _rsa(load_der_public_key(session.client("kms", config=CLIENT_CONFIG).get_public_key(KeyId=arn)["PublicKey"]))


def load_key(pem: bytes) -> RSAPublicKey:
    """Return a public key from a PEM file. Raises `ValueError` for anything else."""
    return _rsa(load_pem_public_key(pem))


def _rsa(key: object) -> RSAPublicKey:
    if not isinstance(key, RSAPublicKey):
        raise ValueError("the public key is not an RSA key, with which checkpoints are signed")  # noqa: TRY004
    return key


def verify_log(evidence: Evidence, key: RSAPublicKey, *, since: int, now: int) -> AuditReport:
    """Verify what was recorded from `since` on, in milliseconds. Raises what AWS responds."""
    checkpoints, findings = evidence.checkpoints(since, key)
    events = list(evidence.events(evidence_start(checkpoints, since)))
    findings += verify_chains(events, checkpoints, since=since, now=now)
    return AuditReport(
        environment=evidence.environment,
        since=datetime.fromtimestamp(since / 1000, UTC),
        checked_at=datetime.fromtimestamp(now / 1000, UTC),
        status=_status(findings, events=len(events)),
        records=len(events),
        set_aside=sum(event.at is None for event in events),
        checkpoints=len(checkpoints),
        findings=findings,
    )


def _status(findings: list[Finding], events: int) -> Status:
    if any(finding.kind not in INCONCLUSIVE for finding in findings):
        return "fail"
    return "inconclusive" if findings or not events else "pass"
