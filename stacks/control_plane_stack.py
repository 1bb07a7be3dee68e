"""ControlPlane: the API's service behind its load balancer."""

from aws_cdk import aws_iam as iam
from constructs import Construct

from outpost.names import Env, Output
from outpost_constructs.control_plane_service import ControlPlaneService
from outpost_constructs.custom_resource import DeletionProtection
from outpost_constructs.dispatch_changes import DispatchChanges
from outpost_constructs.firewall import Firewall
from outpost_constructs.load_balancer import LoadBalancer
from outpost_constructs.secrets import grant_manage_tenant_secrets, grant_secret, tenant_secrets_environment
from outpost_constructs.stack import OutpostStack
from outpost_constructs.store_table import Access
from outpost_ops.config import EnvironmentConfig
from stacks.audit_stack import AuditStack
from stacks.data_stack import DataStack
from stacks.environment import agents_json, service_environment
from stacks.fleet_stack import FleetStack
from stacks.network_stack import NetworkStack


class ControlPlaneStack(OutpostStack):
    """Changes with the code of the API."""

    def __init__(
        self,
        scope: Construct,
        config: EnvironmentConfig,
        *,
        network: NetworkStack,
        data: DataStack,
        audit: AuditStack,
        fleet: FleetStack,
    ) -> None:
        super().__init__(scope, "ControlPlane", purpose="control plane", config=config)
        self.load_balancer = LoadBalancer(
            self,
            "LoadBalancer",
            network=network.network,
            security_group=network.security_groups.load_balancer,
            access_logs=data.access_logs,
            ingress=config.ingress,
            tls=config.tls,
        )
        if config.ingress.waf:
            protected = self.load_balancer.balancer.load_balancer_arn
            Firewall(self, "Firewall", load_balancer_arn=protected, ingress=config.ingress)
        self.changes = DispatchChanges(
            self,
            "AuditRecords",
            tables=data.tables,
            planner=fleet.planner,
            usage_events=fleet.usage_events,
            trail=audit.trail,
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
                Env.AGENTS: agents_json(data, config),
                Env.FILE_SYSTEM_ID: data.workspaces.file_system.file_system_id,
                Env.BOOTSTRAP_KEY_SECRET: data.secrets.bootstrap_key.secret_arn,
                Env.SIGNING_SECRET: data.secrets.signing_key.secret_arn,
                Env.TRUSTED_PROXIES: str(config.ingress.proxies),
                **self.changes.audit_environment(),
                Env.RETENTION_DAYS: str(config.retention.artifacts_days),
                Env.API_HOSTS: ",".join(self.load_balancer.hosts),
                **tenant_secrets_environment(self),
            },
            size=config.control_plane,
        )
        self.api.roll_back_on_alarms(self.load_balancer, data.alarm_topic)
        role = self.api.definition.task_role
        self._grant_data(role, data)
        self.changes.grant_write(role)
        grant_manage_tenant_secrets(role)
        if config.deletion_protection:
            DeletionProtection(self, "DeletionProtection", load_balancers=[self.load_balancer.balancer])
        self._outputs(data, audit)

    @staticmethod
    def _grant_data(role: iam.IRole, data: DataStack) -> None:
        tables = data.tables
        Access(
            reads=[tables.workers],
            batches=[tables.dispatches],  # a list reads what does not fit into rows
            writes=[tables.dispatches, tables.pending, tables.tenants, tables.workspace_rows],
            deletes=[tables.pending, tables.tenants, tables.workspace_rows],  # of cancelled dispatches; secrets' names
            checks=[tables.workspace_rows],  # the workspace that had a place is gone
            wakes=list(data.queues.values()),
        ).grant_to(role)
        data.artifacts.grant_read_tenants(role)
        data.workspaces.grant_describe(role)
        for secret in (data.secrets.bootstrap_key, data.secrets.signing_key):
            grant_secret(secret, role)

    def _outputs(self, data: DataStack, audit: AuditStack) -> None:
        self.add_outputs(
            {
                Output.API_URL: self.load_balancer.url,
                Output.BOOTSTRAP_SECRET_ARN: data.secrets.bootstrap_key.secret_arn,
                Output.ARTIFACTS_BUCKET: data.artifacts.bucket_name,
                Output.AUDIT_BUCKET: audit.trail.bucket.bucket_name,
                Output.AUDIT_KEY: audit.trail.signing_key.key_arn,
                Output.CLUSTER: data.cluster.cluster_name,
                Output.CONTROL_PLANE_SERVICE: self.api.service.service_name,
                Output.DISPATCHES_TABLE: data.tables.dispatches.table_name,
                Output.TENANTS_TABLE: data.tables.tenants.table_name,
                Output.WORKERS_TABLE: data.tables.workers.table_name,
            }
        )
