"""Deployments over deployments: nothing, a change, one that fails, one under load, and one after everything is gone."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from outpost_client.results import Status
from outpost_local.errors import DeployError
from tests.e2e.changing import Changing, begun, ended
from tests.eventually import eventually

pytestmark = [pytest.mark.full, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def changing(tmp_path_factory: pytest.TempPathFactory, unused_port: Callable[[], int]) -> Iterator[Changing]:
    found = Changing(tmp_path_factory.mktemp("changes"), (unused_port(), unused_port(), unused_port()), "local")
    found.environment.start()
    try:
        found.deploy()
        yield found
    finally:
        found.environment.stop()


@pytest.fixture
def gate() -> Iterator[Path]:
    """A file, not there yet, that tasks can look for, whichever user runs them."""
    with TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder, "gate")


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


def test_nothing_is_lost_by_a_deploy_with_warm_running_and_waiting_tasks(changing: Changing, gate: Path) -> None:
    held = f"until test -e {gate}; do sleep 0.2; done; echo ran"
    changing.deploy(("warm = 0", "warm = 3"), ("limit = 100", "limit = 6"))
    (before,) = changing.revisions()
    with changing.client() as client:
        running = [begun(client, held) for _ in range(3)]
        eventually(
            lambda: all(client.status(each).status is Status.RUNNING for each in running), within=90, what="three run"
        )
        eventually(lambda: len(changing.workers()) == 6, within=120, what="three more are warm")
        waiting = [begun(client, task) for task in ["sleep 2; echo ran"] * 8 + [held] * 8]

        changing.deploy(("warm = 3", "warm = 3\nmemory = 1024"))  # another revision of the task definition

        deployed = datetime.now(UTC)
        (latest,) = changing.revisions()
        assert latest != before
        assert not any(client.status(each).status.terminal for each in [*running, *waiting[8:]])
        gate.touch()
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

    changing.destroy()

    assert set(changing.changed()) == {"CDKToolkit"}
    changing.deploy()
    changing.works()
