"""Observability: the dashboard, and alarms that reach somebody."""

from aws_cdk import Stack
from constructs import Construct

from outpost.config import EnvironmentConfig
from outpost_constructs.alarms import MINUTE, Alarms
from outpost_constructs.dashboard import Dashboard
from stacks.control_plane_stack import ControlPlaneStack
from stacks.data_stack import DataStack
from stacks.fleet_stack import FleetStack


class ObservabilityStack(Stack):
    """Only reads: nothing stands on it."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        data: DataStack,
        fleet: FleetStack,
        control_plane: ControlPlaneStack,
        config: EnvironmentConfig,
    ) -> None:
        super().__init__(scope, construct_id, description=f"Outpost {config.name}: observability")
        balancer = control_plane.load_balancer.balancer
        functions = {
            "broker": fleet.broker.function,
            "capacity": fleet.planner.function,
            "task_events": fleet.task_events.function,
            "sweep": fleet.sweep.function,
            "workspace_reaper": fleet.reaper.function,
        }
        self.dashboard = Dashboard(
            self,
            "Dashboard",
            balancer=balancer,
            service=control_plane.api.service,
            queues={str(agent): queue.queue for agent, queue in data.queues.items()},
            functions=functions,
        )
        self.alarms = Alarms(self, "Alarms", topic=data.notices)
        for name, function in functions.items():
            self.alarms.add(
                f"Errors{name.title().replace('_', '')}",
                function.metric_errors(period=MINUTE),
                above=0,
                description=f"The {name} function fails",
                runbook="function-errors",
            )
        for name, queue in {
            "Planner": fleet.planner.dead_letters,
            "TaskEvents": fleet.task_events.dead_letters,
            "Reaper": fleet.reaper.dead_letters,
        }.items():
            self.alarms.add(
                f"DeadLetters{name}",
                queue.metric_approximate_number_of_messages_visible(period=MINUTE),
                above=0,
                description=f"Deliveries to {name} failed and wait in {queue.node.path}",
                runbook="dead-letters",
            )
