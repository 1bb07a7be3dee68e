"""What ends a dispatch when its worker does not: ECS's events, fast, and the sweep, sure."""

from collections.abc import Mapping

from aws_cdk import Duration
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_events as events
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_lambda_destinations as destinations
from constructs import Construct

from outpost.names import Env
from outpost_constructs.cluster_access import ClusterAccess
from outpost_constructs.environment_key import USE_DATA_KEYS, grant_key, key_of
from outpost_constructs.function import OutpostFunction
from outpost_constructs.queues import FailedDeliveries
from outpost_ops.config import EnvironmentConfig


class TaskEvents(Construct):
    """Closes the dispatch of a task that stopped. An event that fails is retried, then kept as a dead letter."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        cluster: ecs.ICluster,
        environment: Mapping[str, str],
        config: EnvironmentConfig,
    ) -> None:
        super().__init__(scope, construct_id)
        self.dead_letters = FailedDeliveries(self, "DeadLetters")
        self.function = OutpostFunction(
            self,
            "Function",
            package="task_events",
            description="Closes the dispatch of a worker task that stopped",
            timeout=Duration.seconds(30),
            environment=environment,
            config=config,
        )
        self.function.configure_async_invoke(
            retry_attempts=2,
            max_event_age=Duration.hours(1),
            on_failure=destinations.SqsDestination(self.dead_letters),
        )
        grant_key(key_of(self), self.function, "sqs", USE_DATA_KEYS)  # Lambda sends dead letters as the function
        self.function.start_on(
            "TaskStopped",
            events.EventPattern(
                source=["aws.ecs"],
                detail_type=["ECS Task State Change"],
                detail={"clusterArn": [cluster.cluster_arn], "lastStatus": ["STOPPED"]},
            ),
            self.dead_letters,
        )


class Sweep(Construct):
    """Starts each minute and looks four times, 15 s apart, for what events and wake-ups missed."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        cluster: ecs.ICluster,
        broker: lambda_.IFunction,
        environment: Mapping[str, str],
        config: EnvironmentConfig,
    ) -> None:
        super().__init__(scope, construct_id)
        self.function = OutpostFunction(
            self,
            "Function",
            package="reconciler",
            description="Heals lost events and wake-ups, stops orphans, enforces deadlines",
            timeout=Duration.seconds(75),
            environment={**environment, Env.BROKER_FUNCTION: broker.function_name},
            config=config,
        )
        access = ClusterAccess(cluster)
        access.grant_read(self.function)
        access.grant_stop(self.function)
        iam.Grant.add_to_principal(
            grantee=self.function, actions=["lambda:InvokeFunction"], resource_arns=[broker.function_arn]
        )
        self.function.start_each("EachMinute", Duration.minutes(1))
