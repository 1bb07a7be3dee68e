"""What an environment may cost a month."""

from aws_cdk import aws_budgets as budgets
from aws_cdk import aws_sns as sns
from constructs import Construct

from outpost_constructs.stack import config_of

_THRESHOLDS = (("ACTUAL", 80), ("ACTUAL", 100), ("FORECASTED", 100))
"""Kinds of spending, and the percent of the budget at which a notice is sent."""


class Budget(Construct):
    """Gives notice when the environment's costs come near `usd` a month.

    Costs are separated by the tag `outpost:environment`, which has to be activated once as a cost allocation tag.
    """

    def __init__(self, scope: Construct, construct_id: str, *, alarm_topic: sns.ITopic, usd: int) -> None:
        super().__init__(scope, construct_id)
        subscriber = budgets.CfnBudget.SubscriberProperty(subscription_type="SNS", address=alarm_topic.topic_arn)
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
