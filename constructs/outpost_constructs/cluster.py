"""The cluster that control plane and workers run in, and what functions may do in it."""

from collections.abc import Sequence

from aws_cdk import ArnFormat, Stack
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_iam as iam
from constructs import Construct

from outpost_constructs.environment_key import key_of
from outpost_constructs.nag_suppressions import (
    KNOWS_NO_RESOURCE,
    NAMED_AT_RUN_TIME,
    acknowledge,
    acknowledge_wildcard,
    printed,
)
from outpost_constructs.permissions import Conditions, allow


class Cluster(ecs.Cluster):
    """Fargate and Fargate Spot; Container Insights where the configuration pays for it.

    Each statement that it grants names the cluster, in its resources or as a condition.
    """

    def __init__(self, scope: Construct, construct_id: str, *, vpc: ec2.IVpc, insights: bool) -> None:
        key = key_of(scope)
        super().__init__(
            scope,
            construct_id,
            vpc=vpc,
            enable_fargate_capacity_providers=True,
            container_insights_v2=ecs.ContainerInsights.ENABLED if insights else ecs.ContainerInsights.DISABLED,
            # Clones of repositories live there. The L2 admits Fargate in the key's policy.
            managed_storage_configuration=ecs.ManagedStorageConfiguration(fargate_ephemeral_storage_kms_key=key)
            if key
            else None,
        )
        if not insights:
            acknowledge(self, "ECS4", "Metrics for each task cost more than a small environment is worth")

    def grant_launch(self, grantee: iam.IGrantable, definitions: Sequence[ecs.TaskDefinition]) -> None:
        """Allow RunTask of any revision of these families, with tags, in the cluster."""
        families = [self._arn("task-definition", f"{definition.family}:*") for definition in definitions]
        for family in families:
            acknowledge_wildcard(
                grantee, family, "RunTask names the family and so its latest revision, whichever it is"
            )
        allow(grantee, "ecs:RunTask", on=families, when=self._as_condition)
        self.grant_on_tasks(grantee, "ecs:TagResource", {"StringEquals": {"ecs:CreateAction": "RunTask"}})

    def grant_list(self, grantee: iam.IGrantable) -> None:
        """Allow listing the cluster's tasks; ListTasks knows no resource, only the condition."""
        allow(grantee, "ecs:ListTasks", on=["*"], when=self._as_condition)
        acknowledge_wildcard(grantee, "*", KNOWS_NO_RESOURCE)

    def grant_on_tasks(self, grantee: iam.IGrantable, action: str, when: Conditions | None = None) -> None:
        """Allow an action on the cluster's tasks."""
        acknowledge_wildcard(grantee, self._arn("task", f"{printed(self, self.cluster_name)}/*"), NAMED_AT_RUN_TIME)
        allow(grantee, action, on=[self._arn("task", f"{self.cluster_name}/*")], when=when)

    @property
    def _as_condition(self) -> Conditions:
        return {"ArnEquals": {"ecs:cluster": self.cluster_arn}}

    def _arn(self, resource: str, name: str) -> str:
        return Stack.of(self).format_arn(
            service="ecs", resource=resource, resource_name=name, arn_format=ArnFormat.SLASH_RESOURCE_NAME
        )
