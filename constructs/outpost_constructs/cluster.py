"""The cluster that control plane and workers run in."""

from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_ecs as ecs
from constructs import Construct

from outpost_constructs.environment_key import key_of
from outpost_constructs.nag_suppressions import acknowledge


class Cluster(ecs.Cluster):
    """Fargate and Fargate Spot; Container Insights where the configuration pays for it."""

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
