"""Observability: the dashboard, and alarms that reach somebody."""

from constructs import Construct

from outpost_constructs.alarms import Alarms, Budget, alarm_on_audit, alarm_on_work
from outpost_constructs.custom_resource import ResourceFunction
from outpost_constructs.dashboard import Dashboard
from outpost_constructs.function import OutpostFunction
from outpost_constructs.metrics import MINUTE, OutpostMetrics, combine
from outpost_constructs.stack import OutpostStack
from outpost_ops.config import EnvironmentConfig
from stacks.control_plane_stack import ControlPlaneStack
from stacks.data_stack import DataStack
from stacks.fleet_stack import FleetStack


class ObservabilityStack(OutpostStack):
    """Only reads: nothing stands on it."""

    def __init__(
        self,
        scope: Construct,
        config: EnvironmentConfig,
        *,
        data: DataStack,
        fleet: FleetStack,
        control_plane: ControlPlaneStack,
    ) -> None:
        super().__init__(scope, "Observability", purpose="observability", config=config)
        functions = [
            each
            for stack in (fleet, control_plane)
            for each in stack.node.find_all()
            if isinstance(each, OutpostFunction) and not isinstance(each, ResourceFunction)
        ]
        balancer, metrics = (
            control_plane.load_balancer.balancer,
            OutpostMetrics(config.name, list(config.enabled_agents)),
        )
        self.dashboard = Dashboard(
            self,
            "Dashboard",
            balancer=balancer,
            service=control_plane.api.service,
            queues={str(agent): queue.queue for agent, queue in data.queues.items()},
            functions=functions,
            metrics=metrics,
        )
        Budget(self, "Budget", topic=data.alarm_topic, usd=config.cost.budget)
        self.alarms = Alarms(self, "Alarms", topic=data.alarm_topic)
        self.alarms.add_functions(functions)
        logs = [control_plane.api.log_errors, *(function.log_errors for function in functions)]
        self.alarms.add(
            "LogErrors",
            combine("SUM", logs, "errors"),
            "Service and functions write errors into their logs",
            "log-errors",
            above=5,
        )
        self.alarms.add(
            "SlowAnswers",
            balancer.metrics.target_response_time(period=MINUTE, statistic="p95"),
            "Five percent of the API's responses take a second or more",
            "slow-answers",
            above=1,
        )
        alarm_on_audit(self.alarms, metrics)
        alarm_on_work(self.alarms, metrics, [queue.dead_letters for queue in data.queues.values()])
