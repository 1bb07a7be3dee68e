"""Data: what must not be lost, and the cluster and queues that it is worked on with."""

from aws_cdk import Stack
from constructs import Construct

from outpost.config import EnvironmentConfig
from outpost.store import schema
from outpost_constructs.artifacts_bucket import ArtifactsBucket
from outpost_constructs.cluster import Cluster
from outpost_constructs.queues import WakeUpQueue
from outpost_constructs.secrets import Secrets
from outpost_constructs.store_table import StoreTable
from outpost_constructs.workspaces import Workspaces
from stacks.network_stack import NetworkStack


class DataStack(Stack):
    """Tables, artifacts, workspaces, secrets; the cluster and a queue of wake-ups for each agent."""

    def __init__(
        self, scope: Construct, construct_id: str, *, network: NetworkStack, config: EnvironmentConfig
    ) -> None:
        super().__init__(scope, construct_id, description=f"Outpost {config.name}: data")
        self.dispatches = StoreTable(self, "Dispatches", table=schema.DISPATCHES, config=config)
        self.tenants = StoreTable(self, "Tenants", table=schema.TENANTS, config=config)
        self.workers = StoreTable(self, "Workers", table=schema.WORKERS, config=config)
        self.workspace_rows = StoreTable(self, "WorkspaceRows", table=schema.WORKSPACES, config=config)
        self.artifacts = ArtifactsBucket(self, "Artifacts", config=config)
        self.workspaces = Workspaces(
            self,
            "Workspaces",
            network=network.network,
            security_group=network.security_groups.file_system,
            config=config,
        )
        self.secrets = Secrets(self, "Secrets", config=config)
        self.queues = {agent: WakeUpQueue(self, f"WakeUps{agent.capitalize()}") for agent in config.enabled_agents}
        self.cluster = Cluster(self, "Cluster", vpc=network.network.vpc, config=config)
