"""Queues: an agent's wake-ups, and where failed deliveries go."""

from aws_cdk import Duration
from aws_cdk import aws_iam as iam
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from outpost_constructs.environment_key import USE_DATA_KEYS, grant_key, key_of
from outpost_constructs.nag_suppressions import acknowledge
from outpost_constructs.permissions import allow

_DATA_KEY_REUSE = 3_600
"""Seconds for which SQS uses a data key again. Each new one is paid for; a revoked grant works for so long."""


class DeadLetterQueue(sqs.Queue):
    """Keeps what could not be delivered for 14 days; an alarm watches it."""

    def __init__(self, scope: Construct, construct_id: str) -> None:
        super().__init__(
            scope,
            construct_id,
            enforce_ssl=True,
            retention_period=Duration.days(14),
        )
        _encrypt(self)


class FailedDeliveries(DeadLetterQueue):
    """Dead letters of a function's event source, which cdk-nag does not recognize as such."""

    def __init__(self, scope: Construct, construct_id: str) -> None:
        super().__init__(scope, construct_id)
        acknowledge(self, "SQS3", "It is itself the dead-letter queue of an event source")


class WakeUpQueue(Construct):
    """Wake-ups of one agent. They name no dispatch: the reconciler replaces a lost one, an old one is worthless."""

    def __init__(self, scope: Construct, construct_id: str) -> None:
        super().__init__(scope, construct_id)
        self.dead_letters = DeadLetterQueue(self, "DeadLetters")
        self.queue = sqs.Queue(
            self,
            "Queue",
            enforce_ssl=True,
            retention_period=Duration.hours(1),
            visibility_timeout=Duration.seconds(30),
            receive_message_wait_time=Duration.seconds(20),
            dead_letter_queue=sqs.DeadLetterQueue(max_receive_count=5, queue=self.dead_letters),
        )
        _encrypt(self.queue)

    def grant_send(self, grantee: iam.IGrantable) -> iam.Grant:
        """Let the grantee wake workers."""
        grant_key(key_of(self), grantee, "sqs", USE_DATA_KEYS)
        return allow(grantee, "sqs:SendMessage", on=[self.queue.queue_arn])

    def grant_receive(self, grantee: iam.IGrantable) -> iam.Grant:
        """Let the grantee wait for wake-ups."""
        grant_key(key_of(self), grantee, "sqs", ("kms:Decrypt",))
        return allow(grantee, "sqs:ReceiveMessage", "sqs:DeleteMessage", on=[self.queue.queue_arn])


def _encrypt(queue: sqs.Queue) -> None:
    """Encrypt with the environment's key, else with that of SQS.

    Not by the L2's `encryption_master_key`: senders would get `kms:ReEncrypt*` and use of the key anywhere.
    """
    resource, key = queue.node.default_child, key_of(queue)
    assert isinstance(resource, sqs.CfnQueue)  # noqa: S101 - what the L2 is made of
    if key is None:
        resource.sqs_managed_sse_enabled = True
    else:
        resource.kms_master_key_id = key.key_arn
        resource.kms_data_key_reuse_period_seconds = _DATA_KEY_REUSE
