"""An environment of its own, whose configuration a test edits before it deploys again."""

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import boto3
import pytest

from outpost_client import Client
from outpost_client.models import DispatchRequest, Limits
from outpost_client.results import Status
from outpost_local.cdk import CdkApp
from outpost_local.environment import LocalEnvironment
from outpost_local.first_run import api_url, operator_key
from outpost_ops.config import load
from outpost_ops.verify.deployed import Deployed
from tests.e2e.broken_app import taken
from tests.e2e.conftest import SCOPES
from tests.eventually import eventually
from tools.release_resources import release

ROOT = Path(__file__).resolve().parents[2]
BROKEN = Path(__file__).with_name("broken_app.py")


class Changing:
    """An environment in an account of its own, from a copy of `config/<name>.toml`."""

    def __init__(
        self, folder: Path, ports: tuple[int, int, int], name: str, tasks: Mapping[str, str] | None = None
    ) -> None:
        """`ports` are those of AWS, git and HTTPS listeners; `tasks` are variables of every task."""
        self.name = name
        self.config = folder / f"{name}.toml"
        self.config.write_text((ROOT / "config" / self.config.name).read_text(encoding="utf-8"), encoding="utf-8")
        self._folder, self._ports, self._tasks = folder, ports, tasks
        self.lines: list[str] = []
        self.deployed = False
        """Whether the configuration is deployed as it is."""
        self.environment = self._environment()

    def _environment(self) -> LocalEnvironment:
        port, git_port, tls_port = self._ports
        app = CdkApp(stacks=f"Outpost-{self.name}/*", config=self.config)
        return LocalEnvironment(
            self._folder / "data", port, git_port, app=app, tls_port=tls_port, task_environment=self._tasks
        )

    def edit(self, *edits: tuple[str, str]) -> None:
        """Replace texts of the configuration."""
        text = self.config.read_text(encoding="utf-8")
        for old, new in edits:
            assert old in text, old
            text = text.replace(old, new)
        self.config.write_text(text, encoding="utf-8")
        # The account and its region are read from the configuration.
        self.environment, self.deployed = self._environment(), False

    def deploy(self, *edits: tuple[str, str]) -> None:
        """Deploy the configuration, with these texts replaced from now on."""
        if edits:
            self.edit(*edits)
        self.lines, self.deployed = [], False
        self.environment.deploy(self.lines.append)
        self.deployed = True

    def settle(self) -> None:
        """Deploy the configuration if the last test left something else."""
        if not self.deployed:
            self.deploy()

    @contextmanager
    def broken(self, fault: str) -> Iterator[None]:
        """Deploy with a fault in a stack, for as long as this lasts."""
        logs = self.environment.client("logs")
        for stack in fault.split():
            with suppress(logs.exceptions.ResourceAlreadyExistsException):
                logs.create_log_group(logGroupName=taken(stack.capitalize() if stack.islower() else stack))
        working = self.environment.app
        command = f"{sys.executable} {BROKEN} {fault}"
        self.environment.app = CdkApp(stacks=working.stacks, command=command, config=self.config)
        yield
        self.environment.app = working

    @contextmanager
    def client(self) -> Iterator[Client]:
        """A client of a tenant that may do much at once."""
        url = api_url(self.environment)
        with Client(url) as anybody:
            eventually(anybody.ready, within=60, what="the service is ready")
        with Client(url, operator_key(self.environment)) as operator:
            if "load" not in {tenant.id for tenant in operator.tenants().items}:
                operator.create_tenant("load", "Load", "enterprise", Limits(requests_per_minute=100_000))
            key = operator.create_key("load", "changes", SCOPES).key
        with Client(url, key) as client:
            yield client

    def works(self, agent: str = "shell", task: str = "echo it works") -> None:
        """Run one dispatch."""
        with self.client() as client:
            ended(client, begun(client, task, agent))

    def changed(self) -> dict[str, Any]:
        """When each stack was changed."""
        return {name: stack.get("LastUpdatedTime", stack["CreationTime"]) for name, stack in self._stacks().items()}

    def state(self, stack: str) -> str:
        return str(self._stacks()[f"Outpost-{self.name}-{stack}"]["StackStatus"])

    def _stacks(self) -> dict[str, dict[str, Any]]:
        stacks = self.environment.client("cloudformation").describe_stacks()["Stacks"]
        return {stack["StackName"]: stack for stack in stacks}

    def workers(self, state: str = "RUNNING") -> list[dict[str, Any]]:
        """The workers of `shell` that start or run, or those that have ended."""
        ecs = self.environment.client("ecs")
        (cluster,) = ecs.list_clusters()["clusterArns"]
        family = f"outpost-{self.name}-shell"
        arns = ecs.list_tasks(cluster=cluster, family=family, desiredStatus=state)["taskArns"]
        found: list[dict[str, Any]] = ecs.describe_tasks(cluster=cluster, tasks=arns)["tasks"] if arns else []
        return found

    def revisions(self) -> list[str]:
        """The task definitions of workers of `shell` that may be launched."""
        ecs = self.environment.client("ecs")
        prefix = f"outpost-{self.name}-shell"
        found: list[str] = ecs.list_task_definitions(familyPrefix=prefix, status="ACTIVE")["taskDefinitionArns"]
        return found

    def destroy(self) -> None:
        """Delete the environment, in the steps of `make destroy`."""
        upper = [f"Outpost-{self.name}/{stack}" for stack in ("Observability", "Migration", "ControlPlane", "Fleet")]
        self.environment.destroy(self.lines.append, upper)
        with pytest.MonkeyPatch.context() as patch:
            for name, value in self.environment.environ().items():
                patch.setenv(name, value)
            release(Deployed(load(self.config), boto3.Session()))
        self.environment.destroy(self.lines.append)
        self.deployed = False


def begun(client: Client, task: str, agent: str = "shell") -> str:
    return client.dispatch(DispatchRequest(agent=agent, task=task)).id


def ended(client: Client, dispatch_id: str, within: float = 120) -> None:
    eventually(lambda: client.status(dispatch_id).status.terminal, within=within, what=f"{dispatch_id} ends")
    assert client.status(dispatch_id).status is Status.SUCCESS, client.status(dispatch_id).reason
