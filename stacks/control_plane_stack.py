"""ControlPlane: the API's service behind its load balancer."""

import json

from aws_cdk import CfnOutput
from aws_cdk import aws_iam as iam
from constructs import Construct

from outpost.names import Env, Output
from outpost_constructs.control_plane_service import ControlPlaneService
from outpost_constructs.deletion_protection import DeletionProtection
from outpost_constructs.dispatch_changes import DispatchChanges
from outpost_constructs.firewall import Firewall
from outpost_constructs.load_balancer import LoadBalancer
from outpost_constructs.secrets import grant_secret
from outpost_constructs.stack import OutpostStack
from outpost_constructs.tenant_secrets import grant_manage_tenant_secrets, tenant_secrets_environment
from outpost_ops.config import EnvironmentConfig
from stacks.audit_stack import AuditStack
from stacks.data_stack import DataStack
from stacks.environment import agent_settings, service_environment
from stacks.fleet_stack import FleetStack
from stacks.network_stack import NetworkStack


class ControlPlaneStack(OutpostStack):
    """Changes with the code of the API."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        network: NetworkStack,
        data: DataStack,
        audit: AuditStack,
        fleet: FleetStack,
        config: EnvironmentConfig,
    ) -> None:
        super().__init__(scope, construct_id, purpose="control plane", config=config)
        self.load_balancer = LoadBalancer(
            self,
            "LoadBalancer",
            network=network.network,
            security_group=network.security_groups.load_balancer,
            access_logs=data.access_logs,
            config=config,
        )
        if config.ingress.waf:
            Firewall(self, "Firewall", load_balancer_arn=self.load_balancer.balancer.load_balancer_arn, config=config)
        self.changes = DispatchChanges(
            self,
            "AuditRecords",
            dispatches=data.dispatches,
            planner=fleet.planner.function,
            usage_events=fleet.usage_events.function,
            trail=audit.trail,
            config=config,
        )
        self.api = ControlPlaneService(
            self,
            "Api",
            cluster=data.cluster,
            network=network.network,
            security_group=network.security_groups.control_plane,
            load_balancer=self.load_balancer,
            environment={
                **service_environment(data, config),
                Env.AGENTS: json.dumps(
                    {agent: each.model_dump(mode="json") for agent, each in agent_settings(data, config).items()}
                ),
                Env.FILE_SYSTEM_ID: data.workspaces.file_system.file_system_id,
                Env.BOOTSTRAP_KEY_SECRET: data.secrets.bootstrap_key.secret_arn,
                Env.SIGNING_SECRET: data.secrets.signing_key.secret_arn,
                Env.TRUSTED_PROXIES: str(config.ingress.proxies),
                **self.changes.audit_environment(audit.trail),
                Env.RETENTION_DAYS: str(config.retention.artifacts_days),
                Env.API_HOSTS: ",".join(self.load_balancer.hosts),
                **tenant_secrets_environment(self),
            },
            config=config,
        )
        self.api.roll_back_on_alarms(self.load_balancer, data.alarm_topic)
        self._grant_data(self.api.definition.task_role, data)
        self.changes.grant_write(self.api.definition.task_role, audit.trail)
        grant_manage_tenant_secrets(self, self.api.definition.task_role, config)
        if config.deletion_protection:
            balancer = self.load_balancer.balancer
            DeletionProtection(self, "DeletionProtection", load_balancers=[balancer], config=config)
        self._outputs(data, audit)

    @staticmethod
    def _grant_data(role: iam.IRole, data: DataStack) -> None:
        for table in (data.dispatches, data.pending, data.tenants):
            table.grant_read_write(role)
        data.dispatches.grant_read_many(role)  # a list reads what does not fit into rows
        data.pending.grant_delete(role)  # a cancelled dispatch leaves its queue
        data.tenants.grant_delete(role)  # names of secrets
        data.workspace_rows.grant_read_write(role)
        data.workspace_rows.grant_delete(role)
        data.workspace_rows.grant_check(role)  # the workspace that had a place is gone
        data.workers.grant_read(role)
        for queue in data.queues.values():
            queue.grant_send(role)
        data.artifacts.grant_read_tenants(role)
        data.workspaces.grant_describe(role)
        for secret in (data.secrets.bootstrap_key, data.secrets.signing_key):
            grant_secret(secret, role)

    def _outputs(self, data: DataStack, audit: AuditStack) -> None:
        values = {
            Output.API_URL: self.load_balancer.url,
            Output.BOOTSTRAP_SECRET_ARN: data.secrets.bootstrap_key.secret_arn,
            Output.ARTIFACTS_BUCKET: data.artifacts.bucket_name,
            Output.AUDIT_BUCKET: audit.trail.bucket.bucket_name,
            Output.AUDIT_KEY: audit.trail.signing_key.key_arn,
            Output.CLUSTER: data.cluster.cluster_name,
            Output.CONTROL_PLANE_SERVICE: self.api.service.service_name,
            Output.DISPATCHES_TABLE: data.dispatches.table_name,
            Output.TENANTS_TABLE: data.tenants.table_name,
            Output.WORKERS_TABLE: data.workers.table_name,
        }
        for name, value in values.items():
            CfnOutput(self, name, value=value)
