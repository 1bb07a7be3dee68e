"""A worker as ECS runs it: `python -m worker`, with the real broker function, S3 and SQS on the emulator, real git."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import boto3
import psutil
import pytest

from outpost.domain.agents import CATALOGUE, Agent, AgentSettings
from outpost.domain.artifacts import Artifact, LogLine, Summary
from outpost.domain.dispatch import Dispatch, Spec
from outpost.domain.ids import new_id, now
from outpost.domain.tenants import Limits, Tenant
from outpost.fleet.agent_settings import load_agents
from outpost.fleet.wakeups import Wakeups
from outpost.names import Env
from outpost.store.artifacts import Artifacts, prefix_of
from outpost.store.database import Database
from outpost.store.dispatches import Dispatches
from outpost.store.tenants import Tenants
from outpost.store.workers import Workers
from outpost_local.settings import OWNER_MARKER, REPOSITORY_ROOT
from tests.conftest import CREDENTIALS, create_tables
from tests.eventually import eventually
from tests.launched import TASK_ROLE, launch, session
from tests.loopback import serving
from tests.worker.brokers import broker_variables, create_broker, create_role
from tests.worker.collecting import prepare, run, sparse
from tests.worker.container import engine
from tests.worker.forge_server import forge
from tests.worker.git_server import GitServer, git_server

__all__ = ["GitServer", "engine", "forge", "git_server", "prepare", "run", "sparse"]

PATIENCE_SECONDS = 120.0
"""How long a worker may take; a real CLI on a busy machine needs more than a minute."""
PROVIDER_KEY = "the-key-that-no-agent-ever-sees"


class _Metadata(BaseHTTPRequestHandler):
    """The ECS task metadata endpoint: `/v4/<task id>/task`."""

    def do_GET(self) -> None:
        task_id = self.path.split("/")[2]
        arn = f"arn:aws:ecs:us-east-1:000000000000:task/outpost/{task_id}"
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps({"TaskARN": arn, "Revision": "1"}).encode())

    def log_message(self, *_: object) -> None:
        """Keep the test's output quiet."""


@pytest.fixture(scope="session")
def metadata_url() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Metadata)
    with serving(server):
        yield f"http://127.0.0.1:{server.server_port}/v4"


@dataclass(frozen=True)
class Platform:
    """Everything around a worker, and what a test does with it."""

    dispatches: Dispatches
    registry: Workers
    """The rows of workers."""
    artifacts: Artifacts
    queue_url: str
    bucket: str
    folder: Path
    """Holds a temporary folder for each worker, named after it."""
    environment: Mapping[str, str]
    secrets: Mapping[Agent, str] = field(default_factory=dict)
    """Agent -> ARN of its provider's key."""
    workers: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    """Worker id -> its process."""

    def dispatch(self, task: str, **spec: object) -> Dispatch:
        """Create a pending dispatch, as the API does."""
        row = Dispatch(
            id=new_id(),
            tenant_id="acme",
            created_by="otp_00000000",
            spec=Spec.model_validate({"agent": Agent.SHELL, "timeout_seconds": 60} | spec),
            expires_at=int(now().timestamp()) + 3600,
            created_at=now(),
            queued_at=now(),
        )
        return self.dispatches.create(row, task, daily_limit=1_000)

    def start_worker(
        self, variables: Mapping[str, str] | None = None, program: Sequence[str] = ("-m", "worker")
    ) -> subprocess.Popen[bytes]:
        """Start a worker, with other variables or Python's arguments if given, and return at once."""
        environment = {**self.environment, OWNER_MARKER: os.environ.get(OWNER_MARKER, ""), **(variables or {})}
        worker_id = launch(self.registry, Agent(environment[Env.AGENT]))
        keys = session(worker_id)
        environment |= {"AWS_ACCESS_KEY_ID": str(keys.access_key), "AWS_SECRET_ACCESS_KEY": str(keys.secret_key)}
        environment["AWS_SESSION_TOKEN"] = str(keys.token)
        environment["ECS_CONTAINER_METADATA_URI_V4"] += f"/{worker_id}"
        environment["TMPDIR"] = str(self.folder / worker_id)
        (self.folder / worker_id).mkdir()
        worker = subprocess.Popen([sys.executable, *program], env=environment, stdout=subprocess.PIPE)
        self.workers[worker_id] = worker
        return worker

    def finish(self, worker: subprocess.Popen[bytes]) -> int:
        """Wait for a worker; shows what it logged, and returns its exit code."""
        output, _ = worker.communicate(timeout=PATIENCE_SECONDS)
        print(output.decode())
        return worker.returncode

    def run(self, task: str, variables: Mapping[str, str] | None = None, **spec: object) -> Dispatch:
        """Run a dispatch to its end and return its row."""
        row = self.dispatch(task, **spec)
        assert self.finish(self.start_worker({Env.AGENT: row.spec.agent, **(variables or {})})) == 0
        return self.row(row)

    def use_key(self, agent: Agent, key: str) -> None:
        """Set the key of an agent's provider, as an operator does."""
        boto3.client("secretsmanager").put_secret_value(SecretId=self.secrets[agent], SecretString=key)

    def row(self, row: Dispatch) -> Dispatch:
        """Read the row again."""
        found = self.dispatches.get(row.id)
        assert found is not None
        return found

    def wait_for(self, row: Dispatch, text: str) -> None:
        """Wait until a line with `text` is in the dispatch's stored log."""
        eventually(lambda: any(text in line for line in self.messages(self.row(row))))

    def log(self, row: Dispatch) -> list[LogLine]:
        """Read all stored log lines."""
        return [line for _, lines in self.artifacts.chunks(row) for line in lines]

    def messages(self, row: Dispatch) -> list[str]:
        """Read the text of all stored log lines."""
        return [line.message for line in self.log(row)]

    def keys(self, row: Dispatch) -> set[str]:
        """Return the names of everything stored under the attempt's prefix."""
        prefix = prefix_of(row)
        found = boto3.client("s3").list_objects_v2(Bucket=self.bucket, Prefix=prefix).get("Contents", [])
        return {item["Key"].removeprefix(prefix) for item in found}

    def read(self, row: Dispatch, artifact: Artifact) -> bytes:
        """Read an artifact of the attempt."""
        return boto3.client("s3").get_object(Bucket=self.bucket, Key=prefix_of(row) + artifact)["Body"].read()

    def summary(self, row: Dispatch) -> Summary:
        """Read the attempt's summary."""
        summary = self.artifacts.summary(row)
        assert summary is not None
        return summary


