"""A deployed environment and a v1 host beside it: what `outpost migrate` works with, and hands to break things."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

import boto3
import pytest

from outpost.domain.ids import now
from outpost.names import MigrationOutput
from outpost.report import overall
from outpost_client import Client
from outpost_client.models import Limits
from outpost_local.environment import LocalEnvironment
from outpost_local.extensions.cloudwatch.virtual_clock import clock_file
from outpost_local.first_run import api_url, operator_key
from outpost_local.settings import ROOT_KEY
from outpost_local.v1 import DemonstrationHost, ensure_host
from outpost_migration.context import Context, Deployment
from outpost_migration.endpoint import EndpointSecret, V1Endpoint
from outpost_migration.monitor.model import CURRENT_PLAN, HOST, Plan, V1Host
from outpost_migration.registry import STEPS
from outpost_migration.runner import run_step
from outpost_migration.steps.monitor import watch_of
from outpost_migration.steps.preflight import load_balancer_healthy, service_running
from outpost_migration.v1 import trail
from outpost_migration.v1.layout import DISABLED
from tests.eventually import eventually

SCOPES = ["dispatch", "status", "list", "cancel", "delete", "promote"]
LOGS = "/outpost/local/control-plane"
TOOLS = (
    "dispatch",
    "status",
    "cancel",
    "health",
    "list_workspaces",
    "delete_workspace",
    "get_artifacts",
    "list_runs",
    "promote",
    "release",
)
LOGGED = "logged-by-a-test-"
"""What the names of such log streams begin with."""


@dataclass
class World:
    """The environment, v1's host, a key, and a clock that can be moved."""

    environment: LocalEnvironment
    host: DemonstrationHost
    repository: str
    url: str
    key: str
    folder: Path
    ahead: timedelta = field(default_factory=timedelta)
    folder_of_docs: Path = Path()

    def session(self, key_id: str = ROOT_KEY, key: str = ROOT_KEY) -> boto3.Session:
        return boto3.Session(
            aws_access_key_id=key_id, aws_secret_access_key=key, region_name=self.environment.settings.region
        )

    @cached_property
    def deployment(self) -> Deployment:
        return Deployment.find("local", self.session())

    def context(self, run: str, *, session: boto3.Session | None = None, **fields: Any) -> Context:  # noqa: ANN401
        deployment = Deployment.find("local", session) if session else self.deployment
        fields = {"operator": "tester", "url": self.url, "key": self.key, "now": self.now, **fields}
        return Context(deployment=deployment, run=run, **fields)

    def plan(self, run: str) -> Plan:
        """What the monitor watches now."""
        plan = watch_of(self.context(run)).plan()
        assert plan is not None
        return plan

    def now(self) -> datetime:
        return now() + self.ahead

    def move(self, ahead: timedelta) -> None:
        """Move the clock of the operator, of the trail and of the metrics."""
        self.ahead = ahead
        clock_file(self.environment.settings.data_dir).write_text(str(ahead.total_seconds()))

    def client(self, service: str) -> Any:  # noqa: ANN401 - any of boto3's clients
        return self.environment.client(service)

    def reset(self) -> None:
        """Back to before any migration: v1 in use, online, pointed at; v2 healthy; nothing watched; the real time."""
        self.move(timedelta())
        self.host.switch(online=True)
        for script in (self.host.base / "scripts").glob(f"*{DISABLED}"):
            script.rename(script.with_name(script.name.removesuffix(DISABLED)))
        deployment = self.deployment
        deployment.documents.replace(HOST, V1Host(instance_id=self.host.instance_id, region="us-east-1"))
        self.client("s3").delete_object(Bucket=deployment[MigrationOutput.AUDIT_BUCKET], Key=CURRENT_PLAN)
        secret = EndpointSecret(self.client("secretsmanager"), deployment[MigrationOutput.ENDPOINT_SECRET])
        secret.write(V1Endpoint(instance_id=self.host.instance_id, region="us-east-1"))
        logs, group = self.client("logs"), {"logGroupName": LOGS}
        for stream in logs.describe_log_streams(**group, logStreamNamePrefix=LOGGED)["logStreams"]:
            logs.delete_log_stream(**group, logStreamName=stream["logStreamName"])
        eventually(self.is_healthy, within=300, what="the service is healthy, which a cutover needs")

    def is_healthy(self) -> bool:
        """Return whether a cutover would find v2 healthy; a test before may have stopped it."""
        context = self.context("health")
        return overall([service_running(context), load_balancer_healthy(context)]) == "pass"

    def log(self, message: str, at: datetime) -> None:
        """Let the service have logged something at that time."""
        logs, stream = self.client("logs"), {"logGroupName": LOGS, "logStreamName": f"{LOGGED}{at.timestamp()}"}
        line = {"level": "error" if message.startswith("ERROR") else "info", "event": message}
        logs.create_log_stream(**stream)
        logs.put_log_events(
            **stream, logEvents=[{"timestamp": int(at.timestamp() * 1000), "message": json.dumps(line)}]
        )

    def outpost(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """The command line, as an operator runs it."""
        own = {"OUTPOST_URL": self.url, "OUTPOST_API_KEY": self.key, "PATH": "/usr/bin"}
        command = [str(Path(sys.executable).with_name("outpost")), *arguments]
        environ = self.environment.environ() | own
        return subprocess.run(command, env=environ, capture_output=True, text=True, check=False, timeout=300)

    def home(self, name: str) -> Path:
        """A client's home with every kind of file, still for v1."""
        home = self.folder / name
        for path, text in {
            ".env": "EDITOR=vi\nSSM_INSTANCE_ID=mi-0123456789abcdef0\n",
            ".mcp.json": json.dumps({"mcpServers": {"other": {"command": "x"}}}),
            ".gemini/settings.json": "{}",
            ".codex/config.toml": 'model = "m"\n',
            "CLAUDE.md": "# Rules\n",
            "AGENTS.md": "",
        }.items():
            (home / path).parent.mkdir(parents=True, exist_ok=True)
            (home / path).write_text(text)
        return home

    def up_to_cutover(self, run: str) -> None:
        """Every step before the cutover, with few samples."""
        options: dict[str, dict[str, Any]] = {
            "shadow": {"repository": self.repository, "agent": "shell"},
            "validate": {"agent": "shell"},
            "update-clients": {"file": [self.home(run)]},
        }
        for name, step in STEPS.items():
            if name == "cutover":
                break
            report = run_step(self.context(run), step, **options.get(name, {}))
            assert report.status == "pass", (name, report.checks)


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory, unused_port: Callable[[], int]) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("migrate")
    environment = LocalEnvironment(folder / "data", port=unused_port(), git_port=unused_port())
    environment.start()
    try:
        with (folder / "deploy.log").open("w") as log:
            environment.deploy(lambda line: print(line, file=log))
        url = api_url(environment)
        with Client(url, operator_key(environment)) as operator:
            eventually(operator.ready, within=60, what="the service is ready")
            operator.create_tenant("acme", "Acme", "enterprise", Limits(requests_per_minute=6000))
            key = operator.create_key("acme", "migration", SCOPES).key
        host = ensure_host(environment.settings.data_dir, environment.git.url)
        repository = environment.git.create_sample_repository()
        yield World(environment, host, repository, url, key, folder)
    finally:
        environment.stop()
        shutil.rmtree(folder / "data", ignore_errors=True)


@pytest.fixture
def fresh(world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """The world before any migration, whatever the last test left, and this process's AWS."""
    for name, value in world.environment.environ().items():
        monkeypatch.setenv(name, value)
    boto3.setup_default_session()
    monkeypatch.setattr(trail, "_PAUSE_SECONDS", 0.0)  # the embedded AWS takes more than two calls a second
    world.reset()
    yield world
    world.reset()


@pytest.fixture
def documentation(tmp_path: Path) -> Path:
    """A folder of pages that name every tool."""
    folder = tmp_path / "docs"
    folder.mkdir()
    (folder / "tools.md").write_text("".join(f"## outpost_{tool}\n\nDoes it.\n" for tool in TOOLS))
    return folder
