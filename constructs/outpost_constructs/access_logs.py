"""The bucket of access logs."""

from aws_cdk import Duration
from aws_cdk import aws_s3 as s3
from constructs import Construct

from outpost_constructs.cdk_enums import removal_policy


class AccessLogsBucket(s3.Bucket):
    """Takes access logs of buckets and load balancer for `days`. Their delivery works with S3's own key only."""

    def __init__(self, scope: Construct, construct_id: str, *, days: int) -> None:
        super().__init__(
            scope,
            construct_id,
            block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
            encryption=s3.BucketEncryption.S3_MANAGED,
            enforce_ssl=True,
            minimum_tls_version=1.2,
            removal_policy=removal_policy(scope),
            lifecycle_rules=[ageing(days)],
        )


def ageing(days: int, prefix: str | None = None) -> s3.LifecycleRule:
    """Return the rule for records that are seldom read: cheaper with age, gone after so many days."""
    return s3.LifecycleRule(
        id="age",
        prefix=prefix,
        transitions=[
            s3.Transition(storage_class=s3.StorageClass.INFREQUENT_ACCESS, transition_after=Duration.days(90)),
            s3.Transition(storage_class=s3.StorageClass.GLACIER, transition_after=Duration.days(180)),
        ],
        expiration=Duration.days(days),
        noncurrent_version_expiration=Duration.days(30),
        abort_incomplete_multipart_upload_after=Duration.days(7),
    )
