"""The file system that keeps workspaces between dispatches."""

from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_efs as efs
from aws_cdk import aws_iam as iam
from constructs import Construct

from outpost_constructs.cdk_enums import removal_policy
from outpost_constructs.environment_key import key_of
from outpost_constructs.network import Network
from outpost_constructs.permissions import allow

HARNESS_UID = "10001"
"""User and group of the worker's harness: the only ones that the access point knows."""


class Workspaces(Construct):
    """Elastic, encrypted, backed up; reached over TLS, with IAM, through one access point only."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        network: Network,
        security_group: ec2.ISecurityGroup,
        automatic_backups: bool,
    ) -> None:
        super().__init__(scope, construct_id)
        self.file_system = efs.FileSystem(
            self,
            "FileSystem",
            vpc=network.vpc,
            vpc_subnets=ec2.SubnetSelection(subnets=network.private_subnets),
            security_group=security_group,
            encrypted=True,
            kms_key=key_of(self),
            throughput_mode=efs.ThroughputMode.ELASTIC,
            lifecycle_policy=efs.LifecyclePolicy.AFTER_30_DAYS,
            out_of_infrequent_access_policy=efs.OutOfInfrequentAccessPolicy.AFTER_1_ACCESS,
            enable_automatic_backups=automatic_backups,
            # Without this the CDK adds a statement that lets anybody write. A policy without an Allow admits nobody
            # but roles whose own policies do: no anonymous client.
            allow_anonymous_access=True,
            file_system_policy=_refuse_detours(),
            removal_policy=removal_policy(self),
        )
        self.access_point = self.file_system.add_access_point(
            "Harness",
            path="/workspaces",
            posix_user=efs.PosixUser(uid=HARNESS_UID, gid=HARNESS_UID),
            create_acl=efs.Acl(owner_uid=HARNESS_UID, owner_gid=HARNESS_UID, permissions="0750"),
        )

    def grant_mount(self, grantee: iam.IGrantable) -> iam.Grant:
        """Let the grantee read and write files through the access point."""
        return allow(
            grantee,
            "elasticfilesystem:ClientMount",
            "elasticfilesystem:ClientWrite",
            on=[self.file_system.file_system_arn],
            when={"StringEquals": {"elasticfilesystem:AccessPointArn": self.access_point.access_point_arn}},
        )

    def grant_describe(self, grantee: iam.IGrantable) -> iam.Grant:
        """Let the grantee see the file system's state."""
        return allow(grantee, "elasticfilesystem:DescribeFileSystems", on=[self.file_system.file_system_arn])


def _refuse_detours() -> iam.PolicyDocument:
    """Deny every way in but TLS and an access point; identity policies, which name ours, do the allowing."""
    mounting = [f"elasticfilesystem:Client{action}" for action in ("Mount", "Write", "RootAccess")]
    refused = (
        ("TlsOnly", ["*"], {"Bool": {"aws:SecureTransport": "false"}}),
        ("AccessPointOnly", mounting, {"Null": {"elasticfilesystem:AccessPointArn": "true"}}),
    )
    return iam.PolicyDocument(
        statements=[
            iam.PolicyStatement(
                sid=sid,
                effect=iam.Effect.DENY,
                principals=[iam.AnyPrincipal()],
                actions=actions,
                conditions=conditions,
            )
            for sid, actions, conditions in refused
        ]
    )
