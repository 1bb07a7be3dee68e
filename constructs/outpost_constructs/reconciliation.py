"""What ends a dispatch when its worker does not: ECS's events, fast, and the reconciler's runs, sure."""

from collections.abc import Mapping, Sequence

from aws_cdk import Duration
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_events as events
from constructs import Construct

from outpost.names import Env
from outpost_constructs.artifacts_bucket import ArtifactsBucket
from outpost_constructs.cluster_access import ClusterAccess
from outpost_constructs.function import OutpostFunction
from outpost_constructs.permissions import allow
from outpost_constructs.queues import WakeUpQueue
from outpost_constructs.store_table import Access, Tables


class TaskEvents(OutpostFunction):
    """Closes the dispatch of a task that stopped. An event that fails is retried, then kept as a dead letter."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        cluster: ecs.ICluster,
        tables: Tables,
        queues: Sequence[WakeUpQueue],
        artifacts: ArtifactsBucket,
        environment: Mapping[str, str],
    ) -> None:
        super().__init__(
            scope,
            construct_id,
            package="task_events",
            description="Closes the dispatch of a worker task that stopped",
            timeout=Duration.seconds(30),
            environment=environment,
            access=Access(writes=tables.of_an_end, deletes=[tables.pending, tables.workers], wakes=queues),
            retry_for=Duration.hours(1),
            on={
                "TaskStopped": events.EventPattern(
                    source=["aws.ecs"],
                    detail_type=["ECS Task State Change"],
                    detail={"clusterArn": [cluster.cluster_arn], "lastStatus": ["STOPPED"]},
                )
            },
        )
        artifacts.grant_settle(self.role)


class Reconciler(OutpostFunction):
    """Starts each minute and looks four times, 15 s apart, for what events and wake-ups missed."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        cluster: ecs.ICluster,
        tables: Tables,
        queues: Sequence[WakeUpQueue],
        artifacts: ArtifactsBucket,
        broker: OutpostFunction,
        environment: Mapping[str, str],
    ) -> None:
        super().__init__(
            scope,
            construct_id,
            package="reconciler",
            log_name="sweep",  # its package's name before: another one would delete the group and its lines
            description="Heals lost events and wake-ups, stops orphans, enforces deadlines",
            timeout=Duration.seconds(75),
            memory=256,  # it waits for most of its time, which is paid by the memory
            environment={**environment, Env.BROKER_FUNCTION: broker.function.function_name},
            access=Access(
                writes=tables.of_an_end,
                deletes=[tables.pending, tables.workers],
                checks=[tables.dispatches],  # that a row is still pending
                batches=[tables.dispatches, tables.pending, tables.workers],
                wakes=queues,
            ),
            every="Minute",
        )
        artifacts.grant_settle(self.role)
        tasks = ClusterAccess(cluster)
        tasks.grant_read(self.role)
        tasks.grant_stop(self.role)
        allow(self.role, "lambda:InvokeFunction", on=[broker.function.function_arn])