@pytest.fixture(scope="module")
def environment(emulator: str) -> Iterator[pytest.MonkeyPatch]:
    """This process's environment, set up for the emulator and restored after the module's tests."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (CREDENTIALS | {"AWS_ENDPOINT_URL": emulator, Env.ENVIRONMENT: "test"}).items():
            patch.setenv(name, value)
        boto3.setup_default_session()
        yield patch


@pytest.fixture(scope="module")
def platform(
    environment: pytest.MonkeyPatch, git_server: GitServer, metadata_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Platform]:
    suffix = new_id().lower()
    queue_url = boto3.client("sqs").create_queue(QueueName=f"shell-{suffix}")["QueueUrl"]
    bucket = f"artifacts-{suffix}"
    boto3.client("s3").create_bucket(Bucket=bucket)
    secrets = create_provider_keys(suffix)
    agents = {
        agent: AgentSettings(
            queue_url=queue_url,
            family=f"outpost-{agent}",
            task_role_arn=TASK_ROLE,
            provider_secret_arn=secrets.get(agent),
        ).model_dump(mode="json")
        for agent in Agent
    }
    environment.setenv(Env.AGENTS, json.dumps(agents))
    environment.setenv(Env.ARTIFACTS_BUCKET, bucket)
    environment.setenv(Env.CLUSTER, "outpost")
    environment.setenv(Env.ATTEMPT_ROLE_ARN, create_role(f"attempt-{suffix}", "s3:*", "secretsmanager:*"))
    for variable, name in create_tables(suffix).items():
        environment.setenv(variable, name)
    database = Database.from_environment()
    workspaces = tmp_path_factory.mktemp("workspaces")
    limits = Limits(concurrent=100, daily=1_000, timeout_seconds=600)
    Tenants(database).add(Tenant(id="acme", name="Acme", overrides=limits, created_at=now()))
    dispatches = Dispatches(database, Wakeups.from_environment(load_agents()))
    platform = Platform(
        dispatches=dispatches,
        registry=Workers(database),
        artifacts=Artifacts.from_environment(),
        queue_url=queue_url,
        bucket=bucket,
        folder=tmp_path_factory.mktemp("workers"),
        secrets=secrets,
        environment={
            **{name: os.environ[name] for name in os.environ if name.startswith(("AWS_", "PYTHONPATH"))},
            "PATH": os.environ["PATH"],
            "ECS_CONTAINER_METADATA_URI_V4": metadata_url,
            Env.ENVIRONMENT: "test",
            Env.AGENT: "shell",
            Env.QUEUE_URL: queue_url,
            Env.BROKER_FUNCTION: create_broker(f"broker-{suffix}", broker_variables()),
            Env.GIT_BASE_URL: git_server.url,
            Env.GIT_ALLOWED_HOSTS: "github.com",
            Env.ISOLATION: "none",
            Env.WORKSPACES_PATH: str(workspaces),
        },
    )
    yield platform
    for worker in platform.workers.values():
        if worker.poll() is None:
            kill(worker)
        worker.communicate(timeout=60)


def kill(worker: subprocess.Popen[bytes]) -> None:
    """Kill a worker and everything below it, as the end of its container does."""
    process = psutil.Process(worker.pid)
    for each in [process, *process.children(recursive=True)]:
        with suppress(psutil.NoSuchProcess):
            each.kill()


def create_provider_keys(suffix: str) -> dict[Agent, str]:
    """Create a secret for the provider of each agent that has one."""
    client = boto3.client("secretsmanager")
    return {
        agent: client.create_secret(Name=f"{agent}-{suffix}", SecretString=f"{PROVIDER_KEY}\n")["ARN"]
        for agent, entry in CATALOGUE.items()
        if entry.provider is not None
    }


def skip_where_gemini_refuses(agent: Agent) -> None:
    """Gemini CLI does not start beside a repository's settings in a checkout that others may write to (ADR 32)."""
    if agent is Agent.GEMINI and REPOSITORY_ROOT.is_relative_to(tempfile.gettempdir()):
        pytest.skip("the checkout is below the folder of temporary files")
