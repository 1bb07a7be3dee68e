"""The environment's own key, where the configuration asks for one, and who may use it."""

from aws_cdk import Duration, Stack, Stage
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from constructs import Construct, IConstruct

from outpost_constructs.cdk_enums import removal_policy
from outpost_constructs.permissions import Conditions, allow
from outpost_constructs.stack import config_of

READ = ("kms:Decrypt", "kms:DescribeKey")
WRITE = (*READ, "kms:Encrypt", "kms:GenerateDataKey", "kms:ReEncryptFrom", "kms:ReEncryptTo")
USE_DATA_KEYS = ("kms:GenerateDataKey", "kms:Decrypt")
"""What senders to an encrypted queue and writers of a secret need (SQS developer guide, "Key management"; Secrets
Manager user guide, "Secret encryption and decryption")."""
_STACK, _ID = "Network", "Key"


class EnvironmentKey(kms.Key):
    """Encrypts everything that the environment keeps at rest; rotated by KMS each year.

    It is part of the first stack, whose flow logs it encrypts too (docs/adr/0027-one-key-for-everything-at-rest.md).
    Roles get its use by `grant_key`; services that act on their own, for none of our roles, are admitted here, each
    with the conditions that its documentation gives.
    """

    def __init__(self, scope: Construct) -> None:
        super().__init__(
            scope,
            _ID,
            description=f"Outpost {config_of(scope).name}: everything at rest",
            enable_key_rotation=True,
            pending_window=Duration.days(30),
            removal_policy=removal_policy(scope),
        )
        self._account, self._region = Stack.of(self).account, Stack.of(self).region
        self._admit_cloudtrail()
        self._admit_log_groups(config_of(self).name)
        self._admit_senders()

    def _admit_cloudtrail(self) -> None:
        """Let CloudTrail encrypt with the key, look at it, and decrypt, which a bucket with a Bucket Key takes.

        Source: CloudTrail user guide, "Configure AWS KMS key policies for CloudTrail"; aws-cdk issue 23391. CreateTrail
        checks all three. Only encryption has an encryption context, and no condition is documented for decryption.
        """
        trails = f"{self._account}:trail/*"  # the trail's stack stands on the key's: its exact name is not known here
        ours: Conditions = {"ArnLike": {"aws:SourceArn": f"arn:aws:cloudtrail:{self._region}:{trails}"}}
        context = {"kms:EncryptionContext:aws:cloudtrail:arn": f"arn:aws:cloudtrail:*:{trails}"}
        self._admit("TrailsEncrypt", "cloudtrail", ["kms:GenerateDataKey*"], {**ours, "StringLike": context})
        self._admit("TrailsDescribe", "cloudtrail", ["kms:DescribeKey"], ours)
        self._admit("TrailsDecrypt", "cloudtrail", ["kms:Decrypt"])

    def _admit_log_groups(self, environment: str) -> None:
        """Let CloudWatch Logs use the key for groups of this environment; writers and readers of logs need no grant.

        Source: CloudWatch Logs user guide, "Encrypt log data in CloudWatch Logs using AWS KMS".
        """
        names = (f"/outpost/{environment}/*", f"aws-waf-logs-outpost-{environment}")
        groups = [f"arn:aws:logs:{self._region}:{self._account}:log-group:{name}" for name in names]
        actions = ("Encrypt", "Decrypt", "ReEncrypt*", "GenerateDataKey*", "Describe*")
        self._admit(
            "LogGroups",
            f"logs.{self._region}",
            [f"kms:{action}" for action in actions],
            {"ArnLike": {"kms:EncryptionContext:aws:logs:arn": groups}},
        )

    def _admit_senders(self) -> None:
        """Let services send to encrypted topics and queues: alarms and budgets to one, EventBridge to dead letters.

        Sources: SNS developer guide, "Managing Amazon SNS encryption keys and costs" (compatibility with event
        sources); Cost Management user guide, "Creating an Amazon SNS topic for budget notifications". EventBridge's
        calls of KMS carry neither `aws:SourceAccount` nor `aws:SourceArn`: with either it would drop what it could not
        deliver. The queues' own policies name the rules that may send.
        """
        ours: Conditions = {"StringEquals": {"aws:SourceAccount": self._account}}
        self._admit("Alarms", "cloudwatch", ["kms:GenerateDataKey*", "kms:Decrypt"], ours)
        self._admit("Budgets", "budgets", ["kms:GenerateDataKey*", "kms:Decrypt"], ours)
        self._admit("UndeliveredEvents", "events", list(USE_DATA_KEYS))

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


def key_of(scope: IConstruct) -> EnvironmentKey | None:
    """Return the key of the environment that the construct is part of; None where AWS's own keys encrypt.

    Found in the construct tree, so that no log group, queue or function is left out by a parameter that nobody passed.
    """
    stage = Stage.of(scope)
    stack = stage and stage.node.try_find_child(_STACK)
    key = stack and stack.node.try_find_child(_ID)
    return key if isinstance(key, EnvironmentKey) else None


def grant_key(key: kms.IKey | None, grantee: iam.IGrantable, service: str, actions: tuple[str, ...]) -> None:
    """Let the grantee use the key through one AWS service only; nothing to do where AWS holds the keys."""
    if key is None:
        return
    service_of_region = f"{service}.{Stack.of(key).region}.amazonaws.com"
    allow(grantee, *actions, on=[key.key_arn], when={"StringEquals": {"kms:ViaService": service_of_region}})
