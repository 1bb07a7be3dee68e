"""Migration: the tools to leave v1 with. Optional; one environment of an account and region has them."""

from aws_cdk import Fn
from constructs import Construct

from outpost.names import ENDPOINT_SECRET_NAME, Env, MigrationOutput
from outpost_constructs.alarms import Alarms
from outpost_constructs.migration import LegacyWatch, MigrationMonitor
from outpost_constructs.stack import OutpostStack
from outpost_ops.config import EnvironmentConfig
from stacks.audit_stack import AuditStack
from stacks.control_plane_stack import ControlPlaneStack
from stacks.data_stack import DataStack
from stacks.fleet_stack import FleetStack


class MigrationStack(OutpostStack):
    """Goes when v1 is gone."""

    def __init__(
        self,
        scope: Construct,
        config: EnvironmentConfig,
        *,
        data: DataStack,
        audit: AuditStack,
        fleet: FleetStack,
        control_plane: ControlPlaneStack,
    ) -> None:
        super().__init__(scope, "Migration", purpose="migration from v1", config=config)
        bucket = audit.trail.bucket
        environment: dict[str, str] = {Env.ENVIRONMENT: config.name, Env.AUDIT_BUCKET: bucket.bucket_name}
        balancer = control_plane.load_balancer.balancer
        target_group = control_plane.api.target_group
        self.watch = LegacyWatch(self, "LegacyWatch", bucket=bucket, environment=environment)
        self.monitor = MigrationMonitor(
            self,
            "Monitor",
            bucket=bucket,
            environment={
                **environment,
                Env.LOAD_BALANCER: balancer.load_balancer_full_name,
                Env.TARGET_GROUP: Fn.select(5, Fn.split(":", target_group.target_group_arn)),
            },
        )
        self.alarms = Alarms(self, "Alarms", topic=data.alarm_topic)
        self.alarms.add(
            "LegacyDispatch", self.watch.metric, "A client still dispatches by v1", "legacy-dispatches", minutes=1
        )
        self.alarms.add(
            "RollbackProposed", self.monitor.metric, "The monitor proposes a rollback", "rollback-proposed", minutes=1
        )
        self.alarms.add_functions([self.watch, self.monitor])
        self.add_outputs(
            {
                MigrationOutput.ENDPOINT_SECRET: ENDPOINT_SECRET_NAME,
                MigrationOutput.AUDIT_BUCKET: bucket.bucket_name,
                MigrationOutput.TRAIL: audit.trail.trail.trail_arn,
                MigrationOutput.API_URL: control_plane.load_balancer.url,
                MigrationOutput.CLUSTER: data.cluster.cluster_name,
                MigrationOutput.SERVICE: control_plane.api.service.service_name,
                MigrationOutput.LOAD_BALANCER: balancer.load_balancer_arn,
                MigrationOutput.TARGET_GROUP: target_group.target_group_arn,
                MigrationOutput.CAPACITY_FUNCTION: fleet.planner.function.function_name,
                MigrationOutput.MONITOR_FUNCTION: self.monitor.function.function_name,
            }
        )
