"""The planner: keeps the supply of workers equal to the demand."""

from collections.abc import Mapping, Sequence

from aws_cdk import Duration, Fn
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_ecs as ecs
from constructs import Construct

from outpost.names import Env
from outpost_constructs.cluster_access import ClusterAccess
from outpost_constructs.function import OutpostFunction
from outpost_constructs.permissions import allow
from outpost_constructs.store_table import Access, Tables
from outpost_constructs.worker_task import WorkerTask


class Planner(OutpostFunction):
    """Runs on changes of dispatches (fast) and each minute (sure); launches workers by task definition family.

    A run that fails is not repeated, and no dead letter: the next minute's does its work.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        cluster: ecs.ICluster,
        tables: Tables,
        tasks: Sequence[WorkerTask],
        subnets: Sequence[ec2.ISubnet],
        security_group: ec2.ISecurityGroup,
        environment: Mapping[str, str],
    ) -> None:
        super().__init__(
            scope,
            construct_id,
            package="planner",
            log_name="capacity",  # its package's name before: another one would delete the group and its lines
            description="Launches the workers that runnable dispatches and warm pools need",
            timeout=Duration.seconds(60),
            environment={
                **environment,
                Env.REVISIONS: _revisions(tasks),
                Env.WORKER_SUBNETS: ",".join(subnet.subnet_id for subnet in subnets),
                Env.WORKER_SECURITY_GROUP: security_group.security_group_id,
            },
            access=Access(
                reads=[tables.dispatches, tables.pending, tables.tenants],
                writes=[tables.workers],
                deletes=[tables.workers],  # launch intents that came to something
                checks=[tables.workers],  # that a new worker has not ended
            ),
            every="Minute",
        )
        ClusterAccess(cluster).grant_launch(self.role, [task.definition for task in tasks])
        allow(
            self.role,
            "iam:PassRole",
            on=[role.role_arn for task in tasks for role in task.roles],
            when={"StringEquals": {"iam:PassedToService": "ecs-tasks.amazonaws.com"}},
        )


def _revisions(tasks: Sequence[WorkerTask]) -> str:
    """Return the JSON of agent -> revision; CloudFormation knows the revision only as the end of the ARN."""
    revisions = (Fn.select(6, Fn.split(":", task.definition.task_definition_arn)) for task in tasks)
    pairs = (f'"{task.agent}":{revision}' for task, revision in zip(tasks, revisions, strict=True))
    return "{" + ",".join(pairs) + "}"
