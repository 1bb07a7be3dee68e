"""What is measured: the control plane's process as a container starts it, on a fresh emulator of AWS."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from tempfile import TemporaryDirectory

import boto3
import psutil
import urllib3
from urllib3.util import Retry

from benchmarks.load import Request
from outpost.domain.agents import Agent
from outpost.domain.dispatch import Dispatch, Spec
from outpost.domain.ids import new_id, now
from outpost.domain.lifecycle import Claim, Start
from outpost.domain.tenants import Limits, Tenant, new_key
from outpost.names import Env
from outpost_local.realism import Realism
from tests.conftest import CREDENTIALS, run_emulator
from tests.contract.conftest import deploy
from tests.contract.running import TASK, Api, Calls, connect
from tests.ports import free_port

ROOT = Path(__file__).resolve().parents[1]
ROWS = 60
"""Dispatches that the listing tenant has: three pages."""
LINES = 100
"""Log lines that a page of logs shows."""


@dataclass(frozen=True)
class Stand:
    """A deployment for one level of load."""

    environment: dict[str, str]
    api: Api
    watching: str
    """The tenant whose dispatches are looked at."""
    requests: dict[str, Iterator[Request]]


@contextmanager
def fresh() -> Iterator[Stand]:
    """Start an emulator, create what the service needs, and fill in tenants, dispatches and a log."""
    with TemporaryDirectory(prefix="outpost-bench-") as folder, run_emulator(Path(folder), Realism.none()) as endpoint:
        os.environ.update(CREDENTIALS | {"AWS_ENDPOINT_URL": endpoint})
        boto3.setup_default_session()
        environment = CREDENTIALS | {"AWS_ENDPOINT_URL": endpoint} | deploy()
        os.environ.update(environment)
        services, stores = connect()
        api = Api("", services, stores, environment[Env.ARTIFACTS_BUCKET], boto3.client("s3"), Calls())
        limits = Limits(concurrent=1_000, daily=10_000_000, timeout_seconds=1_800, requests_per_minute=1_000_000_000)
        watching, posting = api.tenant(limits), api.tenant(limits)
        yield Stand(environment, api, watching.id, _requests(api, watching, posting))


def _requests(api: Api, watching: Tenant, posting: Tenant) -> dict[str, Iterator[Request]]:
    watcher, poster = api.key(watching), api.key(posting)
    ids = [_logged(api, watching.id) for _ in range(ROWS)]
    return {
        "live": cycle([Request.of("GET", "/health/live")]),
        "bad key": cycle([Request.of("GET", "/dispatch", new_key(), status=401)]),
        "status": cycle([Request.of("GET", f"/dispatch/{id_}", watcher) for id_ in ids]),
        "logs": cycle([Request.of("GET", f"/dispatch/{id_}/logs?limit={LINES}", watcher) for id_ in ids]),
        "list": cycle([Request.of("GET", "/dispatch", watcher)]),
        "POST": cycle([Request.of("POST", "/dispatch", poster, TASK, status=201)]),
    }


def _logged(api: Api, tenant_id: str) -> str:
    """Write a dispatch whose agent runs and has printed a page of lines; return its id."""
    row = running(api, tenant_id)
    api.chunk(row, 1, *(f"line {number} of a log as agents print them" for number in range(LINES)))
    return row.id


def running(api: Api, tenant_id: str) -> Dispatch:
    """Write a dispatch whose agent runs."""
    row = api.stores.dispatches.create(pending(tenant_id), "a task", 10_000_000)
    claimed = api.stores.dispatches.change(row.id, Claim("worker", 0, now()))
    assert claimed.lease is not None  # noqa: S101 - a claim gives one
    return api.stores.dispatches.change(row.id, Start(claimed.lease, now()))


def pending(tenant_id: str) -> Dispatch:
    """Return a new row."""
    at = now()
    return Dispatch(
        id=new_id(),
        tenant_id=tenant_id,
        created_by="benchmark",
        spec=Spec(agent=Agent.SHELL, timeout_seconds=600),
        created_at=at,
        queued_at=at,
        expires_at=int(at.timestamp()) + 86_400,
    )


@contextmanager
def service(environment: dict[str, str]) -> Iterator[tuple[int, psutil.Process]]:
    """Run the control plane: its port and its process."""
    port = free_port()
    roots = os.pathsep.join((str(ROOT), str(ROOT / "container")))
    environ = os.environ | environment | {"PORT": str(port), Env.BIND_HOST: "127.0.0.1", "PYTHONPATH": roots}
    process = subprocess.Popen([sys.executable, "-m", "control_plane"], env=environ, stdout=subprocess.DEVNULL)
    try:
        with urllib3.PoolManager(retries=Retry(total=100, backoff_factor=0.1, backoff_max=0.3)) as http:
            http.request("GET", f"http://127.0.0.1:{port}/health/live")
        yield port, psutil.Process(process.pid)
    finally:
        process.terminate()
        process.wait(timeout=30)
