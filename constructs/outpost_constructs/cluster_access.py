"""What a function may do in the cluster."""

from collections.abc import Sequence

from aws_cdk import ArnFormat, Stack
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_iam as iam


class ClusterAccess:
    """Grants on the tasks of one cluster; each statement names the cluster, in its resources or as a condition."""

    def __init__(self, cluster: ecs.ICluster) -> None:
        self._cluster = cluster
        self._in_cluster = {"ArnEquals": {"ecs:cluster": cluster.cluster_arn}}

    def grant_launch(self, grantee: iam.IGrantable, definitions: Sequence[ecs.TaskDefinition]) -> None:
        """Allow RunTask of any revision of these families, with tags, in the cluster."""
        iam.Grant.add_to_principal(
            grantee=grantee,
            actions=["ecs:RunTask"],
            resource_arns=[self._arn("task-definition", f"{definition.family}:*") for definition in definitions],
            conditions=self._in_cluster,
        )
        iam.Grant.add_to_principal(
            grantee=grantee,
            actions=["ecs:TagResource"],
            resource_arns=[self._tasks],
            conditions={"StringEquals": {"ecs:CreateAction": "RunTask"}},
        )

    def grant_read(self, grantee: iam.IGrantable) -> None:
        """Allow listing and describing the cluster's tasks; ListTasks knows no resource, only the condition."""
        iam.Grant.add_to_principal(
            grantee=grantee, actions=["ecs:ListTasks"], resource_arns=["*"], conditions=self._in_cluster
        )
        iam.Grant.add_to_principal(grantee=grantee, actions=["ecs:DescribeTasks"], resource_arns=[self._tasks])

    def grant_stop(self, grantee: iam.IGrantable) -> None:
        """Allow StopTask on the cluster's tasks."""
        iam.Grant.add_to_principal(grantee=grantee, actions=["ecs:StopTask"], resource_arns=[self._tasks])

    @property
    def _tasks(self) -> str:
        return self._arn("task", f"{self._cluster.cluster_name}/*")

    def _arn(self, resource: str, name: str) -> str:
        return Stack.of(self._cluster).format_arn(
            service="ecs", resource=resource, resource_name=name, arn_format=ArnFormat.SLASH_RESOURCE_NAME
        )
