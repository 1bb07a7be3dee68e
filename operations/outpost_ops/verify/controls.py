"""The seven controls, read from the deployed environment; those on what is kept are here."""

import json
from collections.abc import Callable
from typing import Any

from botocore.exceptions import ClientError

from outpost.report import Check
from outpost_ops.controls.catalogue import Control
from outpost_ops.controls.policies import public_statements, unset_flags
from outpost_ops.verify.controls_network import flow_logs, private_tasks, security_groups
from outpost_ops.verify.deployed import Deployed
from outpost_ops.verify.evidence import Evidence


def trail(deployed: Deployed, evidence: Evidence) -> None:
    """Read whether each trail logs every region, with validation, and whether its bucket gets the files."""
    cloudtrail = deployed.client("cloudtrail")
    for name in deployed.of_type("AWS::CloudTrail::Trail"):
        described = cloudtrail.describe_trails(trailNameList=[name], includeShadowTrails=False)["trailList"]
        if not described:
            evidence.note(f"{name} does not exist", False)
            continue
        status = cloudtrail.get_trail_status(Name=described[0]["TrailARN"])
        evidence.demand(f"{name}: IsLogging", status["IsLogging"])
        for switch in ("LogFileValidationEnabled", "IsMultiRegionTrail"):
            evidence.demand(f"{name}: {switch}", described[0].get(switch) is True)
        error = status.get("LatestDeliveryError")
        if error:
            evidence.note(f"{name}: the last delivery to {described[0]['S3BucketName']} failed: {error}", False)
        elif status.get("LatestDeliveryTime"):
            evidence.note(f"{name}: delivered to {described[0]['S3BucketName']} at {status['LatestDeliveryTime']}")
        else:
            evidence.note(f"{name}: nothing was delivered to {described[0]['S3BucketName']} yet", None)


def encryption(deployed: Deployed, evidence: Evidence) -> None:
    """Read the default encryption of each bucket; with KMS a bucket key is demanded."""
    s3 = deployed.client("s3")
    for bucket in deployed.of_type("AWS::S3::Bucket"):
        encryption = _unless("ServerSideEncryptionConfigurationNotFoundError", s3.get_bucket_encryption, Bucket=bucket)
        rules = encryption.get("ServerSideEncryptionConfiguration", {}).get("Rules", [])
        evidence.demand(f"{bucket}: default encryption", bool(rules))
        for rule in rules:
            algorithm = rule.get("ApplyServerSideEncryptionByDefault", {}).get("SSEAlgorithm")
            if algorithm == "aws:kms":
                evidence.demand(f"{bucket}: bucket key of {algorithm}", rule.get("BucketKeyEnabled") is True)
            else:
                evidence.note(f"{bucket}: {algorithm}, which needs no bucket key")


def public_access(deployed: Deployed, evidence: Evidence) -> None:
    """Read the four block flags and the policy of each bucket."""
    s3 = deployed.client("s3")
    for bucket in deployed.of_type("AWS::S3::Bucket"):
        block = _unless("NoSuchPublicAccessBlockConfiguration", s3.get_public_access_block, Bucket=bucket)
        unset = unset_flags(block.get("PublicAccessBlockConfiguration", {}))
        evidence.demand(f"{bucket}: {', '.join(unset) or 'all four block flags'}", not unset)
        policy = _unless("NoSuchBucketPolicy", s3.get_bucket_policy, Bucket=bucket)
        public = [statement["Action"] for statement in public_statements(json.loads(policy.get("Policy", "{}")))]
        evidence.demand(f"{bucket}: no public policy", not public)


def tables(deployed: Deployed, evidence: Evidence) -> None:
    """Read each table's key, its point-in-time recovery and, in prod, its deletion protection."""
    dynamodb = deployed.client("dynamodb")
    keys = deployed.of_type("AWS::KMS::Key") if deployed.config.encryption == "customer" else []
    for name in deployed.of_type("AWS::DynamoDB::Table"):
        table = dynamodb.describe_table(TableName=name)["Table"]
        sse = table.get("SSEDescription") or {}
        key = sse.get("KMSMasterKeyArn", "")
        evidence.demand(f"{name}: encrypted with KMS", (sse.get("Status"), sse.get("SSEType")) == ("ENABLED", "KMS"))
        if deployed.config.encryption == "customer":
            evidence.demand(f"{name}: with the environment's key, found {key!r}", key.rpartition("/")[2] in keys)
        backups = dynamodb.describe_continuous_backups(TableName=name)["ContinuousBackupsDescription"]
        recovery = backups.get("PointInTimeRecoveryDescription", {}).get("PointInTimeRecoveryStatus")
        evidence.demand(f"{name}: point-in-time recovery", recovery == "ENABLED")
        if deployed.config.name == "prod":
            evidence.demand(f"{name}: deletion protection", table.get("DeletionProtectionEnabled") is True)


def _unless(code: str, call: Callable[..., dict[str, Any]], **arguments: str) -> dict[str, Any]:
    """Return the response of a call, or nothing when the error is that there is none."""
    try:
        return call(**arguments)
    except ClientError as error:
        if error.response["Error"]["Code"] != code:
            raise
        return {}


CHECKS: dict[Control, Callable[[Deployed, Evidence], None]] = {
    Control.TRAIL: trail,
    Control.ENCRYPTION: encryption,
    Control.PUBLIC_ACCESS: public_access,
    Control.FLOW_LOGS: flow_logs,
    Control.SECURITY_GROUPS: security_groups,
    Control.PRIVATE_TASKS: private_tasks,
    Control.TABLES: tables,
}


def verify_controls(deployed: Deployed) -> list[Check]:
    """Check every control. A refused call makes a control inconclusive. Raises NotDeployedError."""
    return [_checked(control, check, deployed) for control, check in CHECKS.items()]


def _checked(control: Control, check: Callable[[Deployed, Evidence], None], deployed: Deployed) -> Check:
    evidence = Evidence(control)
    try:
        check(deployed, evidence)
    except ClientError as error:
        return Check.of(control, control.demand, None, [str(error)], control.remedy)
    return evidence.check()
