"""Who did what: the trail of API calls, and the buckets of trails and access logs."""

from aws_cdk import Duration
from aws_cdk import aws_cloudtrail as cloudtrail
from aws_cdk import aws_s3 as s3
from constructs import Construct

from outpost.config import EnvironmentConfig
from outpost_constructs.log_group import ExpiringLogGroup
from outpost_constructs.translation import removal_policy


class AccessLogsBucket(s3.Bucket):
    """Takes access logs of the load balancer and of the trail's bucket. Their delivery works with S3's own key only."""

    def __init__(self, scope: Construct, construct_id: str, *, config: EnvironmentConfig) -> None:
        super().__init__(
            scope,
            construct_id,
            block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
            encryption=s3.BucketEncryption.S3_MANAGED,
            enforce_ssl=True,
            minimum_tls_version=1.2,
            removal_policy=removal_policy(config),
            lifecycle_rules=[_ageing(config)],
        )


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
        self.bucket = s3.Bucket(
            self,
            "Bucket",
            block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
            encryption=s3.BucketEncryption.S3_MANAGED,
            enforce_ssl=True,
            minimum_tls_version=1.2,
            object_ownership=s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
            versioned=True,
            server_access_logs_bucket=access_logs,
            server_access_logs_prefix="trail/",
            removal_policy=removal_policy(config),
            # What the migration keeps (archive/, migration/) never expires.
            lifecycle_rules=[_ageing(config, prefix="AWSLogs/")],
        )
        self.trail = cloudtrail.Trail(
            self,
            "Trail",
            bucket=self.bucket,
            is_multi_region_trail=True,
            include_global_service_events=True,
            enable_file_validation=True,
            send_to_cloud_watch_logs=True,
            cloud_watch_log_group=ExpiringLogGroup(self, "Logs", config=config, name="trail"),
        )
        self.trail.add_s3_event_selector([cloudtrail.S3EventSelector(bucket=artifacts)])


def _ageing(config: EnvironmentConfig, prefix: str | None = None) -> s3.LifecycleRule:
    return s3.LifecycleRule(
        id="age",
        prefix=prefix,
        transitions=[
            s3.Transition(storage_class=s3.StorageClass.INFREQUENT_ACCESS, transition_after=Duration.days(90)),
            s3.Transition(storage_class=s3.StorageClass.GLACIER, transition_after=Duration.days(180)),
        ],
        expiration=Duration.days(config.retention.audit_days),
        noncurrent_version_expiration=Duration.days(30),
        abort_incomplete_multipart_upload_after=Duration.days(7),
    )
