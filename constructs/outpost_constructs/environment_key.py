"""The environment's own key, where the configuration asks for one."""

from collections.abc import Mapping

from aws_cdk import Duration, Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from constructs import Construct

from outpost.config import EnvironmentConfig
from outpost_constructs.translation import removal_policy

Conditions = Mapping[str, Mapping[str, str]]
READ = ("kms:Decrypt", "kms:DescribeKey")
WRITE = (*READ, "kms:Encrypt", "kms:GenerateDataKey", "kms:ReEncryptFrom", "kms:ReEncryptTo")


class EnvironmentKey(kms.Key):
    """Encrypts tables, artifacts, files, secrets, backups and trails; rotated by KMS each year.

    Queues and log groups keep the services' own keys: wake-ups name no dispatch, logs are scrubbed before they are
    written, and the flow logs' stack stands below the key's (docs/adr/0010-data-and-keys.md).
    """

    def __init__(self, scope: Construct, construct_id: str, *, config: EnvironmentConfig) -> None:
        super().__init__(
            scope,
            construct_id,
            description=f"Outpost {config.name}: data",
            enable_key_rotation=True,
            pending_window=Duration.days(30),
            removal_policy=removal_policy(config),
        )
        self._admit_cloudtrail()

    def _admit_cloudtrail(self) -> None:
        """Let CloudTrail encrypt with the key, look at it, and decrypt, which a bucket with a Bucket Key takes.

        Source: CloudTrail user guide, "Configure AWS KMS key policies for CloudTrail"; aws-cdk issue 23391. CreateTrail
        checks all three. Only encryption has an encryption context, and no condition is documented for decryption.
        """
        stack = Stack.of(self)
        # The trail's stack stands on the key's, so that its exact name cannot be known here.
        ours = {"ArnLike": {"aws:SourceArn": f"arn:aws:cloudtrail:{stack.region}:{stack.account}:trail/*"}}
        context = {"kms:EncryptionContext:aws:cloudtrail:arn": f"arn:aws:cloudtrail:*:{stack.account}:trail/*"}
        self._admit("TrailsEncrypt", "cloudtrail", ["kms:GenerateDataKey*"], {**ours, "StringLike": context})
        self._admit("TrailsDescribe", "cloudtrail", ["kms:DescribeKey"], ours)
        self._admit("TrailsDecrypt", "cloudtrail", ["kms:Decrypt"])

    def _admit(self, sid: str, service: str, actions: list[str], conditions: Conditions | None = None) -> None:
        self.add_to_resource_policy(
            iam.PolicyStatement(
                sid=sid,
                principals=[iam.ServicePrincipal(f"{service}.amazonaws.com")],
                actions=actions,
                resources=["*"],
                conditions=conditions,
            )
        )


def grant_key(key: kms.IKey | None, grantee: iam.IGrantable, service: str, actions: tuple[str, ...]) -> None:
    """Let the grantee use the key through one AWS service only; nothing to do where AWS holds the keys."""
    if key is None:
        return
    iam.Grant.add_to_principal(
        grantee=grantee,
        actions=list(actions),
        resource_arns=[key.key_arn],
        conditions={"StringEquals": {"kms:ViaService": f"{service}.{Stack.of(key).region}.amazonaws.com"}},
    )
