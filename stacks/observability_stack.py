"""Observability: the dashboard, and alarms that reach somebody."""

from collections.abc import Mapping

from constructs import Construct

from outpost_constructs.alarms import Alarms
from outpost_constructs.audit_alarms import alarm_on_audit
from outpost_constructs.budget import Budget
from outpost_constructs.dashboard import Dashboard
from outpost_constructs.function import OutpostFunction
from outpost_constructs.metrics import MINUTE, combine
from outpost_constructs.stack import OutpostStack
from outpost_constructs.work_alarms import alarm_on_work
from outpost_ops.config import EnvironmentConfig
from stacks.control_plane_stack import ControlPlaneStack
from stacks.data_stack import DataStack
from stacks.fleet_stack import FleetStack


class ObservabilityStack(OutpostStack):
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
        super().__init__(scope, construct_id, purpose="observability", config=config)
        balancer = control_plane.load_balancer.balancer
        functions = {
            "broker": fleet.broker.function,
            "planner": fleet.planner.function,
            "task_events": fleet.task_events.function,
            "reconciler": fleet.sweep.function,
            "usage_events": fleet.usage_events.function,
            "workspace_reaper": fleet.reaper.function,
            "dispatch_changes": control_plane.changes.function,
        }
        self.dashboard = Dashboard(
            self,
            "Dashboard",
            balancer=balancer,
            service=control_plane.api.service,
            queues={str(agent): queue.queue for agent, queue in data.queues.items()},
            functions=functions,
            config=config,
        )
        Budget(self, "Budget", alarm_topic=data.alarm_topic, config=config)
        self.alarms = Alarms(self, "Alarms", topic=data.alarm_topic)
        self._alarm_on_failures(fleet, control_plane, functions)
        alarm_on_audit(self.alarms, config)
        alarm_on_work(self.alarms, [queue.dead_letters for queue in data.queues.values()], config)

    def _alarm_on_failures(
        self, fleet: FleetStack, control_plane: ControlPlaneStack, functions: Mapping[str, OutpostFunction]
    ) -> None:
        for name, function in functions.items():
            self.alarms.add_function(name, function)
        for name, queue in {
            "TaskEvents": fleet.task_events.dead_letters,
            "Reaper": fleet.reaper.dead_letters,
            "UsageEvents": fleet.usage_events.dead_letters,
            "DispatchChanges": control_plane.changes.dead_letters,
        }.items():
            self.alarms.add_dead_letters(name, queue)
        logs = [control_plane.api.log_errors, *(function.log_errors for function in functions.values())]
        self.alarms.add(
            "LogErrors",
            combine("SUM", logs, "errors"),
            above=5,
            description="Service and functions write errors into their logs",
            runbook="log-errors",
        )
        self.alarms.add(
            "SlowAnswers",
            control_plane.load_balancer.balancer.metrics.target_response_time(period=MINUTE, statistic="p95"),
            above=1,
            description="Five percent of the API's answers take a second or more",
            runbook="slow-answers",
        )
