"""Observability: the dashboard, and alarms that reach somebody."""

from aws_cdk import Stack
from aws_cdk import aws_elasticloadbalancingv2 as elbv2
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
        self.alarms.add(
            "ServerErrors",
            balancer.metrics.http_code_target(elbv2.HttpCodeTarget.TARGET_5XX_COUNT, period=MINUTE),
            above=5,
            description="The API answers with 5xx",
        )
        self.alarms.add(
            "UnhealthyTasks",
            control_plane.api.target_group.metrics.unhealthy_host_count(period=MINUTE),
            above=0,
            description="A control plane task fails its health check",
        )
        for name, function in functions.items():
            self.alarms.add(
                f"Errors{name.title().replace('_', '')}",
                function.metric_errors(period=MINUTE),
                above=0,
                description=f"The {name} function fails",
            )
        for name, queue in {
            "Planner": fleet.planner.dead_letters,
            "TaskEvents": fleet.task_events.dead_letters,
        }.items():
            self.alarms.add(
                f"DeadLetters{name}",
                queue.metric_approximate_number_of_messages_visible(period=MINUTE),
                above=0,
                description=f"Deliveries to {name} failed and wait in {queue.node.path}",
            )
