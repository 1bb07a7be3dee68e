"""The demonstration app, deployed by the real CDK CLI: created, left alone, changed and destroyed."""

import json
import re
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

from outpost_local.cdk import CdkApp
from outpost_local.environment import LocalEnvironment
from outpost_local.errors import DeployError
from tests.eventually import eventually
from tests.local.conftest import new_environment


@pytest.fixture(scope="module")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalEnvironment]:
    """An instance with the demonstration app; at the end the app is destroyed and must have left nothing."""
    local = new_environment(tmp_path_factory.mktemp("deployed") / "aws")
    try:
        local.start()
        local.deploy(lambda _line: None)
        yield local
        local.destroy(lambda _line: None)
        check_nothing_is_left(local)
    finally:
        local.stop()


def check_nothing_is_left(local: LocalEnvironment) -> None:
    assert not local.client("ecs").list_clusters()["clusterArns"]
    eventually(lambda: not local.status().tasks)
    ec2 = local.client("ec2")
    assert not ec2.describe_addresses()["Addresses"]
    assert not [nat for nat in ec2.describe_nat_gateways()["NatGateways"] if nat["State"] != "deleted"]
    assert not local.client("cloudtrail").list_trails()["Trails"]
    assert not local.client("budgets").describe_budgets(AccountId="000000000000").get("Budgets")


def outputs(local: LocalEnvironment) -> dict[str, str]:
    return local.outputs()["Demo"]


def ask_service(local: LocalEnvironment, path: str = "/") -> dict[str, Any]:
    url, headers = local.settings.endpoint, {"Host": outputs(local)["Dns"]}
    with urllib.request.urlopen(urllib.request.Request(url + path, headers=headers)) as response:  # noqa: S310
        said: dict[str, Any] = json.load(response)
    return said


def test_the_load_balancer_reaches_both_tasks_of_the_service(deployed: LocalEnvironment) -> None:
    tasks = {ask_service(deployed)["task"] for _ in range(30)}
    assert len(tasks) == 2


@pytest.mark.parametrize(
    "path", ["/health", "/v2/tasks", "/oauth2/token", "/.well-known/openid-configuration", "/v1/x?a=%2F&b"]
)
def test_every_path_reaches_the_application(deployed: LocalEnvironment, path: str) -> None:
    assert ask_service(deployed, path)["path"] == path


def test_a_row_starts_a_task_whose_end_is_delivered_to_a_function(deployed: LocalEnvironment) -> None:
    dynamodb = deployed.client("dynamodb")
    row = {"pk": {"S": "request-1"}, "exit_code": {"S": "7"}}
    dynamodb.put_item(TableName=outputs(deployed)["RequestsTable"], Item=row)

    def stopped() -> dict[str, Any] | None:
        items = dynamodb.scan(TableName=outputs(deployed)["StoppedTable"])["Items"]
        return next((item for item in items if item["started_by"]["S"] == "request-1"), None)

    item = eventually(stopped)
    assert item["exit_code"]["N"] == "7"
    assert item["stop_code"]["S"] == "EssentialContainerExited"
    assert item["cluster"]["S"].endswith(outputs(deployed)["ClusterName"])


@pytest.mark.full
def test_a_second_deployment_changes_nothing(deployed: LocalEnvironment) -> None:
    lines: list[str] = []
    deployed.deploy(lines.append)
    text = "\n".join(lines)
    assert len(re.findall(r"\(no changes\)", text)) == 2
    assert "Bootstrapping" not in text


def test_a_killed_task_of_the_service_is_replaced(deployed: LocalEnvironment) -> None:
    said = ask_service(deployed)
    task_id = said["task"].rpartition("/")[2]
    deployed.task_processes(task_id)[1].kill()

    def replaced() -> bool:
        try:
            responses = {ask_service(deployed)["task"] for _ in range(10)}
        except OSError:  # the load balancer still knows the ended task, or the new one does not listen yet
            return False
        return len(responses) == 2 and said["task"] not in responses

    eventually(replaced)


def test_a_cli_failure_carries_what_the_cli_said(deployed: LocalEnvironment) -> None:
    working = deployed.app
    deployed.app = CdkApp(stacks="*", command="/bin/no-such-app")
    try:
        with pytest.raises(DeployError, match="no-such-app"):
            deployed.deploy(lambda _line: None)
    finally:
        deployed.app = working


@pytest.mark.full
def test_a_changed_app_is_rolled_out(deployed: LocalEnvironment) -> None:
    assert ask_service(deployed)["setting"] == "first"
    deployed.app = CdkApp(stacks="*", command=f"{deployed.app.command} second")
    deployed.deploy(lambda _line: None)
    assert {ask_service(deployed)["setting"] for _ in range(10)} == {"second"}
