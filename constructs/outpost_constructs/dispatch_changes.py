"""The reader of the dispatches' stream, and the audit log that it records changes of state in."""

from aws_cdk import Duration
from aws_cdk import aws_iam as iam
from constructs import Construct

from outpost.config import EnvironmentConfig
from outpost.names import Env
from outpost_constructs.function import OutpostFunction
from outpost_constructs.log_group import ExpiringLogGroup
from outpost_constructs.queues import FailedDeliveries
from outpost_constructs.store_table import ROW, Delivery, StoreTable
from outpost_constructs.translation import audit_retention


class DispatchChanges(Construct):
    """Prints state changes into the audit log, and invokes what else follows them; calls are written by the service.

    It is the stream's only reader: AWS throttles more than two of a shard.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        dispatches: StoreTable,
        planner: OutpostFunction,
        usage_events: OutpostFunction,
        config: EnvironmentConfig,
    ) -> None:
        super().__init__(scope, construct_id)
        self.log_group = ExpiringLogGroup(self, "Logs", config=config, name="audit", retention=audit_retention(config))
        self.dead_letters = FailedDeliveries(self, "DeadLetters")
        self.function = OutpostFunction(
            self,
            "Function",
            package="dispatch_changes",
            description="Records changes of dispatches, and invokes what follows them",
            timeout=Duration.seconds(60),
            environment={
                Env.ENVIRONMENT: config.name,
                Env.PLANNER_FUNCTION: planner.function_name,
                Env.USAGE_EVENTS_FUNCTION: usage_events.function_name,
                Env.DEAD_LETTERS: self.dead_letters.queue_url,
            },
            log_group=self.log_group,
            config=config,
        )
        iam.Grant.add_to_principal(
            grantee=self.function,
            actions=["lambda:InvokeFunction"],
            resource_arns=[planner.function_arn, usage_events.function_arn],
        )
        changed = {"eventName": ["INSERT", "MODIFY"], "dynamodb": ROW}
        delivery = Delivery(changed, retries=10, window=Duration.seconds(0), partial=True)
        dispatches.deliver("Changes", self.function, self.dead_letters, delivery)

    def grant_write(self, role: iam.IRole) -> None:
        """Let the role write records into a stream of its own."""
        self.log_group.grant_write(role)
