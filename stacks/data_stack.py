"""Data: what must not be lost, and the cluster and queues that it is worked on with."""

from constructs import Construct

from outpost_constructs.alarms import AlarmTopic
from outpost_constructs.backups import Backups
from outpost_constructs.buckets import AccessLogsBucket, ArtifactsBucket
from outpost_constructs.cluster import Cluster
from outpost_constructs.custom_resource import DeletionProtection
from outpost_constructs.queues import WakeUpQueue
from outpost_constructs.secrets import Secrets
from outpost_constructs.stack import OutpostStack
from outpost_constructs.store_table import Tables
from outpost_constructs.workspaces import Workspaces
from outpost_ops.config import EnvironmentConfig
from stacks.network_stack import NetworkStack


class DataStack(OutpostStack):
    """Tables, artifacts, workspaces, secrets and backups; the cluster, and a queue for each agent.

    The topic of alarms and the bucket of access logs are here because every later stack sends to them.
    """

    def __init__(self, scope: Construct, config: EnvironmentConfig, *, network: NetworkStack) -> None:
        super().__init__(scope, "Data", purpose="data", config=config)
        retention = config.retention
        self.alarm_topic = AlarmTopic(self, "Notices", email=config.alarm_email)
        self.access_logs = AccessLogsBucket(self, "AccessLogs", days=retention.audit_days)
        self.tables = Tables(self)
        self.artifacts = ArtifactsBucket(self, "Artifacts", access_logs=self.access_logs, days=retention.artifacts_days)
        self.workspaces = Workspaces(
            self,
            "Workspaces",
            network=network.network,
            security_group=network.security_groups.file_system,
            automatic_backups=not retention.backup_days,  # else our own plan copies the files
        )
        # Also for agents that are not enabled: this stack is deployed while the others still work with them.
        agents = config.configured_agents
        self.secrets = Secrets(self, "Secrets", agents={agent: config.provider_of(agent) for agent in agents})
        wake_ups = {agent: WakeUpQueue(self, f"WakeUps{agent.capitalize()}") for agent in agents}
        self.queues = {agent: wake_ups[agent] for agent in config.enabled_agents}
        self.cluster = Cluster(self, "Cluster", vpc=network.network.vpc, insights=config.container_insights)
        if retention.backup_days:
            Backups(
                self,
                "Backups",
                # Workers are gone long before anybody could restore them; the reconciler fills queues again.
                tables=[self.tables.dispatches, self.tables.tenants, self.tables.workspace_rows],
                file_system=self.workspaces.file_system,
                retention=retention,
            )
        if config.deletion_protection:
            DeletionProtection(self, "DeletionProtection", tables=[each.table_arn for each in self.tables.all])
