"""The functions of the fleet, beside the broker: they launch workers, end dispatches, count them, and clean up."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from aws_cdk import Duration, Fn, Stack
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_events as events
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from outpost.names import Env
from outpost_constructs.buckets import ArtifactsBucket
from outpost_constructs.cluster import Cluster
from outpost_constructs.function import OutpostFunction, Stream
from outpost_constructs.nag_suppressions import KNOWS_NO_RESOURCE, acknowledge_wildcard
from outpost_constructs.permissions import allow
from outpost_constructs.queues import WakeUpQueue
from outpost_constructs.store_table import Access, Tables
from outpost_constructs.worker_task import WORKSPACES_PATH, WorkerTask
from outpost_constructs.workspaces import Workspaces


@dataclass(frozen=True)
class FleetData:
    """What the fleet's functions work on."""

    cluster: Cluster
    tables: Tables
    queues: Sequence[WakeUpQueue]
    """Of the enabled agents."""
    artifacts: ArtifactsBucket
    environment: Mapping[str, str]
    """The variables that name all this."""


class Planner(OutpostFunction):
    """Runs on changes of dispatches (fast) and each minute (sure); launches workers by task definition family.

    A run that fails is not repeated, and no dead letter: the next minute's does its work.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        data: FleetData,
        tasks: Sequence[WorkerTask],
        subnets: Sequence[ec2.ISubnet],
        security_group: ec2.ISecurityGroup,
    ) -> None:
        tables = data.tables
        super().__init__(
            scope,
            construct_id,
            package="planner",
            log_name="capacity",  # its package's name before: another one would delete the group and its lines
            description="Launches the workers that runnable dispatches and warm pools need",
            timeout=Duration.seconds(60),
            environment={
                **data.environment,
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
        data.cluster.grant_launch(self.role, [task.definition for task in tasks])
        allow(
            self.role,
            "iam:PassRole",
            on=[role.role_arn for task in tasks for role in task.roles],
            when={"StringEquals": {"iam:PassedToService": "ecs-tasks.amazonaws.com"}},
        )


class TaskEvents(OutpostFunction):
    """Closes the dispatch of a task that stopped. An event that fails is retried, then kept as a dead letter."""

    def __init__(self, scope: Construct, construct_id: str, *, data: FleetData) -> None:
        tables = data.tables
        super().__init__(
            scope,
            construct_id,
            package="task_events",
            description="Closes the dispatch of a worker task that stopped",
            timeout=Duration.seconds(30),
            environment=data.environment,
            access=Access(writes=tables.of_an_end, deletes=[tables.pending, tables.workers], wakes=data.queues),
            retry_for=Duration.hours(1),
            on={
                "TaskStopped": events.EventPattern(
                    source=["aws.ecs"],
                    detail_type=["ECS Task State Change"],
                    detail={"clusterArn": [data.cluster.cluster_arn], "lastStatus": ["STOPPED"]},
                )
            },
        )
        data.artifacts.grant_settle(self.role)


class Reconciler(OutpostFunction):
    """Starts each minute and looks four times, 15 s apart, for what events and wake-ups missed."""

    def __init__(self, scope: Construct, construct_id: str, *, data: FleetData, broker: OutpostFunction) -> None:
        tables = data.tables
        super().__init__(
            scope,
            construct_id,
            package="reconciler",
            log_name="sweep",  # its package's name before: another one would delete the group and its lines
            description="Heals lost events and wake-ups, stops orphans, enforces deadlines",
            timeout=Duration.seconds(75),
            memory=256,  # it waits for most of its time, which is paid by the memory
            environment={**data.environment, Env.BROKER_FUNCTION: broker.function.function_name},
            access=Access(
                writes=tables.of_an_end,
                deletes=[tables.pending, tables.workers],
                checks=[tables.dispatches],  # that a row is still pending
                batches=[tables.dispatches, tables.pending, tables.workers],
                wakes=data.queues,
            ),
            every="Minute",
        )
        data.artifacts.grant_settle(self.role)
        data.cluster.grant_list(self.role)
        for action in ("ecs:DescribeTasks", "ecs:StopTask"):
            data.cluster.grant_on_tasks(self.role, action)
        allow(self.role, "lambda:InvokeFunction", on=[broker.function.function_arn])


class UsageEvents(OutpostFunction):
    """Counts the dispatches that `dispatch_changes` invokes it with, and sends their events; failures: dead letters."""

    def __init__(self, scope: Construct, construct_id: str, *, data: FleetData) -> None:
        super().__init__(
            scope,
            construct_id,
            package="usage_events",
            description="Counts what every ended dispatch consumed, and sends it to the event bus",
            timeout=Duration.seconds(30),
            environment=data.environment,
            access=Access(writes=[data.tables.dispatches]),  # counters beside the rows
            retry_for=Duration.hours(6),
        )
        allow(self.role, "events:PutEvents", on=[default_bus(self)])


class WorkspaceReaper(OutpostFunction):
    """Runs on deleted rows (fast) and each hour (sure). Beside the workers it alone mounts the file system."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        data: FleetData,
        workspaces: Workspaces,
        subnets: Sequence[ec2.ISubnet],
        security_group: ec2.ISecurityGroup,
    ) -> None:
        rows = data.tables.workspace_rows
        super().__init__(
            scope,
            construct_id,
            package="workspace_reaper",
            description="Removes the files of workspaces that are deleted, expired or nobody's",
            timeout=Duration.minutes(5),
            environment={**data.environment, Env.WORKSPACES_PATH: WORKSPACES_PATH},
            access=Access(reads=[rows], deletes=[rows]),
            every="Hour",
            stream=Stream("Deleted", rows, {"eventName": ["REMOVE"]}, batch=10, retries=3),
        )
        self._mount(workspaces, subnets, security_group)

    def _mount(
        self, workspaces: Workspaces, subnets: Sequence[ec2.ISubnet], security_group: ec2.ISecurityGroup
    ) -> None:
        """Give the function the access point. The L2 would also write rules between the stacks' security groups."""
        actions = ("CreateNetworkInterface", "DeleteNetworkInterface", "DescribeNetworkInterfaces")
        attachment = allow(self.role, *(f"ec2:{action}" for action in actions), on=["*"])
        acknowledge_wildcard(self.role, "*", KNOWS_NO_RESOURCE)
        mount = workspaces.grant_mount(self.role)
        function = self.function.node.default_child
        assert isinstance(function, lambda_.CfnFunction)  # noqa: S101 - what the L2 is made of
        function.vpc_config = lambda_.CfnFunction.VpcConfigProperty(
            subnet_ids=[subnet.subnet_id for subnet in subnets],
            security_group_ids=[security_group.security_group_id],
        )
        function.file_system_configs = [
            lambda_.CfnFunction.FileSystemConfigProperty(
                arn=workspaces.access_point.access_point_arn, local_mount_path=WORKSPACES_PATH
            )
        ]
        for grant in (attachment, mount):
            grant.apply_before(function)


def _revisions(tasks: Sequence[WorkerTask]) -> str:
    """Return the JSON of agent -> revision; CloudFormation knows the revision only as the end of the ARN."""
    revisions = (Fn.select(6, Fn.split(":", task.definition.task_definition_arn)) for task in tasks)
    pairs = (f'"{task.agent}":{revision}' for task, revision in zip(tasks, revisions, strict=True))
    return "{" + ",".join(pairs) + "}"


def default_bus(scope: Construct) -> str:
    """Return the ARN of the account's default event bus."""
    return Stack.of(scope).format_arn(service="events", resource="event-bus", resource_name="default")
