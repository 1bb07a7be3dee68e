"""The planner: keeps the supply of workers equal to the demand."""

from collections.abc import Mapping, Sequence

from aws_cdk import Duration, Fn
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_iam as iam
from constructs import Construct

from outpost.names import Env
from outpost_constructs.cluster_access import ClusterAccess
from outpost_constructs.function import OutpostFunction
from outpost_constructs.worker_task import WorkerTask
from outpost_ops.config import EnvironmentConfig


class Planner(Construct):
    """Runs on changes of dispatches (fast) and each minute (sure); launches workers by task definition family.

    A run that fails is not repeated, and no dead letter: the next minute's does its work.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        cluster: ecs.ICluster,
        tasks: Sequence[WorkerTask],
        subnets: Sequence[ec2.ISubnet],
        security_group: ec2.ISecurityGroup,
        environment: Mapping[str, str],
        config: EnvironmentConfig,
    ) -> None:
        super().__init__(scope, construct_id)
        self.function = OutpostFunction(
            self,
            "Function",
            package="planner",
            description="Launches the workers that runnable dispatches and warm pools need",
            timeout=Duration.seconds(60),
            environment={
                **environment,
                Env.REVISIONS: _revisions(tasks),
                Env.WORKER_SUBNETS: ",".join(subnet.subnet_id for subnet in subnets),
                Env.WORKER_SECURITY_GROUP: security_group.security_group_id,
            },
            config=config,
        )
        self.function.start_each("EachMinute", Duration.minutes(1))
        access = ClusterAccess(cluster)
        access.grant_launch(self.function, [task.definition for task in tasks])
        iam.Grant.add_to_principal(
            grantee=self.function,
            actions=["iam:PassRole"],
            resource_arns=[role.role_arn for task in tasks for role in task.roles],
            conditions={"StringEquals": {"iam:PassedToService": "ecs-tasks.amazonaws.com"}},
        )


def _revisions(tasks: Sequence[WorkerTask]) -> str:
    """Return the JSON of agent -> revision; CloudFormation knows the revision only as the end of the ARN."""
    revisions = (Fn.select(6, Fn.split(":", task.definition.task_definition_arn)) for task in tasks)
    pairs = (f'"{task.agent}":{revision}' for task, revision in zip(tasks, revisions, strict=True))
    return "{" + ",".join(pairs) + "}"
