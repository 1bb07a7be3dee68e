"""Data: what must not be lost, and the cluster and queues that it is worked on with."""

from constructs import Construct

from outpost.store import schema
from outpost_constructs.access_logs import AccessLogsBucket
from outpost_constructs.alarm_topic import AlarmTopic
from outpost_constructs.artifacts_bucket import ArtifactsBucket
from outpost_constructs.backups import Backups
from outpost_constructs.cluster import Cluster
from outpost_constructs.deletion_protection import DeletionProtection
from outpost_constructs.queues import WakeUpQueue
from outpost_constructs.secrets import Secrets
from outpost_constructs.stack import OutpostStack
from outpost_constructs.store_table import StoreTable
from outpost_constructs.workspaces import Workspaces
from outpost_ops.config import EnvironmentConfig
from stacks.network_stack import NetworkStack


class DataStack(OutpostStack):
    """Tables, artifacts, workspaces, secrets and backups; the cluster, and a queue for each agent.

    The topic of alarms and the bucket of access logs are here because every later stack sends to them.
    """

    def __init__(
        self, scope: Construct, construct_id: str, *, network: NetworkStack, config: EnvironmentConfig
    ) -> None:
        super().__init__(scope, construct_id, purpose="data", config=config)
        self.alarm_topic = AlarmTopic(self, "Notices", config=config)
        self.access_logs = AccessLogsBucket(self, "AccessLogs", config=config)
        self.dispatches = StoreTable(self, "Dispatches", table=schema.DISPATCHES, config=config)
        self.tenants = StoreTable(self, "Tenants", table=schema.TENANTS, config=config)
        self.workers = StoreTable(self, "Workers", table=schema.WORKERS, config=config)
        self.pending = StoreTable(self, "Pending", table=schema.QUEUES, config=config)
        self.workspace_rows = StoreTable(self, "WorkspaceRows", table=schema.WORKSPACES, config=config)
        self.artifacts = ArtifactsBucket(self, "Artifacts", access_logs=self.access_logs, config=config)
        self.workspaces = Workspaces(
            self,
            "Workspaces",
            network=network.network,
            security_group=network.security_groups.file_system,
            config=config,
        )
        self.secrets = Secrets(self, "Secrets", config=config)
        if config.retention.backup_days:
            Backups(
                self,
                "Backups",
                # Workers are gone long before anybody could restore them; the sweep fills queues again.
                tables=[self.dispatches, self.tenants, self.workspace_rows],
                file_system=self.workspaces.file_system,
                config=config,
            )
        if config.deletion_protection:
            tables = (self.dispatches, self.tenants, self.workers, self.pending, self.workspace_rows)
            DeletionProtection(self, "DeletionProtection", tables=[each.table_arn for each in tables], config=config)
        # Also for agents that are not enabled: this stack is deployed while the others still work with them.
        configured = {agent: WakeUpQueue(self, f"WakeUps{agent.capitalize()}") for agent in config.configured_agents}
        self.queues = {agent: configured[agent] for agent in config.enabled_agents}
        self.cluster = Cluster(self, "Cluster", vpc=network.network.vpc, config=config)
