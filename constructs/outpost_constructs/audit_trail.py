"""Who did what: the trail of API calls, and the bucket that keeps it."""

from aws_cdk import Duration
from aws_cdk import aws_cloudtrail as cloudtrail
from aws_cdk import aws_s3 as s3
from constructs import Construct

from outpost.config import EnvironmentConfig
from outpost_constructs.access_logs import ageing
from outpost_constructs.environment_key import key_of
from outpost_constructs.log_group import ExpiringLogGroup
from outpost_constructs.translation import removal_policy


class AuditTrail(Construct):
    """Management calls of every region, reads and writes of the artifacts; digests prove that it is untouched."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        artifacts: s3.IBucket,
        access_logs: s3.IBucket,
        config: EnvironmentConfig,
    ) -> None:
        super().__init__(scope, construct_id)
        key = key_of(self)
        lock_days = config.retention.lock_days
        self.bucket = s3.Bucket(
            self,
            "Bucket",
            block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
            encryption=s3.BucketEncryption.KMS if key else s3.BucketEncryption.S3_MANAGED,
            encryption_key=key,
            bucket_key_enabled=True if key else None,
            enforce_ssl=True,
            minimum_tls_version=1.2,
            object_ownership=s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
            versioned=True,
            server_access_logs_bucket=access_logs,
            server_access_logs_prefix="trail/",
            removal_policy=removal_policy(config),
            # Governance: whoever has to, and may bypass it, can still delete; the trail would show it.
            object_lock_default_retention=s3.ObjectLockRetention.governance(Duration.days(lock_days))
            if lock_days
            else None,
            # What the migration keeps (archive/, migration/) never expires.
            lifecycle_rules=[ageing(config, prefix="AWSLogs/")],
        )
        self.trail = cloudtrail.Trail(
            self,
            "Trail",
            bucket=self.bucket,
            encryption_key=key,
            is_multi_region_trail=True,
            include_global_service_events=True,
            enable_file_validation=True,
            send_to_cloud_watch_logs=True,
            cloud_watch_log_group=ExpiringLogGroup(self, "Logs", config=config, name="trail"),
        )
        self.trail.add_s3_event_selector([cloudtrail.S3EventSelector(bucket=artifacts)])
