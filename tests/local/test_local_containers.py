"""ECS tasks as real containers: the definition's options reach the engine. Skipped, saying so, without an engine."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psutil
import pytest
from docker import DockerClient
from docker.models.containers import Container

from outpost_local.container_engine import build_images, connect
from outpost_local.environment import LocalEnvironment
from outpost_local.errors import LocalError
from outpost_local.settings import Engine
from tests.engines import build_options, container_engine
from tests.eventually import eventually
from tests.local.accounts import create_role, log_lines, logged, register_job, run_job, status_is
from tests.local.conftest import DEMO_IMAGE, write_image_asset
from tests.ports import free_port


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    with container_engine(tmp_path_factory.mktemp("engine")) as found:
        yield found


@pytest.fixture(scope="module")
def aws(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalEnvironment]:
    """A running account whose tasks are containers; the demonstration's image is built."""
    folder = tmp_path_factory.mktemp("containers")
    local = LocalEnvironment(folder / "aws", free_port(), free_port(), engine)
    write_image_asset(local.settings.cdk_out)
    build_images(local.settings, build_options(engine, folder), lambda _line: None)
    local.start()
    yield local
    local.stop()


@pytest.fixture
def client(aws: LocalEnvironment) -> Iterator[DockerClient]:
    """The engine itself."""
    with closing(connect(aws.settings.engine)) as connected:
        yield connected


def container_of(aws: LocalEnvironment, client: DockerClient, arn: str) -> Container:
    eventually(status_is(aws, arn, "RUNNING"), within=60)
    found: Container = client.containers.list(filters={"label": f"com.amazonaws.ecs.task-arn={arn}"})[0]
    return found


def test_a_container_gets_what_its_definition_says(aws: LocalEnvironment, client: DockerClient) -> None:
    family = register_job(
        aws,
        DEMO_IMAGE,
        user="12345:12345",
        readonlyRootFilesystem=True,
        linuxParameters={"capabilities": {"drop": ["NET_RAW", "CHOWN"]}, "initProcessEnabled": True},
        ulimits=[
            {"name": "nofile", "softLimit": 512, "hardLimit": 768},
            {"name": "nproc", "softLimit": 4096, "hardLimit": 4096},
        ],
        memory=256,
        cpu=512,
        stopTimeout=3,
    )
    arn = run_job(aws, family, "linger", "0")
    container = container_of(aws, client, arn)
    host: dict[str, Any] = container.attrs["HostConfig"]
    assert container.attrs["Config"]["User"] == "12345:12345"
    assert host["ReadonlyRootfs"]
    assert {name.removeprefix("CAP_") for name in host["CapDrop"]} >= {"NET_RAW", "CHOWN"}
    assert (host["Memory"], host["MemorySwap"]) == (256 * 1024 * 1024, 256 * 1024 * 1024)
    assert host["NanoCpus"] == 500_000_000
    limits = {
        limit["Name"].lower().removeprefix("rlimit_"): (limit["Soft"], limit["Hard"]) for limit in host["Ulimits"]
    }
    assert limits["nofile"] == (512, 768)
    assert container.exec_run(["/usr/bin/id", "-u"]).output == b"12345\n"
    eventually(lambda: b"started" in container.logs())
    aws.client("ecs").stop_task(task=arn)
    assert eventually(status_is(aws, arn, "STOPPED"), within=60)["containers"][0]["exitCode"] == 0


def test_the_last_line_of_a_stopped_container_is_logged(aws: LocalEnvironment) -> None:
    family = register_job(aws, DEMO_IMAGE, logConfiguration=logged("/test/containers"), stopTimeout=5)
    arn = run_job(aws, family, "linger", "0")
    eventually(lambda: "demo linger started" in log_lines(aws, "/test/containers"))
    aws.client("ecs").stop_task(task=arn)
    eventually(lambda: log_lines(aws, "/test/containers") == ["demo linger started", "terminated"])


def test_a_container_above_its_memory_limit_is_killed(aws: LocalEnvironment) -> None:
    family = register_job(aws, DEMO_IMAGE, memory=128)
    arn = run_job(aws, family, "devour")
    assert eventually(status_is(aws, arn, "STOPPED"), within=60)["containers"][0]["exitCode"] == 137


def test_a_container_acts_as_its_role_and_reaches_the_embedded_aws(aws: LocalEnvironment) -> None:
    arn = run_job(aws, register_job(aws, DEMO_IMAGE, taskRoleArn=create_role(aws)), "identify")
    task = eventually(status_is(aws, arn, "STOPPED"), within=60)
    assert task["containers"][0]["exitCode"] == 0, task


def test_a_container_that_ignores_sigterm_is_killed_after_its_stop_timeout(aws: LocalEnvironment) -> None:
    arn = run_job(aws, register_job(aws, DEMO_IMAGE, stopTimeout=2), "stubborn")
    eventually(status_is(aws, arn, "RUNNING"), within=60)
    aws.client("ecs").stop_task(task=arn)
    assert eventually(status_is(aws, arn, "STOPPED"), within=60)["containers"][0]["exitCode"] == 137


def test_the_embedded_aws_listens_on_loopback_and_the_container_network_only(aws: LocalEnvironment) -> None:
    ports = {aws.settings.port, aws.settings.git_port}
    listening = [c.laddr for c in psutil.net_connections("tcp") if c.status == psutil.CONN_LISTEN and c.laddr]
    addresses = {address.ip for address in listening if address.port in ports}
    assert "127.0.0.1" in addresses
    assert not addresses & {"0.0.0.0", "::"}  # noqa: S104
    assert len(addresses) == 2


def test_an_engine_that_does_not_respond_is_named_with_the_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/nothing")
    with pytest.raises(LocalError, match=r"podman does not respond at unix://.*--engine process"):
        connect("podman")
