"""Verifies the audit log of a deployed environment: finds it, reads it, reports what is wrong with it."""

from datetime import UTC, datetime

import boto3
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_der_public_key, load_pem_public_key
from pydantic import BaseModel, ConfigDict

from outpost.aws.client_config import CLIENT_CONFIG
from outpost.names import Output, audit_log_group
from outpost.report import Status
from outpost_ops.verify.audit_chains import INCONCLUSIVE, Finding, evidence_start, verify_chains
from outpost_ops.verify.audit_evidence import Evidence
from outpost_ops.verify.deployed import NotDeployedError


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
