"""Alarms and the budget, and where both are sent; which alarms there are on what functions and service report."""

from collections.abc import Iterable, Sequence

from aws_cdk import Stack
from aws_cdk import aws_budgets as budgets
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_cloudwatch_actions as actions
from aws_cdk import aws_iam as iam
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sns_subscriptions as subscriptions
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from outpost.domain.reasons import ReasonCode
from outpost.names import Metric
from outpost_constructs.environment_key import key_of
from outpost_constructs.function import OutpostFunction
from outpost_constructs.metrics import MINUTE, OutpostMetrics, combine
from outpost_constructs.queues import FailedDeliveries
from outpost_constructs.stack import config_of

_LONG_PAUSES = 20
"""Minutes that hold three attempts of a planner that pauses for five between them."""
_THRESHOLDS = (("ACTUAL", 80), ("ACTUAL", 100), ("FORECASTED", 100))
"""Kinds of spending, and the percent of the budget at which a notice is sent."""


class AlarmTopic(sns.Topic):
    """One topic for an environment, below every stack that has alarms."""

    def __init__(self, scope: Construct, construct_id: str, *, email: str | None) -> None:
        super().__init__(scope, construct_id, enforce_ssl=True, master_key=key_of(scope))
        # A topic with a policy of its own, as TLS demands, has no default policy that would let alarms publish.
        for service in ("cloudwatch", "budgets"):
            self.add_to_resource_policy(
                iam.PolicyStatement(
                    sid=f"{service.capitalize()}OfThisAccount",
                    principals=[iam.ServicePrincipal(f"{service}.amazonaws.com")],
                    actions=["sns:Publish"],
                    resources=[self.topic_arn],
                    conditions={"StringEquals": {"aws:SourceAccount": Stack.of(self).account}},
                )
            )
        if email:
            self.add_subscription(subscriptions.EmailSubscription(email))


class Budget(Construct):
    """Gives notice when the environment's costs come near `usd` a month.

    Costs are separated by the tag `outpost:environment`, which has to be activated once as a cost allocation tag.
    """

    def __init__(self, scope: Construct, construct_id: str, *, topic: sns.ITopic, usd: int) -> None:
        super().__init__(scope, construct_id)
        subscriber = budgets.CfnBudget.SubscriberProperty(subscription_type="SNS", address=topic.topic_arn)
        budgets.CfnBudget(
            self,
            "Month",
            budget=budgets.CfnBudget.BudgetDataProperty(
                budget_type="COST",
                time_unit="MONTHLY",
                budget_limit=budgets.CfnBudget.SpendProperty(amount=usd, unit="USD"),
                cost_filters={"TagKeyValue": [f"user:outpost:environment${config_of(self).name}"]},
            ),
            notifications_with_subscribers=[
                budgets.CfnBudget.NotificationWithSubscribersProperty(
                    notification=budgets.CfnBudget.NotificationProperty(
                        notification_type=kind,
                        comparison_operator="GREATER_THAN",
                        threshold=percent,
                        threshold_type="PERCENTAGE",
                    ),
                    subscribers=[subscriber],
                )
                for kind, percent in _THRESHOLDS
            ],
        )


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


def alarm_on_work(alarms: Alarms, metrics: OutpostMetrics, dead_letters: Sequence[sqs.IQueue]) -> None:
    """Add the alarms of an environment's work; `dead_letters` are those of the agents' wake-ups."""
    oldest = combine("MAX", metrics.by_agent(Metric.OLDEST_RUNNABLE, "Maximum"), "seconds")
    refused = combine("SUM", metrics.by_agent(Metric.LAUNCH_FAILURES, "Sum"), "refused")
    died = combine("SUM", metrics.by_agent(Metric.START_FAILURES, "Sum"), "died")
    silent = metrics.of(Metric.LEASE_EXPIRIES, "Sum")
    fleet = metrics.of(Metric.FLEET_SILENCE, "Maximum")
    internal = metrics.of(Metric.OUTCOMES, "Sum", Reason=ReasonCode.INTERNAL_ERROR)
    dead = [queue.metric_approximate_number_of_messages_visible(period=MINUTE) for queue in dead_letters]
    given_up = combine("MAX", dead, "messages")
    waits = "A dispatch that could run waits for five minutes"
    alarms.add("OldestRunnable", oldest, waits, "work-waits", above=300)
    launches = "ECS refuses to launch workers"
    alarms.add("LaunchFailures", refused, launches, "launches-refused", minutes=_LONG_PAUSES)
    starts = "Workers die before they ask for work: a bad image, or a crash loop"
    alarms.add("StartFailures", died, starts, "workers-do-not-start", minutes=_LONG_PAUSES)
    alarms.add("LeaseExpiries", silent, "Workers fall silent", "silent-workers")
    alarms.add("FleetSilence", fleet, "Nearly no worker is heard, so that none is declared lost", "silent-fleet")
    alarms.add("InternalErrors", internal, "Dispatches end with INTERNAL_ERROR", "internal-errors")
    alarms.add("WakeUpsGivenUp", given_up, "Wake-ups were received five times and never deleted", "wake-ups-given-up")


def alarm_on_audit(alarms: Alarms, metrics: OutpostMetrics) -> None:
    """Add the alarms of an environment's audit log: records that wait, are elsewhere or lost; unsigned heads."""
    waiting = "Audit records wait: neither CloudWatch Logs nor the audit bucket takes them"
    aside = "CloudWatch Logs did not take audit records; they are in the bucket"
    not_signed = "Checkpoints of the audit log could not be signed or stored"
    waits, lost = metrics.of(Metric.AUDIT_WAITING, "Maximum"), metrics.of(Metric.AUDIT_LOST, "Sum")
    set_aside, unsigned = metrics.of(Metric.AUDIT_SET_ASIDE, "Sum"), metrics.of(Metric.AUDIT_UNSIGNED, "Sum")
    alarms.add("AuditWaiting", waits, waiting, "audit-records", above=30)
    alarms.add("AuditSetAside", set_aside, aside, "audit-records", minutes=1)
    alarms.add("AuditLost", lost, "Audit records were lost", "audit-records", minutes=1)
    alarms.add("AuditUnsigned", unsigned, not_signed, "audit-records")
