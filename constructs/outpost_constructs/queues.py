"""Queues: an agent's wake-ups, and where failed deliveries go."""

from aws_cdk import Duration
from aws_cdk import aws_iam as iam
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from outpost_constructs.acknowledge import acknowledge


class DeadLetterQueue(sqs.Queue):
    """Keeps what could not be delivered for 14 days; an alarm watches it."""

    def __init__(self, scope: Construct, construct_id: str) -> None:
        super().__init__(
            scope,
            construct_id,
            encryption=sqs.QueueEncryption.SQS_MANAGED,
            enforce_ssl=True,
            retention_period=Duration.days(14),
        )


class FailedDeliveries(DeadLetterQueue):
    """Dead letters of a function's event source, which cdk-nag does not recognize as such."""

    def __init__(self, scope: Construct, construct_id: str) -> None:
        super().__init__(scope, construct_id)
        acknowledge(self, "SQS3", "It is itself the dead-letter queue of an event source")


class WakeUpQueue(Construct):
    """Wake-ups of one agent. They name no dispatch: a lost one is replaced by the sweep, an old one is worthless."""

    def __init__(self, scope: Construct, construct_id: str) -> None:
        super().__init__(scope, construct_id)
        self.dead_letters = DeadLetterQueue(self, "DeadLetters")
        self.queue = sqs.Queue(
            self,
            "Queue",
            encryption=sqs.QueueEncryption.SQS_MANAGED,
            enforce_ssl=True,
            retention_period=Duration.hours(1),
            visibility_timeout=Duration.seconds(30),
            receive_message_wait_time=Duration.seconds(20),
            dead_letter_queue=sqs.DeadLetterQueue(max_receive_count=5, queue=self.dead_letters),
        )

    def grant_send(self, grantee: iam.IGrantable) -> iam.Grant:
        """Let the grantee wake workers."""
        return self._grant(grantee, "sqs:SendMessage")

    def grant_receive(self, grantee: iam.IGrantable) -> iam.Grant:
        """Let the grantee wait for wake-ups."""
        return self._grant(grantee, "sqs:ReceiveMessage", "sqs:DeleteMessage")

    def _grant(self, grantee: iam.IGrantable, *actions: str) -> iam.Grant:
        return iam.Grant.add_to_principal(grantee=grantee, actions=list(actions), resource_arns=[self.queue.queue_arn])
