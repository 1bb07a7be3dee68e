"""The audit log: who called what, and each change of a dispatch's state, in a log group with a retention of its own."""

from aws_cdk import Duration
from aws_cdk import aws_iam as iam
from constructs import Construct

from outpost.config import EnvironmentConfig
from outpost_constructs.function import OutpostFunction
from outpost_constructs.log_group import ExpiringLogGroup
from outpost_constructs.queues import FailedDeliveries
from outpost_constructs.store_table import ROW, Delivery, StoreTable
from outpost_constructs.translation import audit_retention


class AuditRecords(Construct):
    """The log group, and the function that prints state changes into it; calls are written by the control plane."""

    def __init__(self, scope: Construct, construct_id: str, *, config: EnvironmentConfig) -> None:
        super().__init__(scope, construct_id)
        self.log_group = ExpiringLogGroup(self, "Logs", config=config, name="audit", retention=audit_retention(config))
        self.function = OutpostFunction(
            self,
            "Function",
            package="audit_records",
            description="Writes changes of dispatches into the audit log",
            timeout=Duration.seconds(30),
            environment={},
            log_group=self.log_group,
            config=config,
        )
        self.dead_letters = FailedDeliveries(self, "DeadLetters")

    def grant_write(self, role: iam.IRole) -> None:
        """Let the role write records into a stream of its own."""
        self.log_group.grant_write(role)

    def follow(self, dispatches: StoreTable) -> None:
        """Deliver new and changed dispatch rows."""
        changed = {"eventName": ["INSERT", "MODIFY"], "dynamodb": ROW}
        delivery = Delivery(changed, retries=10, window=Duration.seconds(1))
        dispatches.deliver("Changes", self.function, self.dead_letters, delivery)
