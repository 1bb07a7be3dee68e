"""The buckets: of access logs, and of what is kept, such as what dispatches produce."""

from collections.abc import Sequence

from aws_cdk import Duration
from aws_cdk import aws_iam as iam
from aws_cdk import aws_s3 as s3
from constructs import Construct

from outpost_constructs.cdk_enums import removal_policy
from outpost_constructs.environment_key import READ, WRITE, grant_key, key_of
from outpost_constructs.nag_suppressions import NAMED_AT_RUN_TIME, acknowledge_wildcard, printed
from outpost_constructs.permissions import allow

CONTEXT = "context/*"
"""Tenants' notes for agents: `context/<tenant>/<name>.md`. They never expire."""
SUMMARIES = "tenants/*/summary.json"
"""The summaries of attempts, which are written once."""
TENANTS = "tenants/*"
"""Objects of attempts: `tenants/<tenant>/dispatches/<id>/<attempt>/`."""


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


class KeptBucket(s3.Bucket):
    """Private, TLS only, versioned, encrypted with the environment's key where there is one; its reads are logged."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        access_logs: s3.IBucket,
        prefix: str,
        lifecycle_rules: Sequence[s3.LifecycleRule],
        lock: s3.ObjectLockRetention | None = None,
    ) -> None:
        key = key_of(scope)
        super().__init__(
            scope,
            construct_id,
            block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
            encryption=s3.BucketEncryption.KMS if key else s3.BucketEncryption.S3_MANAGED,
            encryption_key=key,
            bucket_key_enabled=True if key else None,
            enforce_ssl=True,
            minimum_tls_version=1.2,
            object_ownership=s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
            versioned=True,
            server_access_logs_bucket=access_logs,
            server_access_logs_prefix=prefix,
            removal_policy=removal_policy(scope),
            object_lock_default_retention=lock,
            lifecycle_rules=lifecycle_rules,
        )


class ArtifactsBucket(KeptBucket):
    """Objects get cheaper with age and expire together with their rows, after `days`.

    Glacier Instant Retrieval keeps the last stage readable: what the API lists, it can serve.
    """

    def __init__(self, scope: Construct, construct_id: str, *, access_logs: s3.IBucket, days: int) -> None:
        expire = s3.LifecycleRule(
            id="expire-artifacts",
            prefix="tenants/",
            transitions=[
                s3.Transition(storage_class=s3.StorageClass.INFREQUENT_ACCESS, transition_after=Duration.days(30)),
                s3.Transition(
                    storage_class=s3.StorageClass.GLACIER_INSTANT_RETRIEVAL, transition_after=Duration.days(90)
                ),
            ],
            expiration=Duration.days(days),
            noncurrent_version_expiration=Duration.days(7),
        )
        abort = s3.LifecycleRule(id="abort-uploads", abort_incomplete_multipart_upload_after=Duration.days(7))
        super().__init__(
            scope, construct_id, access_logs=access_logs, prefix="artifacts/", lifecycle_rules=[expire, abort]
        )

    def grant_tenants(self, grantee: iam.IGrantable, *actions: str) -> iam.Grant:
        """Allow the given S3 actions on the objects of attempts."""
        acknowledge_wildcard(grantee, f"{printed(self, self.bucket_arn)}/{TENANTS}", NAMED_AT_RUN_TIME)
        grant_key(self.encryption_key, grantee, "s3", WRITE if "s3:PutObject" in actions else READ)
        return allow(grantee, *actions, on=[self.arn_for_objects(TENANTS)])

    def deny_replacing(self, role: iam.Role) -> None:
        """Deny writes over what attempts left: each has to ask for the object not to exist (`If-None-Match`).

        Amazon S3 User Guide: "Enforce conditional writes on Amazon S3 buckets". Parts of an upload take no condition,
        but its completion does, and a copy cannot have one.
        """
        role.add_to_policy(
            iam.PolicyStatement(
                effect=iam.Effect.DENY,
                actions=["s3:PutObject"],
                resources=[self.arn_for_objects(TENANTS)],
                conditions={
                    "Null": {"s3:if-none-match": "true"},
                    "Bool": {"s3:ObjectCreationOperation": "true"},
                },
            )
        )

    def grant_context(self, reader: iam.IGrantable, lister: iam.IGrantable) -> None:
        """Allow reading the tenants' notes for agents, and listing names: the lister cannot open what it finds."""
        acknowledge_wildcard(reader, f"{printed(self, self.bucket_arn)}/{CONTEXT}", NAMED_AT_RUN_TIME)
        allow(reader, "s3:GetObject", on=[self.arn_for_objects(CONTEXT)])
        allow(lister, "s3:ListBucket", on=[self.bucket_arn])

    def grant_settle(self, grantee: iam.IGrantable) -> None:
        """Allow reading what attempts left, and writing the summary of one that left none."""
        self.grant_read_tenants(grantee)
        acknowledge_wildcard(grantee, f"{printed(self, self.bucket_arn)}/{SUMMARIES}", NAMED_AT_RUN_TIME)
        grant_key(self.encryption_key, grantee, "s3", WRITE)
        allow(grantee, "s3:PutObject", on=[self.arn_for_objects(SUMMARIES)])

    def grant_read_tenants(self, grantee: iam.IGrantable) -> None:
        """Allow reading what attempts left; without ListBucket a missing object would be 403, not 404."""
        self.grant_tenants(grantee, "s3:GetObject")
        allow(grantee, "s3:ListBucket", on=[self.bucket_arn])


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
