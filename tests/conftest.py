"""The emulator, shared by every suite that needs a service of AWS but no deployment."""

import functools
import os
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

import boto3
import botocore.loaders
import botocore.session
import pytest
import urllib3
from hypothesis import HealthCheck, settings
from urllib3.util import Retry
from xdist.scheduler import LoadScopeScheduling

from outpost.names import Env
from outpost.store import schema
from outpost.store.database import Database
from outpost_local.realism import Realism
from tests import guard
from tests.ports import free_port
from tests.second_run import SecondRun

# Machines are shared: how long an example takes says nothing about the code.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")
# For `.ci/run`: the same commit draws the same examples, so that a change is refused for what it did.
settings.register_profile("repeatable", settings.get_profile("untimed"), derandomize=True, print_blob=True)

# Each session of botocore parses the services' models again (0.1 to 0.4 s a client); the runner's share them.
botocore.session.create_loader = functools.cache(botocore.loaders.create_loader)

# Which models have retired is no question of the day on which tests run.
os.environ["OUTPOST_TODAY"] = "2026-11-28"

TABLES = {
    Env.DISPATCHES_TABLE: schema.DISPATCHES,
    Env.TENANTS_TABLE: schema.TENANTS,
    Env.WORKERS_TABLE: schema.WORKERS,
    Env.QUEUES_TABLE: schema.QUEUES,
    Env.WORKSPACES_TABLE: schema.WORKSPACES,
}
CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_REGION": "us-east-1",
    "AWS_DEFAULT_REGION": "us-east-1",
}
INDEX_LAG = 0.5
"""Seconds by which indexes of the shared emulator follow at most: a test that reads one calls `tests.indexes` first."""

TOGETHER = ("migrate", "e2e", "local", "infra", "doctor")
"""Suites that share something dear (a deployment, a synthesis): each stays on one runner."""
APART = {
    "tests/e2e/test_changes.py": "changes",
    "tests/e2e/test_first_run.py": "first run",
    "tests/e2e/test_real_faults_service.py": "faults of the service",
    "tests/e2e/test_real_faults_workers.py": "faults of workers",
    "tests/local/test_killed_runs.py": "killed runs",
    "tests/migrate/test_acceptance.py": "migrate again",
    "tests/migrate/test_faults.py": "migrate again",
}
"""Files that leave their folder's suite: for one runner, together they take too long."""
FIRST = (
    "migrate",
    "tests/environments/test_dev.py",
    "e2e",
    "changes",
    "tests/environments/test_prod.py",
    "tests/environments/test_update.py",
    "faults of workers",
    "migrate again",
    "faults of the service",
    "tests/environments/test_staging_and_regions.py",
    "tests/recipes/test_recipes.py",
    "first run",
    "local",
    "infra",
    "doctor",
    "killed runs",
)
"""What takes longest: runners begin with it, in this order. A runner with at most two tests left takes the next."""
SPREAD = "tests/worker/test_conformance.py"
"""A file that is too long for one runner: what its tests try first, mostly an agent, makes a suite."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--second-run`."""
    parser.addoption(SecondRun.OPTION, action="store_true", help="report which failed tests pass on a second run")


