"""Who did what: the trail of API calls, the bucket that keeps it, and the key that signs the audit log."""

from aws_cdk import Duration
from aws_cdk import aws_cloudtrail as cloudtrail
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3 as s3
from constructs import Construct

from outpost_constructs.buckets import KeptBucket, ageing
from outpost_constructs.cdk_enums import removal_policy
from outpost_constructs.environment_key import USE_DATA_KEYS, grant_key, key_of
from outpost_constructs.log_group import ExpiringLogGroup, audit_log_days
from outpost_constructs.nag_suppressions import NAMED_AT_RUN_TIME, acknowledge_wildcard, printed
from outpost_constructs.permissions import allow
from outpost_constructs.stack import config_of
from outpost_ops.config.model import RetentionConfig

AUDIT = "audit/"
"""Prefix of the audit log's checkpoints and of records that were set aside."""


class AuditTrail(Construct):
    """Management calls of every region, reads and writes of the artifacts; digests prove that it is untouched.

    The bucket also takes what proves the audit log of calls and states (docs/adr/0045-proof-of-the-audit-log.md).
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        artifacts: s3.IBucket,
        access_logs: s3.IBucket,
        retention: RetentionConfig,
    ) -> None:
        super().__init__(scope, construct_id)
        lock = s3.ObjectLockRetention.governance(Duration.days(retention.lock_days)) if retention.lock_days else None
        expire = s3.LifecycleRule(
            id="expire-audit",
            prefix=AUDIT,
            expiration=Duration.days(audit_log_days(self)),
            noncurrent_version_expiration=Duration.days(30),
        )
        self.bucket = KeptBucket(
            self,
            "Bucket",
            access_logs=access_logs,
            prefix="trail/",
            # What the migration keeps (archive/, migration/) never expires.
            lifecycle_rules=[ageing(retention.audit_days, prefix="AWSLogs/"), expire],
            lock=lock,  # governance: those who may bypass it can still delete; the trail would show it
        )
        self.signing_key = kms.Key(
            self,
            "SigningKey",
            description=f"Outpost {config_of(self).name}: signs checkpoints of the audit log",
            key_spec=kms.KeySpec.RSA_3072,
            key_usage=kms.KeyUsage.SIGN_VERIFY,
            pending_window=Duration.days(30),
            removal_policy=removal_policy(self),
        )
        self.trail = cloudtrail.Trail(
            self,
            "Trail",
            bucket=self.bucket,
            encryption_key=key_of(self),
            is_multi_region_trail=True,
            include_global_service_events=True,
            enable_file_validation=True,
            send_to_cloud_watch_logs=True,
            cloud_watch_log_group=ExpiringLogGroup(self, "Logs", name="trail"),
        )
        self.trail.add_s3_event_selector([cloudtrail.S3EventSelector(bucket=artifacts)])

    def grant_prove(self, grantee: iam.IGrantable) -> None:
        """Let a writer of the audit log set records aside, and sign and store checkpoints. It can read none of them."""
        acknowledge_wildcard(grantee, f"{printed(self.bucket, self.bucket.bucket_arn)}/{AUDIT}*", NAMED_AT_RUN_TIME)
        grant_key(self.bucket.encryption_key, grantee, "s3", USE_DATA_KEYS)
        allow(grantee, "s3:PutObject", on=[self.bucket.arn_for_objects(f"{AUDIT}*")])
        algorithm = {"kms:SigningAlgorithm": "RSASSA_PSS_SHA_256"}
        allow(grantee, "kms:Sign", on=[self.signing_key.key_arn], when={"StringEquals": algorithm})
