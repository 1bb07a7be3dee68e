"""The reader of the dispatches' stream, and the audit log that it records changes of state in."""

from aws_cdk import Duration
from aws_cdk import aws_iam as iam
from constructs import Construct

from outpost.names import Env
from outpost_constructs.audit_trail import AuditTrail
from outpost_constructs.cdk_enums import audit_retention
from outpost_constructs.function import OutpostFunction
from outpost_constructs.log_group import ExpiringLogGroup
from outpost_constructs.queues import FailedDeliveries
from outpost_constructs.store_table import ROW, Delivery, StoreTable
from outpost_ops.config import EnvironmentConfig


class DispatchChanges(Construct):
    """Records state changes in the audit log, and invokes what else follows them; calls are written by the service.

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
        trail: AuditTrail,
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
                **self.audit_environment(trail),
            },
            config=config,
        )
        self.grant_write(self.function, trail)
        iam.Grant.add_to_principal(
            grantee=self.function,
            actions=["lambda:InvokeFunction"],
            resource_arns=[planner.function_arn, usage_events.function_arn],
        )
        changed = {"eventName": ["INSERT", "MODIFY"], "dynamodb": ROW}
        delivery = Delivery(changed, retries=10, window=Duration.seconds(0), partial=True)
        dispatches.deliver("Changes", self.function, self.dead_letters, delivery)

    def audit_environment(self, trail: AuditTrail) -> dict[str, str]:
        """Return the variables that name the audit log to its writers."""
        return {
            Env.AUDIT_LOG_GROUP: self.log_group.log_group_name,
            Env.AUDIT_BUCKET: trail.bucket.bucket_name,
            Env.AUDIT_KEY: trail.signing_key.key_arn,
        }

    def grant_write(self, grantee: iam.IGrantable, trail: AuditTrail) -> None:
        """Let the grantee write records into streams of its own, and prove them."""
        self.log_group.grant_write(grantee)
        trail.grant_prove(grantee)
