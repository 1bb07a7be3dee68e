"""The worker's image, built for real, and workers in containers of it. Skipped, saying so, without an engine."""

import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from outpost.domain.dispatch import Dispatch
from outpost.domain.ids import new_id
from outpost.names import Env
from outpost_local.settings import Engine as EngineName
from tests.engines import build_options, container_engine

if TYPE_CHECKING:
    from tests.worker.conftest import Platform

ROOT = Path(__file__).resolve().parents[2]
IMAGE = "localhost/outpost-worker:test"
DROPPED = (
    "AUDIT_WRITE",
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "MKNOD",
    "NET_BIND_SERVICE",
    "NET_RAW",
    "SETFCAP",
    "SYS_CHROOT",
)
OF_THE_PROCESS_ENGINE = {"PATH", str(Env.ISOLATION)}


@dataclass(frozen=True)
class Engine:
    """A container engine, with the worker's image built."""

    command: EngineName
    build_options: Sequence[str]

    def call(self, *arguments: str, timeout: float = 300) -> str:
        """Run a command of the engine and return what it printed."""
        done = subprocess.run(
            [self.command, *arguments], cwd=ROOT, capture_output=True, text=True, check=False, timeout=timeout
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def build(self, target: str, tag: str, *options: str) -> None:
        """Build the worker's image."""
        files = ["--file=container/worker/Dockerfile", f"--target={target}", f"--tag={tag}", *options, "."]
        self.call("build", *self.build_options, *files, timeout=900)

    def inside(self, *argv: str) -> str:
        """Run a program in the image, as its user."""
        return self.call("run", "--rm", f"--entrypoint={argv[0]}", IMAGE, *argv[1:])

    def work(self, platform: "Platform", task: str, *options: str, **spec: object) -> Dispatch:
        """Let a worker in a container run a new dispatch."""
        return self.run(platform, platform.dispatch(task, **spec), *options)

    def run(self, platform: "Platform", row: Dispatch, *options: str) -> Dispatch:
        """Let a worker in a container run a dispatch, with the capabilities that the task definition leaves."""
        variables = {name: value for name, value in platform.environment.items() if name not in OF_THE_PROCESS_ENGINE}
        variables["ECS_CONTAINER_METADATA_URI_V4"] += f"/{new_id()}"
        settings = [f"--env={name}={value}" for name, value in variables.items()]
        dropped = [f"--cap-drop={name}" for name in DROPPED]
        print(self.call("run", "--rm", "--init", "--network=host", *dropped, *settings, *options, IMAGE))
        return platform.row(row)


@pytest.fixture(scope="session")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    folder = tmp_path_factory.mktemp("engine")
    with container_engine(folder) as command:
        engine = Engine(command, build_options(command, folder))
        engine.build("shell", IMAGE)
        yield engine
