"""Alarms, and where they go."""

from collections.abc import Iterable

from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_cloudwatch_actions as actions
from aws_cdk import aws_sns as sns
from constructs import Construct

from outpost_constructs.function import OutpostFunction
from outpost_constructs.metrics import MINUTE
from outpost_constructs.queues import FailedDeliveries


class Alarms(Construct):
    """Alarms that publish to a topic, when they begin and when they end."""

    def __init__(self, scope: Construct, construct_id: str, *, topic: sns.ITopic) -> None:
        super().__init__(scope, construct_id)
        self._action = actions.SnsAction(topic)

    def add(
        self,
        construct_id: str,
        metric: cloudwatch.IMetric,
        description: str,
        runbook: str,
        *,
        above: float = 0,
        minutes: int = 5,
    ) -> cloudwatch.Alarm:
        """Alarm when the metric is above a value in three of the last `minutes` (1: in that one); no data is no fault.

        `runbook` is the section of docs/operations.md that says what to do.
        """
        alarm = cloudwatch.Alarm(
            self,
            construct_id,
            metric=metric,
            threshold=above,
            comparison_operator=cloudwatch.ComparisonOperator.GREATER_THAN_THRESHOLD,
            evaluation_periods=minutes,
            datapoints_to_alarm=min(3, minutes),
            treat_missing_data=cloudwatch.TreatMissingData.NOT_BREACHING,
            alarm_description=f"{description}. What to do: docs/operations.md#{runbook}",
        )
        alarm.add_alarm_action(self._action)
        alarm.add_ok_action(self._action)
        return alarm

    def add_functions(self, functions: Iterable[OutpostFunction]) -> None:
        """Alarm when invocations of a function fail, and when deliveries to it were given up."""
        for function in functions:
            name = function.package.title().replace("_", "")
            errors = function.function.metric_errors(period=MINUTE)
            self.add(f"Errors{name}", errors, f"The {function.package} function fails", "function-errors")
            for queue in function.node.children:
                if isinstance(queue, FailedDeliveries):
                    waiting = queue.metric_approximate_number_of_messages_visible(period=MINUTE)
                    description = f"Deliveries to {name} failed and wait in {queue.node.path}"
                    self.add(f"DeadLetters{name}", waiting, description, "dead-letters")
