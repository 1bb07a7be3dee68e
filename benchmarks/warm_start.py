"""How long a dispatch takes from the request to the agent's first instruction when a warm worker waits for it.

`python -m benchmarks.warm_start` measures the whole environment: with the process engine, and with real containers
where an engine responds. The agent's first instruction prints the time; clock and processors are the machine's own, so
the worker that takes the claimed one's place starts up beside what is measured.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import tomli_w
from rich.console import Console
from rich.table import Table

from benchmarks.page import write_figures
from outpost.domain.dispatch import Dispatch
from outpost.names import Output
from outpost_client import Client
from outpost_client.models import Limits
from outpost_client.results import Status
from outpost_local.cdk import CdkApp
from outpost_local.environment import LocalEnvironment
from outpost_local.first_run import api_url, operator_key, output
from outpost_local.realism import Realism
from outpost_local.settings import REPOSITORY_ROOT, Engine
from outpost_ops.config import load
from tests import guard
from tests.e2e.conftest import Outpost
from tests.engines import build_options, container_engine
from tests.eventually import eventually
from tests.ports import free_port

BARS: dict[str, float] = {"process": 500.0, "containers": 2_000.0}
"""Milliseconds at the 95th percentile."""
SAMPLES = 20
WARM = 2
"""Workers kept ready."""
TASK = "echo first instruction at $EPOCHREALTIME"


@dataclass(frozen=True)
class Start:
    """One dispatch's way, in milliseconds since the request was sent."""

    created: float
    claimed: float
    running: float
    instruction: float


def main(path: Path) -> None:
    """Measure, print one table, and write every sample to a file."""
    guard.start()
    console = Console(width=110)
    found: dict[str, dict[str, list[Start]]] = {}
    with TemporaryDirectory(prefix="outpost-bench-") as folder:
        found["process"] = _measure(Path(folder) / "process", "process", [])
        containers = Path(folder) / "containers"
        containers.mkdir()
        try:
            with container_engine(containers) as engine:
                found["containers"] = _measure(containers / "data", engine, build_options(engine, containers))
        except pytest.skip.Exception as missing:
            console.print(f"Warm start in containers {missing}")
    samples = {
        engine: {kind: [asdict(start) for start in starts] for kind, starts in kinds.items()}
        for engine, kinds in found.items()
    }
    console.print(_table(found), f"{write_figures(path, {'milliseconds': samples})} All of it: {path}")


def _measure(folder: Path, engine: Engine, options: list[str]) -> dict[str, list[Start]]:
    """Deploy an environment with warm workers and time dispatches one by one: without a repository, and with one."""
    with _outpost(folder, engine, options) as outpost:
        repository = outpost.environment.git.create_sample_repository()
        return {
            "empty": [_start(outpost, None) for _ in range(SAMPLES)],
            "repository": [_start(outpost, repository) for _ in range(SAMPLES)],
        }


@contextmanager
def _outpost(folder: Path, engine: Engine, options: list[str]) -> Iterator[Outpost]:
    folder.mkdir()
    app = CdkApp(config=_config(folder))
    environment = LocalEnvironment(
        folder / "data", free_port(), free_port(), engine, app=app, build_options=options, realism=Realism.none()
    )
    environment.start()
    try:
        environment.deploy(lambda _line: None)
        url = api_url(environment)
        with Client(url, operator_key(environment)) as operator:
            eventually(operator.ready, within=60, what="the service is ready")
            operator.create_tenant("bench", "Benchmark", "enterprise", Limits(requests_per_minute=100_000))
            key = operator.create_key("bench", "benchmark", ["dispatch", "status"]).key
        with Client(url, key) as client:
            yield Outpost(environment, client, client._http, folder)
    finally:
        environment.stop()


def _config(folder: Path) -> Path:
    """Write the local environment's configuration with warm workers."""
    file = folder / "warm.toml"
    values = load(REPOSITORY_ROOT / "config" / "local.toml").model_dump(mode="json", exclude_unset=True)
    values["agents"]["shell"]["warm"] = WARM
    file.write_text(tomli_w.dumps(values))
    return file


def _start(outpost: Outpost, repository: str | None) -> Start:
    eventually(lambda: _idle(outpost) >= WARM, within=120, what="the workers are warm")
    sent = datetime.now(UTC)
    accepted = outpost.dispatch(TASK, repo=repository)
    ended = outpost.ends(accepted.id, within=120)
    if ended.status is not Status.SUCCESS:
        raise RuntimeError(f"{accepted.id} ended as {ended.status}: {ended.reason}")
    row = Dispatch.model_validate(outpost.row(accepted.id))
    printed = next(line for line in outpost.log(accepted.id) if line.startswith("first instruction at "))
    instruction = datetime.fromtimestamp(float(printed.rpartition(" ")[2]), UTC)
    times = (row.created_at, row.provisioning_at or sent, row.running_at or sent, instruction)
    return Start(*(round((at - sent).total_seconds() * 1e3, 1) for at in times))


def _idle(outpost: Outpost) -> int:
    """Return how many workers wait for work."""
    items = outpost.environment.client("dynamodb").scan(
        TableName=output(outpost.environment, Output.WORKERS_TABLE),
        FilterExpression="begins_with(pk, :worker) AND worker_state = :idle",
        ExpressionAttributeValues={":worker": {"S": "WORKERS#"}, ":idle": {"S": "idle"}},
        ConsistentRead=True,
    )
    return int(items["Count"])


def _table(found: dict[str, dict[str, list[Start]]]) -> Table:
    table = Table(
        "warm start", "workspace", "created", "claimed", "running", "first instruction", "p95 ms", "max", "bar"
    )
    for engine, kinds in found.items():
        for kind, starts in kinds.items():
            medians = (
                f"{sorted(getattr(start, stage) for start in starts)[len(starts) // 2]:.0f}"
                for stage in ("created", "claimed", "running", "instruction")
            )
            last = sorted(start.instruction for start in starts)
            p95 = last[-(-len(last) * 95 // 100) - 1]
            table.add_row(engine, kind, *medians, f"{p95:.0f}", f"{last[-1]:.0f}", f"{BARS[engine]:.0f}")
    return table


if __name__ == "__main__":
    main(Path(sys.argv[1]))
