"""The reader of the dispatches' stream, and the audit log that it records changes of state in."""

from aws_cdk import Duration
from aws_cdk import aws_iam as iam
from constructs import Construct

from outpost.names import Env
from outpost_constructs.audit_trail import AuditTrail
from outpost_constructs.function import OutpostFunction, Stream
from outpost_constructs.log_group import ExpiringLogGroup, audit_log_days
from outpost_constructs.permissions import allow
from outpost_constructs.stack import config_of
from outpost_constructs.store_table import ROW, Tables


class DispatchChanges(OutpostFunction):
    """Records state changes in the audit log, and invokes what else follows them; calls are written by the service.

    It is the stream's only reader: AWS throttles more than two of a shard.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        tables: Tables,
        planner: OutpostFunction,
        usage_events: OutpostFunction,
        trail: AuditTrail,
    ) -> None:
        changed = {"eventName": ["INSERT", "MODIFY"], "dynamodb": ROW}
        super().__init__(
            scope,
            construct_id,
            package="dispatch_changes",
            description="Records changes of dispatches, and invokes what follows them",
            timeout=Duration.seconds(60),
            environment={
                Env.ENVIRONMENT: config_of(scope).name,
                Env.PLANNER_FUNCTION: planner.function.function_name,
                Env.USAGE_EVENTS_FUNCTION: usage_events.function.function_name,
            },
            stream=Stream("Changes", tables.dispatches, changed, retries=10, window=Duration.seconds(0), partial=True),
        )
        self._trail = trail
        self.log_group = ExpiringLogGroup(self, "Logs", name="audit", days=audit_log_days(self))
        for name, value in {Env.DEAD_LETTERS: self.dead_letters.queue_url, **self.audit_environment()}.items():
            self.function.add_environment(name, value)
        self.grant_write(self.role)
        allow(
            self.role,
            "lambda:InvokeFunction",
            on=[planner.function.function_arn, usage_events.function.function_arn],
        )

    def audit_environment(self) -> dict[str, str]:
        """Return the variables that name the audit log to its writers."""
        return {
            Env.AUDIT_LOG_GROUP: self.log_group.log_group_name,
            Env.AUDIT_BUCKET: self._trail.bucket.bucket_name,
            Env.AUDIT_KEY: self._trail.signing_key.key_arn,
        }

    def grant_write(self, grantee: iam.IGrantable) -> None:
        """Allow writing records into streams of the grantee's own, and proving them."""
        self.log_group.grant_write(grantee)
        self._trail.grant_prove(grantee)
