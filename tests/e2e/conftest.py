"""A whole environment, deployed by the real CDK CLI on the embedded AWS, IAM enforced, once for all these tests."""

import json
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from outpost.names import Output
from outpost_client import Client
from outpost_client.models import Artifact, Dispatch, DispatchRequest, Limits
from outpost_client.results import Status
from outpost_local.environment import LocalEnvironment
from outpost_local.first_run import api_url, operator_key, output
from tests.eventually import eventually

SCOPES = ["dispatch", "status", "list", "cancel", "delete", "promote"]


@dataclass
class Outpost:
    """The deployed environment, a client of a tenant of it, and hands to break things with."""

    environment: LocalEnvironment
    client: Client
    http: httpx.Client
    """The same key, without our client's help: for what our client would not send."""
    folder: Path

    def dispatch(self, task: str, **fields: Any) -> Dispatch:  # noqa: ANN401 - the request's fields
        return self.client.dispatch(DispatchRequest(agent="shell", task=task, **fields))

    def reaches(self, dispatch_id: str, *wanted: Status, within: float) -> Dispatch:
        """Wait until the dispatch is in one of the states."""

        def look() -> Dispatch | None:
            seen = self.client.status(dispatch_id)
            return seen if seen.status in wanted else None

        names = "/".join(wanted)
        found = eventually(look, within=within, what=f"{dispatch_id} {names}")
        assert found is not None
        return found

    def is_ready(self) -> None:
        """Wait until the service serves."""
        eventually(self.client.ready, within=60, what="the service is ready")

    def ends(self, dispatch_id: str, within: float = 60) -> Dispatch:
        return self.reaches(dispatch_id, *(status for status in Status if status.terminal), within=within)

    def artifact(self, dispatch_id: str, name: str) -> bytes:
        """Download an artifact as a client would."""
        found: dict[str, Artifact] = {each.name: each for each in self.client.artifacts(dispatch_id).artifacts}
        target = self.folder / f"{dispatch_id}-{name}"
        self.client.download(found[name], target)
        return target.read_bytes()

    def log(self, dispatch_id: str) -> list[str]:
        return [line.message for line in self.client.log_lines(dispatch_id)]

    def row(self, dispatch_id: str) -> dict[str, Any]:
        """The row itself."""
        item = self.environment.client("dynamodb").get_item(
            TableName=output(self.environment, Output.DISPATCHES_TABLE),
            Key={"pk": {"S": f"DISPATCH#{dispatch_id}"}, "sk": {"S": "DISPATCH"}},
            ConsistentRead=True,
        )["Item"]
        document: dict[str, Any] = json.loads(item["document"]["S"])
        return document

    def worker_processes(self, dispatch_id: str) -> list[psutil.Process]:
        """The processes of the worker that holds the dispatch, the harness first."""
        return self.environment.task_processes(self.row(dispatch_id)["worker_id"])

    def signal_worker(self, dispatch_id: str, number: signal.Signals) -> None:
        for process in self.worker_processes(dispatch_id):
            os.kill(process.pid, number)

    def pause_worker(self, dispatch_id: str) -> list[psutil.Process]:
        """Stop the processes of the worker that holds the dispatch, also those that start meanwhile."""
        paused: list[psutil.Process] = []
        while started := [each for each in self.worker_processes(dispatch_id) if each not in paused]:
            for process in started:
                process.suspend()
            paused += started
        return paused

    def workers(self) -> list[str]:
        """The ids of the worker tasks that run."""
        tasks = self.environment.status().tasks
        return [task_id for task_id, family in tasks.items() if family == "outpost-local-shell"]

    def active_rows(self) -> int:
        """How many dispatches are not ended."""
        items = self.environment.client("dynamodb").scan(
            TableName=output(self.environment, Output.DISPATCHES_TABLE), IndexName="by-active"
        )
        return int(items["Count"])

    def taken_slots(self) -> int:
        items = self.environment.client("dynamodb").scan(
            TableName=output(self.environment, Output.WORKERS_TABLE),
            FilterExpression="begins_with(sk, :slot) AND attribute_exists(dispatch_id)",
            ExpressionAttributeValues={":slot": {"S": "SLOT#"}},
        )
        return int(items["Count"])


@pytest.fixture(scope="session")
def deployed(tmp_path_factory: pytest.TempPathFactory, unused_port: Callable[[], int]) -> Iterator[LocalEnvironment]:
    folder = tmp_path_factory.mktemp("e2e")
    environment = LocalEnvironment(folder / "data", port=unused_port(), git_port=unused_port())
    environment.start()
    try:
        with (folder / "deploy.log").open("w") as log:
            environment.deploy(lambda line: print(line, file=log))
        yield environment
    finally:
        environment.stop()


@pytest.fixture(scope="session")
def outpost(deployed: LocalEnvironment, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Outpost]:
    """The environment, as the tenant `acme` of the tier enterprise sees it; at the end nothing may be left behind."""
    with tenant_of(deployed, tmp_path_factory.mktemp("artifacts")) as outpost:
        yield outpost


@contextmanager
def tenant_of(environment: LocalEnvironment, folder: Path) -> Iterator[Outpost]:
    url = api_url(environment)
    with Client(url) as anybody:
        eventually(anybody.ready, within=60, what="the service is ready")
    with Client(url, operator_key(environment)) as operator:
        operator.create_tenant("acme", "Acme", "enterprise", Limits(requests_per_minute=100_000))
        key = operator.create_key("acme", "end-to-end", SCOPES).key
    headers = {"Authorization": f"Bearer {key}"}
    with Client(url, key) as client, httpx.Client(base_url=url, headers=headers, timeout=120) as http:
        outpost = Outpost(environment, client, http, folder)
        yield outpost
        eventually(lambda: outpost.active_rows() == 0, what="no dispatch is active")
        assert outpost.taken_slots() == 0
        eventually(lambda: not outpost.workers(), within=90, what="every worker has left")


@pytest.fixture(scope="session")
def repository(deployed: LocalEnvironment) -> str:
    """A repository on the loopback git server."""
    deployed.git.create_repository("acme/widget", {"README.md": "# widget\n", "src/widget.py": "SIZE = 1\n"})
    return "acme/widget"
