"""A Lambda function with a role and a log group of its own."""

from collections.abc import Mapping

from aws_cdk import Duration
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from outpost.bundle import build_functions
from outpost.config import EnvironmentConfig
from outpost_constructs.acknowledge import acknowledge
from outpost_constructs.log_group import ExpiringLogGroup
from outpost_constructs.translation import lambda_architecture, lambda_runtime

_LATEST_PYTHON = "3.14"


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
            log_group = ExpiringLogGroup(scope, f"{construct_id}Logs", config=config, name=package.replace("_", "-"))
        role = iam.Role(
            scope,
            f"{construct_id}Role",
            assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"),
            description=description,
        )
        log_group.grant_write(role)
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
            memory_size=512,
            role=role,
            log_group=log_group,
            environment=environment,
        )
        self.log_errors = log_group.count_errors()
        if config.python != _LATEST_PYTHON:
            acknowledge(self, "L1", "The embedded AWS runs functions in the Python of the machine, which is older")
