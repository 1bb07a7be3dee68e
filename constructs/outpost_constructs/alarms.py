"""Alarms, and where they go."""

from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_cloudwatch_actions as actions
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from outpost_constructs.metrics import MINUTE


class Alarms(Construct):
    """Alarms that publish to a topic, when they begin and when they end."""

    def __init__(self, scope: Construct, construct_id: str, *, topic: sns.ITopic) -> None:
        super().__init__(scope, construct_id)
        self._action = actions.SnsAction(topic)

    def add(
        self,
        construct_id: str,
        metric: cloudwatch.IMetric,
        *,
        above: float,
        description: str,
        runbook: str,
        minutes: int = 5,
    ) -> cloudwatch.Alarm:
        """Alarm when the metric is above a value in three of the last `minutes`; no data is no fault.

        `runbook` is the section of docs/operations.md that says what to do.
        """
        return self._add(construct_id, metric, above, _text(description, runbook), minutes=minutes, of_them=3)

    def add_at_once(
        self, construct_id: str, metric: cloudwatch.IMetric, *, description: str, runbook: str
    ) -> cloudwatch.Alarm:
        """Alarm in the minute in which the metric is above 0; no data is no fault."""
        return self._add(construct_id, metric, 0, _text(description, runbook), minutes=1, of_them=1)

    def add_function(self, name: str, function: lambda_.IFunction) -> None:
        """Alarm when invocations of a function fail; `name` is that of its package."""
        self.add(
            f"Errors{name.title().replace('_', '')}",
            function.metric_errors(period=MINUTE),
            above=0,
            description=f"The {name} function fails",
            runbook="function-errors",
        )

    def add_dead_letters(self, name: str, queue: sqs.IQueue) -> None:
        """Alarm when deliveries were given up."""
        self.add(
            f"DeadLetters{name}",
            queue.metric_approximate_number_of_messages_visible(period=MINUTE),
            above=0,
            description=f"Deliveries to {name} failed and wait in {queue.node.path}",
            runbook="dead-letters",
        )

    def _add(
        self,
        construct_id: str,
        metric: cloudwatch.IMetric,
        above: float,
        description: str,
        *,
        minutes: int,
        of_them: int,
    ) -> cloudwatch.Alarm:
        alarm = cloudwatch.Alarm(
            self,
            construct_id,
            metric=metric,
            threshold=above,
            comparison_operator=cloudwatch.ComparisonOperator.GREATER_THAN_THRESHOLD,
            evaluation_periods=minutes,
            datapoints_to_alarm=of_them,
            treat_missing_data=cloudwatch.TreatMissingData.NOT_BREACHING,
            alarm_description=description,
        )
        alarm.add_alarm_action(self._action)
        alarm.add_ok_action(self._action)
        return alarm


def _text(description: str, runbook: str) -> str:
    return f"{description}. What to do: docs/operations.md#{runbook}"
