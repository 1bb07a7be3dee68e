"""Fleet: workers, and the functions that give them work, launch them and clean up after them."""

from constructs import Construct

from outpost.names import Env
from outpost_constructs.agent_parameters import AgentParameters
from outpost_constructs.broker import Broker
from outpost_constructs.planner import Planner
from outpost_constructs.reconciliation import Reconciler, TaskEvents
from outpost_constructs.release import release
from outpost_constructs.stack import OutpostStack
from outpost_constructs.usage_events import UsageEvents
from outpost_constructs.worker_task import WorkerTask
from outpost_constructs.workspace_reaper import WorkspaceReaper
from outpost_ops.config import EnvironmentConfig
from stacks.data_stack import DataStack
from stacks.environment import agent_settings, git_environment, service_environment
from stacks.network_stack import NetworkStack


class FleetStack(OutpostStack):
    """Changes with the code of workers and functions."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        network: NetworkStack,
        data: DataStack,
        config: EnvironmentConfig,
    ) -> None:
        super().__init__(scope, construct_id, purpose="fleet", config=config)
        environment = service_environment(data, config)
        tables, queues = data.tables, list(data.queues.values())
        self.broker = Broker(
            self,
            "Broker",
            cluster=data.cluster,
            tables=tables,
            queues=queues,
            artifacts=data.artifacts,
            environment=environment,
        )
        self.broker.lend_secrets(
            [data.secrets.providers[each] for each in data.secrets.providers if each in data.queues]
        )
        self.broker.lend_models(config.bedrock_models, config.bedrock_region)
        self.broker.connect_forge(config.git)
        self.tasks = [
            WorkerTask(
                self,
                f"Worker{agent.capitalize()}",
                agent=agent,
                queue=data.queues[agent],
                workspaces=data.workspaces,
                broker=self.broker,
                environment={Env.ENVIRONMENT: config.name, Env.VERSION: release(), **git_environment(config)},
                settings=settings,
            )
            for agent, settings in config.enabled_agents.items()
        ]
        self.planner = Planner(
            self,
            "Planner",
            cluster=data.cluster,
            tables=tables,
            tasks=self.tasks,
            subnets=network.network.private_subnets,
            security_group=network.security_groups.workers,
            environment=environment,
        )
        self.task_events = TaskEvents(
            self,
            "TaskEvents",
            cluster=data.cluster,
            tables=tables,
            queues=queues,
            artifacts=data.artifacts,
            environment=environment,
        )
        self.reconciler = Reconciler(
            self,
            "Sweep",  # its name before; another id would replace the function
            cluster=data.cluster,
            tables=tables,
            queues=queues,
            artifacts=data.artifacts,
            broker=self.broker,
            environment=environment,
        )
        self.usage_events = UsageEvents(self, "UsageEvents", tables=tables, environment=environment)
        self.reaper = WorkspaceReaper(
            self,
            "Reaper",
            tables=tables,
            workspaces=data.workspaces,
            network=network.network,
            security_group=network.security_groups.reaper,
            environment=environment,
        )
        roles = {task.agent: task.definition.task_role.role_arn for task in self.tasks}
        settings_of = AgentParameters(self, "Agents", settings=agent_settings(data, config, roles))
        settings_of.give_to([self.broker, self.planner, self.task_events, self.reconciler])
