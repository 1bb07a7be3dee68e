"""What a function may do in the cluster."""

from collections.abc import Sequence

from aws_cdk import ArnFormat, Stack
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_iam as iam

from outpost_constructs.nag_suppressions import KNOWS_NO_RESOURCE, NAMED_AT_RUN_TIME, acknowledge_wildcard, printed
from outpost_constructs.permissions import Conditions, allow


class ClusterAccess:
    """Grants on the tasks of one cluster; each statement names the cluster, in its resources or as a condition."""

    def __init__(self, cluster: ecs.ICluster) -> None:
        self._cluster = cluster
        self._in_cluster: Conditions = {"ArnEquals": {"ecs:cluster": cluster.cluster_arn}}

    def grant_launch(self, grantee: iam.IGrantable, definitions: Sequence[ecs.TaskDefinition]) -> None:
        """Allow RunTask of any revision of these families, with tags, in the cluster."""
        families = [self._arn("task-definition", f"{definition.family}:*") for definition in definitions]
        for family in families:
            acknowledge_wildcard(
                grantee, family, "RunTask names the family and so its latest revision, whichever it is"
            )
        allow(grantee, "ecs:RunTask", on=families, when=self._in_cluster)
        self._grant_on_tasks(grantee, "ecs:TagResource", {"StringEquals": {"ecs:CreateAction": "RunTask"}})

    def grant_read(self, grantee: iam.IGrantable) -> None:
        """Allow listing and describing the cluster's tasks; ListTasks knows no resource, only the condition."""
        allow(grantee, "ecs:ListTasks", on=["*"], when=self._in_cluster)
        acknowledge_wildcard(grantee, "*", KNOWS_NO_RESOURCE)
        self.grant_describe(grantee)

    def grant_describe(self, grantee: iam.IGrantable) -> None:
        """Allow describing the cluster's tasks."""
        self._grant_on_tasks(grantee, "ecs:DescribeTasks")

    def grant_stop(self, grantee: iam.IGrantable) -> None:
        """Allow StopTask on the cluster's tasks."""
        self._grant_on_tasks(grantee, "ecs:StopTask")

    def _grant_on_tasks(self, grantee: iam.IGrantable, action: str, when: Conditions | None = None) -> None:
        cluster = self._cluster.cluster_name
        acknowledge_wildcard(grantee, self._arn("task", f"{printed(self._cluster, cluster)}/*"), NAMED_AT_RUN_TIME)
        allow(grantee, action, on=[self._arn("task", f"{cluster}/*")], when=when)

    def _arn(self, resource: str, name: str) -> str:
        return Stack.of(self._cluster).format_arn(
            service="ecs", resource=resource, resource_name=name, arn_format=ArnFormat.SLASH_RESOURCE_NAME
        )
