"""Fleet: workers, and the functions that give them work, launch them and clean up after them."""

from constructs import Construct

from outpost.names import Env
from outpost_constructs.agent_parameters import AgentParameters
from outpost_constructs.broker import Broker
from outpost_constructs.planner import Planner
from outpost_constructs.reconciliation import Sweep, TaskEvents
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
        self.broker = Broker(
            self,
            "Broker",
            cluster=data.cluster,
            artifacts=data.artifacts,
            providers=list(data.secrets.providers.values()),
            environment=environment,
            config=config,
        )
        self.tasks = [
            WorkerTask(
                self,
                f"Worker{agent.capitalize()}",
                agent=agent,
                queue=data.queues[agent],
                workspaces=data.workspaces,
                broker=self.broker.function,
                environment={Env.ENVIRONMENT: config.name, Env.VERSION: release(), **git_environment(config)},
                config=config,
            )
            for agent in config.enabled_agents
        ]
        self.planner = Planner(
            self,
            "Planner",
            cluster=data.cluster,
            tasks=self.tasks,
            subnets=network.network.private_subnets,
            security_group=network.security_groups.workers,
            environment=environment,
            config=config,
        )
        self.task_events = TaskEvents(self, "TaskEvents", cluster=data.cluster, environment=environment, config=config)
        self.sweep = Sweep(
            self,
            "Sweep",
            cluster=data.cluster,
            broker=self.broker.function,
            environment=environment,
            config=config,
        )
        self.reaper = WorkspaceReaper(
            self,
            "Reaper",
            rows=data.workspace_rows,
            workspaces=data.workspaces,
            network=network.network,
            security_group=network.security_groups.reaper,
            environment=environment,
            config=config,
        )
        self.usage_events = UsageEvents(self, "UsageEvents", environment=environment, config=config)
        roles = {task.agent: task.definition.task_role.role_arn for task in self.tasks}
        AgentParameters(self, "Agents", settings=agent_settings(data, config, roles), config=config).give_to(
            [each.function for each in (self.broker, self.planner, self.task_events, self.sweep)]
        )
        self._grant_data(data)

    def _grant_data(self, data: DataStack) -> None:
        broker, planner = self.broker.function, self.planner.function
        for closing in (broker, self.task_events.function, self.sweep.function):
            data.dispatches.grant_read_write(closing)
            data.pending.grant_read_write(closing)
            data.pending.grant_delete(closing)
            data.workers.grant_read_write(closing)
            data.workspace_rows.grant_read_write(closing)  # an ending dispatch gives its workspace back
            for queue in data.queues.values():
                queue.grant_send(closing)
        data.dispatches.grant_read_write(self.usage_events.function)  # counters beside the rows
        data.dispatches.grant_read(planner)
        data.pending.grant_read(planner)
        data.workers.grant_read_write(planner)
        data.workers.grant_delete(planner)  # launch intents that came to something
        data.workers.grant_delete(broker)  # a failure to launch, once a worker asks for work
        for registering in (broker, planner):
            data.workers.grant_check(registering)  # that the new worker has not ended
        for ending in (self.task_events.function, self.sweep.function):
            data.workers.grant_delete(ending)  # living workers
        data.dispatches.grant_check(self.sweep.function)  # that a row is still pending
        for table in (data.dispatches, data.pending, data.workers):
            table.grant_read_many(self.sweep.function)
        for claiming in (broker, planner):
            data.tenants.grant_read(claiming)
        for healing in (self.task_events.function, self.sweep.function):
            data.artifacts.grant_settle(healing)
