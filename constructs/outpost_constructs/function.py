"""A Lambda function with its role, log group, triggers and permissions."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any, Literal

from aws_cdk import Duration
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_lambda_destinations as destinations
from aws_cdk import aws_lambda_event_sources as sources
from constructs import Construct

from outpost_constructs.cdk_enums import architecture_of
from outpost_constructs.environment_key import USE_DATA_KEYS, grant_key, key_of
from outpost_constructs.log_group import ExpiringLogGroup
from outpost_constructs.nag_suppressions import acknowledge
from outpost_constructs.queues import FailedDeliveries
from outpost_constructs.stack import config_of
from outpost_constructs.store_table import Access, StoreTable
from outpost_ops.bundle import build_functions

_LATEST_PYTHON = "3.14"
_PERIODS = {"Minute": Duration.minutes(1), "Hour": Duration.hours(1)}


@cache
def _code(architecture: str, python: str) -> str:
    """Return the folder of all functions' code: one, which a synthesis need not look for once for each function."""
    return str(build_functions(architecture, python))


@dataclass(frozen=True)
class Stream:
    """Which changes of a table's items start a function; after `retries` failures a change is a dead letter."""

    name: str
    """Construct id of the mapping."""
    table: StoreTable
    pattern: Mapping[str, Any]
    retries: int
    batch: int = 100
    window: Duration | None = None
    """For how long changes are collected into a batch."""
    partial: bool = False
    """Whether the function returns from which record on it wants a batch again."""


class OutpostFunction(Construct):
    """Runs `lambda/<package>/handler.py`, with a role and a log group of its own.

    `every`: on a schedule; a run that fails is not repeated, as the next one does its work.
    `on`: for each event of a pattern, by the rule's construct id; what cannot be delivered in an hour is a dead letter.
    `stream`: with changes of a table's items.
    `retry_for`: how long an asynchronous invocation may wait; after two retries it is a dead letter.
    """

    def __init__(  # noqa: PLR0913 - a keyword for each trigger
        self,
        scope: Construct,
        construct_id: str,
        *,
        package: str,
        description: str,
        timeout: Duration,
        environment: Mapping[str, str] | None = None,
        memory: int = 512,
        log_name: str | None = None,
        access: Access | None = None,
        every: Literal["Minute", "Hour"] | None = None,
        on: Mapping[str, events.EventPattern] | None = None,
        stream: Stream | None = None,
        retry_for: Duration | None = None,
    ) -> None:
        super().__init__(scope, construct_id)
        self.package = package
        self._log_group = ExpiringLogGroup(self, "FunctionLogs", name=log_name or package.replace("_", "-"))
        self.role = iam.Role(
            self,
            "FunctionRole",
            assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"),
            description=description,
        )
        self._log_group.grant_write(self.role)
        self.function = self._function(description, timeout, memory, environment or {})
        if access:
            access.grant_to(self.role)
        if every:
            self.function.configure_async_invoke(retry_attempts=0)
            target = targets.LambdaFunction(self.function, retry_attempts=0)
            events.Rule(self, f"Each{every}", schedule=events.Schedule.rate(_PERIODS[every]), targets=[target])
        for name, pattern in (on or {}).items():
            self._start_on(name, pattern)
        if stream:
            self._read(stream)
        if retry_for:
            self._keep_failures(retry_for)

    def _function(
        self, description: str, timeout: Duration, memory: int, environment: Mapping[str, str]
    ) -> lambda_.Function:
        config, key = config_of(self), key_of(self)
        grant_key(key, self.role, "lambda", ("kms:Decrypt",))  # its own environment variables
        function = lambda_.Function(
            self,
            "Function",
            description=description,
            runtime=lambda_.Runtime(f"python{config.python}", lambda_.RuntimeFamily.PYTHON),
            architecture=architecture_of(self).functions,
            code=lambda_.Code.from_asset(
                # An import from the folder leaves bytecode there.
                _code(config.architecture, config.python),
                exclude=["**/__pycache__"],
            ),
            handler=f"{self.package}.handler.handler",
            timeout=timeout,
            memory_size=memory,
            role=self.role,
            log_group=self._log_group,
            environment=environment,
            environment_encryption=key,
        )
        if config.python != _LATEST_PYTHON:
            acknowledge(function, "L1", "The embedded AWS runs functions in the Python of the machine, which is older")
        return function

    def _start_on(self, construct_id: str, pattern: events.EventPattern) -> None:
        target = targets.LambdaFunction(
            self.function,
            dead_letter_queue=self.dead_letters,
            retry_attempts=10,
            max_event_age=Duration.hours(1),
        )
        events.Rule(self, construct_id, event_pattern=pattern, targets=[target])

    def _keep_failures(self, retry_for: Duration) -> None:
        grant_key(key_of(self), self.role, "sqs", USE_DATA_KEYS)  # Lambda sends dead letters as the function
        self.function.configure_async_invoke(
            retry_attempts=2, max_event_age=retry_for, on_failure=destinations.SqsDestination(self.dead_letters)
        )

    def _read(self, stream: Stream) -> None:
        grant = stream.table.grant_read_stream(self.role)
        grant_key(key_of(self), self.role, "sqs", USE_DATA_KEYS)  # Lambda sends dead letters as the function
        mapping = self.function.add_event_source_mapping(
            stream.name,
            event_source_arn=stream.table.table_stream_arn,
            starting_position=lambda_.StartingPosition.TRIM_HORIZON,
            batch_size=stream.batch,
            max_batching_window=stream.window,
            bisect_batch_on_error=True,
            report_batch_item_failures=stream.partial,
            retry_attempts=stream.retries,
            on_failure=sources.SqsDlq(self.dead_letters),
            filters=[lambda_.FilterCriteria.filter(stream.pattern)],
        )
        grant.apply_before(mapping)

    @cached_property
    def dead_letters(self) -> FailedDeliveries:
        """What its triggers could not deliver; the queue exists once it is asked for."""
        return FailedDeliveries(self, "DeadLetters")

    @cached_property
    def log_errors(self) -> cloudwatch.Metric:
        """The metric of the errors in its log; the metric filter exists once it is asked for."""
        return self._log_group.count_errors()