def _scope(nodeid: str) -> str:
    path = nodeid.partition("::")[0]
    if path == SPREAD:
        return nodeid.partition("[")[2].partition("-")[0]
    suite = PurePosixPath(path).parts[1]
    return APART.get(path) or (suite if suite in TOGETHER else path)


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    """Guard this runner; let the embedded AWS draw its lags and faults from the seed of pytest-randomly."""
    guard.start()
    config.pluginmanager.register(SecondRun(config), "second-run")
    seed = int(config.getoption("randomly_seed", 0))
    os.environ.update(replace(Realism.from_environment(), seed=seed).environment())


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """After a failure, print what repeats the lags and faults of this run."""
    if terminalreporter.stats.get("failed") or terminalreporter.stats.get("error"):
        (assignment,) = Realism.from_environment().environment().items()
        terminalreporter.write_line("embedded AWS: {}='{}'".format(*assignment))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the long suites; all else stays in its random order."""
    order = {suite: place for place, suite in enumerate(FIRST)}
    items.sort(key=lambda item: order.get(_scope(item.nodeid), len(order)))


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling:  # noqa: ANN401 - xdist's own
    """Give a runner a suite of `TOGETHER`, or one file of another, at a time."""
    scheduler = LoadScopeScheduling(config, log)
    scheduler._split_scope = _scope
    return scheduler


@pytest.fixture(scope="session")
def unused_port() -> Callable[[], int]:
    return free_port


@pytest.fixture(scope="session")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Single services on loopback: the endpoint URL. For a whole environment see tests/e2e."""
    # Strict, but only indexes and changed tables are late: these tests count calls, and their clocks run ahead.
    seed = Realism.from_environment().seed
    realism = replace(Realism.none(), index_lag=INDEX_LAG, table_update_seconds=0.5, seed=seed)
    with run_emulator(tmp_path_factory.mktemp("emulator"), realism) as url:
        yield url


@contextmanager
def run_emulator(folder: Path, realism: Realism) -> Iterator[str]:
    """Run the emulator with its files in a folder."""
    port = free_port()
    # Functions inherit it: one that inherited another suite's emulator would call that one.
    environ = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")} | CREDENTIALS
    environ |= {"GATEWAY_PORT": str(port), "BIND_HOST": "127.0.0.1", "IOT_MTLS_ENABLED": "0", "TMPDIR": str(folder)}
    environ |= realism.environment()
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "outpost_local.emulator"], env=environ, stdout=log, stderr=log
        )
    url = f"http://127.0.0.1:{port}"
    patience = Retry(total=240, backoff_factor=0.1, backoff_max=0.5)
    with urllib3.PoolManager(retries=patience) as http:
        http.request("GET", f"{url}/_ministack/health")
    try:
        yield url
    finally:
        process.terminate()
        process.wait(timeout=120)


@pytest.fixture
def aws(emulator: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """Point boto3 of this process at the emulator."""
    for name, value in (CREDENTIALS | {"AWS_ENDPOINT_URL": emulator}).items():
        monkeypatch.setenv(name, value)
    boto3.setup_default_session()
    return emulator


@pytest.fixture
def database(aws: str, monkeypatch: pytest.MonkeyPatch) -> Database:
    """Tables of the test's own, exactly as the schema says."""
    monkeypatch.setenv(Env.ENVIRONMENT, "test")
    for variable, name in create_tables(uuid.uuid4().hex[:8]).items():
        monkeypatch.setenv(variable, name)
    return Database.from_environment()


def create_tables(suffix: str) -> dict[str, str]:
    """Create all tables where boto3 points to, and return the variables that name them."""
    dynamodb = boto3.client("dynamodb")
    named = {variable.value: f"{table.name}-{suffix}" for variable, table in TABLES.items()}
    for variable, table in TABLES.items():
        dynamodb.create_table(TableName=named[variable], BillingMode="PAY_PER_REQUEST", **table_definition(table))
    return named


def table_definition(table: schema.Table) -> dict[str, Any]:
    """Return CreateTable's arguments for a table of the schema."""
    attributes = {"pk", "sk"} | {name for index in table.indexes for name in (index.hash_key, index.range_key)}
    definition: dict[str, Any] = {
        "AttributeDefinitions": [{"AttributeName": name, "AttributeType": "S"} for name in sorted(attributes)],
        "KeySchema": _keys("pk", "sk"),
    }
    if table.indexes:
        definition["GlobalSecondaryIndexes"] = [
            {
                "IndexName": index.name,
                "KeySchema": _keys(index.hash_key, index.range_key),
                "Projection": {"ProjectionType": "ALL"},
            }
            for index in table.indexes
        ]
    return definition


def _keys(hash_key: str, range_key: str) -> list[dict[str, str]]:
    return [
        {"AttributeName": hash_key, "KeyType": "HASH"},
        {"AttributeName": range_key, "KeyType": "RANGE"},
    ]
