"""Where alarms and budgets send what somebody should read."""

from aws_cdk import Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sns_subscriptions as subscriptions
from constructs import Construct

from outpost_constructs.environment_key import key_of


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
