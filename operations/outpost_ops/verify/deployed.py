"""A deployed environment as CloudFormation and ECS know it: what a live check looks at."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from outpost.aws.client_config import CLIENT_CONFIG
from outpost_ops.config import EnvironmentConfig
from outpost_ops.errors import OperationError


class NotDeployedError(OperationError):
    """The environment has no stacks in this account and region; the text says which were looked for."""


class WrongAccountError(OperationError):
    """There are no valid credentials, or they are of another account than configured; the text says which."""


@dataclass(frozen=True)
class Deployed:
    """The environment that a configuration describes, in the account that the session is for."""

    config: EnvironmentConfig
    session: boto3.Session

    def require_account(self) -> None:
        """Raise WrongAccountError unless the credentials are of the account that the configuration names."""
        wanted = self.config.account
        try:
            found = self.client("sts").get_caller_identity()["Account"]
        except (BotoCoreError, ClientError) as error:
            raise WrongAccountError(
                f"{error}. Sign in with `aws sso login`, or export AWS_PROFILE=<a profile of {wanted}>"
            ) from error
        if found != wanted:
            raise WrongAccountError(
                f"the credentials are of account {found}, config/{self.config.name}.toml names {wanted}: "
                f"export AWS_PROFILE=<a profile of {wanted}>"
            )

    def client(self, service: str) -> Any:
        """Return a client of one of the account's services."""
        return self._clients.setdefault(
            service,
            self.session.client(service, config=CLIENT_CONFIG),  # type: ignore[call-overload]
        )

    @cached_property
    def _clients(self) -> dict[str, Any]:
        return {}

    @cached_property
    def _resources(self) -> dict[str, list[str]]:
        """Physical ids by resource type. Raises NotDeployedError."""
        cloudformation = self.client("cloudformation")
        prefix = f"Outpost-{self.config.name}-"
        stacks = [
            stack["StackName"]
            for page in cloudformation.get_paginator("describe_stacks").paginate()
            for stack in page["Stacks"]
            if stack["StackName"].startswith(prefix)
        ]
        if not stacks:
            raise NotDeployedError(
                f"no stack {prefix}* in account {self.config.account}, region {self.session.region_name}: "
                f"deploy it (make deploy ENV={self.config.name}), or use credentials of that account"
            )
        found: dict[str, list[str]] = {}
        for stack in stacks:
            for page in cloudformation.get_paginator("list_stack_resources").paginate(StackName=stack):
                for resource in page["StackResourceSummaries"]:
                    if resource["ResourceStatus"] != "DELETE_COMPLETE":
                        found.setdefault(resource["ResourceType"], []).append(resource["PhysicalResourceId"])
        return found

    def of_type(self, kind: str) -> list[str]:
        """Return the physical ids of the environment's resources of a type. Raises NotDeployedError."""
        return self._resources.get(kind, [])

    def services(self) -> list[dict[str, Any]]:
        """Return the environment's ECS services, described."""
        (cluster,) = self.of_type("AWS::ECS::Cluster")
        described = self.client("ecs").describe_services(cluster=cluster, services=self.of_type("AWS::ECS::Service"))
        services: list[dict[str, Any]] = described["services"]
        return services

    def running_tasks(self) -> list[dict[str, Any]]:
        """Return every task of the environment's cluster that is not stopped, described."""
        ecs = self.client("ecs")
        (cluster,) = self.of_type("AWS::ECS::Cluster")
        tasks: list[dict[str, Any]] = []
        for page in ecs.get_paginator("list_tasks").paginate(cluster=cluster):
            if page["taskArns"]:
                tasks += ecs.describe_tasks(cluster=cluster, tasks=page["taskArns"])["tasks"]
        return [task for task in tasks if task["lastStatus"] != "STOPPED"]

    @cached_property
    def functions(self) -> list[dict[str, Any]]:
        """The configuration of each of the environment's functions."""
        client = self.client("lambda")
        return [client.get_function_configuration(FunctionName=name) for name in self.of_type("AWS::Lambda::Function")]

    def variables(self, name: str) -> list[str]:
        """Return the value of an environment variable in each of the environment's functions that has it."""
        found = [function.get("Environment", {}).get("Variables", {}).get(name) for function in self.functions]
        return [value for value in found if value]
