"""A Lambda function with a role and a log group of its own."""

from collections.abc import Mapping
from functools import cached_property

from aws_cdk import Duration
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from outpost_constructs.cdk_enums import lambda_architecture, lambda_runtime
from outpost_constructs.environment_key import grant_key, key_of
from outpost_constructs.log_group import ExpiringLogGroup
from outpost_constructs.nag_suppressions import acknowledge
from outpost_ops.bundle import build_functions
from outpost_ops.config import EnvironmentConfig

_LATEST_PYTHON = "3.14"
_MEMORY = {"reconciler": 256}
"""MB, where not 512, by package: the reconciler waits for most of its time, which is paid by the memory."""
_LOG_NAMES = {"planner": "capacity", "reconciler": "sweep"}
"""Log groups named after what the package was called before: another name would delete the group and its lines."""


class OutpostFunction(lambda_.Function):
    """Runs `lambda/<package>/handler.py`. Its role may write its own log, and what others grant it."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        package: str,
        description: str,
        timeout: Duration,
        environment: Mapping[str, str],
        config: EnvironmentConfig,
        log_group: ExpiringLogGroup | None = None,
    ) -> None:
        if log_group is None:
            log_group = ExpiringLogGroup(
                scope, f"{construct_id}Logs", config=config, name=_LOG_NAMES.get(package, package).replace("_", "-")
            )
        role = iam.Role(
            scope,
            f"{construct_id}Role",
            assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"),
            description=description,
        )
        log_group.grant_write(role)
        key = key_of(scope)
        grant_key(key, role, "lambda", ("kms:Decrypt",))  # its own environment variables
        super().__init__(
            scope,
            construct_id,
            description=description,
            runtime=lambda_runtime(config),
            architecture=lambda_architecture(config),
            code=lambda_.Code.from_asset(
                # Whoever imports from the folder leaves bytecode there.
                str(build_functions(config.architecture, config.python)),
                exclude=["**/__pycache__"],
            ),
            handler=f"{package}.handler.handler",
            timeout=timeout,
            memory_size=_MEMORY.get(package, 512),
            role=role,
            log_group=log_group,
            environment=environment,
            environment_encryption=key,
        )
        self._scope, self._log_group = scope, log_group
        if config.python != _LATEST_PYTHON:
            acknowledge(self, "L1", "The embedded AWS runs functions in the Python of the machine, which is older")

    def start_each(self, construct_id: str, period: Duration) -> None:
        """Start it on a schedule. A run that fails is not repeated: the next one comes anyway."""
        self.configure_async_invoke(retry_attempts=0)
        events.Rule(
            self._scope,
            construct_id,
            schedule=events.Schedule.rate(period),
            targets=[targets.LambdaFunction(self, retry_attempts=0)],
        )

    def start_on(self, construct_id: str, pattern: events.EventPattern, dead_letters: sqs.IQueue) -> None:
        """Start it for each event of a pattern. What cannot be delivered within an hour is a dead letter."""
        delivered = targets.LambdaFunction(
            self, dead_letter_queue=dead_letters, retry_attempts=10, max_event_age=Duration.hours(1)
        )
        events.Rule(self._scope, construct_id, event_pattern=pattern, targets=[delivered])

    @cached_property
    def log_errors(self) -> cloudwatch.Metric:
        """The metric of the errors in its log, which is counted because somebody asks for it."""
        return self._log_group.count_errors()
