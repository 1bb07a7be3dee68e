"""A deployed environment as CloudFormation and ECS know it: what a live check looks at."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from outpost.aws.client_config import CLIENT_CONFIG
from outpost_ops.config import EnvironmentConfig
from outpost_ops.errors import OperationError
from outpost_ops.templates import values_at

_DESCRIBED = 100
"""Tasks that one DescribeTasks takes."""


class NotDeployedError(OperationError):
    """The environment has no stacks in this account and region; the text says which were looked for."""


class WrongAccountError(OperationError):
    """There are no valid credentials, or they are of another account than configured; the text says which."""


@dataclass(frozen=True)
class Account:
    """The account that the session reaches, and the configuration of the environment there."""

    config: EnvironmentConfig
    session: boto3.Session

    def client(self, service: str, region: str | None = None) -> Any:
        """Return a client of a service in a region, the environment's if none is named."""
        place = (service, region or self.config.region)
        if place not in self._clients:
            self._clients[place] = self.session.client(  # type: ignore[call-overload]
                service, region_name=place[1], config=CLIENT_CONFIG
            )
        return self._clients[place]

    @cached_property
    def _clients(self) -> dict[tuple[str, str], Any]:
        return {}

    def pages(self, service: str, operation: str, members: str, **arguments: Any) -> Iterator[Any]:
        """Yield what a paged call lists under `members`."""
        for page in self.client(service).get_paginator(operation).paginate(**arguments):
            yield from page[members]

    def tasks(self, cluster: str) -> Iterator[dict[str, Any]]:
        """Yield every task that ECS lists in a cluster, described."""
        arns = list(self.pages("ecs", "list_tasks", "taskArns", cluster=cluster))
        for start in range(0, len(arns), _DESCRIBED):
            chunk = arns[start : start + _DESCRIBED]
            yield from self.client("ecs").describe_tasks(cluster=cluster, tasks=chunk)["tasks"]

    def stack_states(self) -> dict[str, str]:
        """Return the state of each stack of the environment that exists."""
        stacks = self.pages("cloudformation", "describe_stacks", "Stacks")
        prefix = f"Outpost-{self.config.name}-"
        return {each["StackName"]: each["StackStatus"] for each in stacks if each["StackName"].startswith(prefix)}


class Deployed(Account):
    """The environment that a configuration describes, as it is deployed in the account."""

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

    @cached_property
    def _resources(self) -> dict[str, list[str]]:
        """Physical ids by resource type. Raises NotDeployedError."""
        stacks = self.stack_states()
        if not stacks:
            raise NotDeployedError(
                f"no stack Outpost-{self.config.name}-* in account {self.config.account}, region {self.config.region}: "
                f"deploy it (make deploy ENV={self.config.name}), or use credentials of that account"
            )
        found: dict[str, list[str]] = {}
        for stack in stacks:
            for each in self.pages("cloudformation", "list_stack_resources", "StackResourceSummaries", StackName=stack):
                if each["ResourceStatus"] != "DELETE_COMPLETE":
                    found.setdefault(each["ResourceType"], []).append(each["PhysicalResourceId"])
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
        (cluster,) = self.of_type("AWS::ECS::Cluster")
        return [task for task in self.tasks(cluster) if task["lastStatus"] != "STOPPED"]

    @cached_property
    def functions(self) -> list[dict[str, Any]]:
        """The configuration of each of the environment's functions."""
        client = self.client("lambda")
        return [client.get_function_configuration(FunctionName=name) for name in self.of_type("AWS::Lambda::Function")]

    def variables(self, name: str) -> list[str]:
        """Return the value of an environment variable in each of the environment's functions that has it."""
        return [value for value in values_at(self.functions, f"Environment.Variables.{name}") if value]
