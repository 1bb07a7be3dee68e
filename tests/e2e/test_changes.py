"""Deployments over deployments: nothing, a change, one that fails, one under load, and one after everything is gone."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from outpost.cli.first_run import api_url, operator_key
from outpost.client import Client
from outpost.client.models import DispatchRequest, Limits
from outpost.domain.dispatch import Status
from outpost.local.cdk import CdkApp
from outpost.local.environment import LocalEnvironment
from outpost.local.errors import DeployError
from tests.e2e.conftest import SCOPES
from tests.eventually import eventually

pytestmark = [pytest.mark.full, pytest.mark.timeout(600)]
LOCAL = Path(__file__).resolve().parents[2] / "config" / "local.toml"
BROKEN = Path(__file__).with_name("broken_app.py")


class Changing:
    """An environment of its own, whose configuration a test edits before it deploys again."""

    def __init__(self, folder: Path, ports: tuple[int, int]) -> None:
        self.config = folder / "local.toml"
        self.config.write_text(LOCAL.read_text(encoding="utf-8"), encoding="utf-8")
        self.environment = LocalEnvironment(folder / "data", *ports, app=CdkApp(config=self.config))
        self.lines: list[str] = []
        self.stands = False
        """Whether the configuration is deployed as it is."""

    def deploy(self, *edits: tuple[str, str]) -> None:
        """Deploy the configuration, with these texts replaced from now on."""
        text = self.config.read_text(encoding="utf-8")
        for old, new in edits:
            assert old in text, old
            text = text.replace(old, new)
        self.config.write_text(text, encoding="utf-8")
        self.lines, self.stands = [], False
        self.environment.deploy(self.lines.append)
        self.stands = True

    def settle(self) -> None:
        """Deploy the configuration if the last test left something else."""
        if not self.stands:
            self.deploy()

    @contextmanager
    def broken(self, fault: str) -> Iterator[None]:
        """Deploy with a fault in a stack, for as long as this lasts."""
        working = self.environment.app
        self.environment.app = CdkApp(command=f"{sys.executable} {BROKEN} {fault}", config=self.config)
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

    def works(self) -> None:
        """Run one dispatch."""
        with self.client() as client:
            ended(client, begun(client, "echo it works"))

    def changed(self) -> dict[str, Any]:
        """When each stack was changed."""
        return {name: stack.get("LastUpdatedTime", stack["CreationTime"]) for name, stack in self._stacks().items()}

    def state(self, stack: str) -> str:
        return str(self._stacks()[f"Outpost-local-{stack}"]["StackStatus"])

    def _stacks(self) -> dict[str, dict[str, Any]]:
        stacks = self.environment.client("cloudformation").describe_stacks()["Stacks"]
        return {stack["StackName"]: stack for stack in stacks}

    def workers(self, state: str = "RUNNING") -> list[dict[str, Any]]:
        """The workers that start or run, or those that have ended."""
        ecs = self.environment.client("ecs")
        (cluster,) = ecs.list_clusters()["clusterArns"]
        arns = ecs.list_tasks(cluster=cluster, family="outpost-local-shell", desiredStatus=state)["taskArns"]
        found: list[dict[str, Any]] = ecs.describe_tasks(cluster=cluster, tasks=arns)["tasks"] if arns else []
        return found

    def revisions(self) -> list[str]:
        """The task definitions of workers that may be launched."""
        ecs = self.environment.client("ecs")
        found: list[str] = ecs.list_task_definitions(familyPrefix="outpost-local-shell", status="ACTIVE")[
            "taskDefinitionArns"
        ]
        return found

    def empty_buckets(self) -> None:
        """Do what an operator does before an environment is deleted for good."""
        s3 = self.environment.client("s3")
        for bucket in s3.list_buckets()["Buckets"]:
            if bucket["Name"].startswith("outpost-local-"):
                for page in s3.get_paginator("list_object_versions").paginate(Bucket=bucket["Name"]):
                    for version in [*page.get("Versions", []), *page.get("DeleteMarkers", [])]:
                        s3.delete_object(Bucket=bucket["Name"], Key=version["Key"], VersionId=version["VersionId"])


def begun(client: Client, task: str) -> str:
    return client.dispatch(DispatchRequest(agent="shell", task=task)).id


def ended(client: Client, dispatch_id: str, within: float = 120) -> None:
    eventually(lambda: client.status(dispatch_id).status.terminal, within=within, what=f"{dispatch_id} ends")
    assert client.status(dispatch_id).status is Status.SUCCESS, client.status(dispatch_id).reason


@pytest.fixture(scope="module")
def changing(tmp_path_factory: pytest.TempPathFactory, unused_port: Callable[[], int]) -> Iterator[Changing]:
    found = Changing(tmp_path_factory.mktemp("changes"), (unused_port(), unused_port()))
    found.environment.start()
    try:
        found.deploy()
        yield found
    finally:
        found.environment.stop()


def test_a_second_deploy_changes_nothing(changing: Changing) -> None:
    changing.settle()
    before = changing.changed()

    changing.deploy()

    assert changing.changed() == before
    assert sum("no changes" in line for line in changing.lines) == len(before) - 1  # but the CDK's own


def test_a_change_is_deployed_and_leaves_the_rest_alone(changing: Changing) -> None:
    changing.settle()
    before = changing.changed()

    changing.deploy(("maximum = 2", "maximum = 3"))

    assert {name for name, when in changing.changed().items() if when != before[name]} == {"Outpost-local-ControlPlane"}
    changing.works()


def test_a_service_that_does_not_start_is_rolled_back_to_the_one_that_works(changing: Changing) -> None:
    with changing.broken("control-plane"), pytest.raises(DeployError, match="did not become steady"):
        changing.deploy()

    assert changing.state("ControlPlane") == "UPDATE_ROLLBACK_COMPLETE"
    changing.works()
    changing.deploy()
    changing.works()


def test_a_stack_that_fails_halfway_is_rolled_back_to_functions_that_work(changing: Changing) -> None:
    with changing.broken("fleet"), pytest.raises(DeployError, match="already exists"):
        changing.deploy()

    assert changing.state("Fleet") == "UPDATE_ROLLBACK_COMPLETE"
    changing.works()
    changing.deploy()
    changing.works()


def test_nothing_is_lost_by_a_deploy_with_warm_running_and_waiting_tasks(changing: Changing) -> None:
    changing.deploy(("warm = 0", "warm = 3"), ("limit = 100", "limit = 6"))
    (before,) = changing.revisions()
    with changing.client() as client:
        running = [begun(client, "sleep 30; echo ran") for _ in range(3)]
        eventually(
            lambda: all(client.status(each).status is Status.RUNNING for each in running), within=90, what="three run"
        )
        eventually(lambda: len(changing.workers()) == 6, within=120, what="three more are warm")
        waiting = [begun(client, "sleep 5; echo ran") for _ in range(20)]

        changing.deploy(("warm = 3", "warm = 3\nmemory = 1024"))  # another revision of the task definition

        deployed = datetime.now(UTC)
        (latest,) = changing.revisions()
        assert latest != before
        assert not all(client.status(each).status.terminal for each in waiting)
        for each in [*running, *waiting]:
            ended(client, each, within=240)
    eventually(
        lambda: {task["taskDefinitionArn"] for task in changing.workers()} == {latest}, within=240, what="renewal"
    )
    tasks = [*changing.workers(), *changing.workers("STOPPED")]
    assert {task["taskDefinitionArn"] for task in tasks if task["createdAt"] > deployed} == {latest}
    changing.deploy(("warm = 3\nmemory = 1024", "warm = 0"), ("limit = 6", "limit = 100"))


def test_after_everything_is_deleted_it_can_be_deployed_again(changing: Changing) -> None:
    changing.settle()
    changing.works()
    changing.empty_buckets()

    changing.environment.destroy(changing.lines.append)

    assert set(changing.changed()) == {"CDKToolkit"}
    changing.deploy()
    changing.works()
