"""Fleet: workers, and the functions that give them work, launch them and clean up after them."""

from constructs import Construct

from outpost.names import Env
from outpost_constructs.agent_parameters import AgentParameters
from outpost_constructs.broker import Broker
from outpost_constructs.fleet_functions import (
    FleetData,
    Planner,
    Reconciler,
    TaskEvents,
    UsageEvents,
    WorkspaceReaper,
)
from outpost_constructs.stack import OutpostStack
from outpost_constructs.task_definition import release
from outpost_constructs.worker_task import WorkerTask
from outpost_ops.config import EnvironmentConfig
from stacks.data_stack import DataStack
from stacks.environment import agent_settings, git_environment, service_environment
from stacks.network_stack import NetworkStack


class FleetStack(OutpostStack):
    """Changes with the code of workers and functions."""

    def __init__(self, scope: Construct, config: EnvironmentConfig, *, network: NetworkStack, data: DataStack) -> None:
        super().__init__(scope, "Fleet", purpose="fleet", config=config)
        shared = FleetData(
            data.cluster, data.tables, list(data.queues.values()), data.artifacts, service_environment(data, config)
        )
        self.broker = Broker(self, "Broker", data=shared)
        self.broker.lend_secrets([secret for agent, secret in data.secrets.providers.items() if agent in data.queues])
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
            data=shared,
            tasks=self.tasks,
            subnets=network.network.private_subnets,
            security_group=network.security_groups.workers,
        )
        self.task_events = TaskEvents(self, "TaskEvents", data=shared)
        # "Sweep": its name before; another id would replace the function
        self.reconciler = Reconciler(self, "Sweep", data=shared, broker=self.broker)
        self.usage_events = UsageEvents(self, "UsageEvents", data=shared)
        self.reaper = WorkspaceReaper(
            self,
            "Reaper",
            data=shared,
            workspaces=data.workspaces,
            subnets=network.network.private_subnets,
            security_group=network.security_groups.reaper,
        )
        roles = {task.agent: task.definition.task_role.role_arn for task in self.tasks}
        settings_of = AgentParameters(self, "Agents", settings=agent_settings(data, config, roles))
        settings_of.give_to([self.broker, self.planner, self.task_events, self.reconciler])
