"""The same environment with every task in a real container. Skipped, saying so, without an engine."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from outpost.domain.dispatch import Status
from outpost.local.environment import LocalEnvironment
from tests.e2e.conftest import Outpost, tenant_of
from tests.engines import build_options, container_engine

pytestmark = [pytest.mark.full, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def contained(tmp_path_factory: pytest.TempPathFactory, unused_port: Callable[[], int]) -> Iterator[Outpost]:
    """An environment whose images are built and whose tasks are containers, as its tenant sees it."""
    folder = tmp_path_factory.mktemp("containers")
    with container_engine(folder) as engine:
        environment = LocalEnvironment(
            folder / "data", unused_port(), unused_port(), engine, build_options=build_options(engine)
        )
        environment.start()
        try:
            environment.deploy(lambda line: None)
            environment.git.create_repository("acme/widget", {"README.md": "# widget\n"})
            with tenant_of(environment, folder) as outpost:
                yield outpost
        finally:
            environment.stop()


def test_tasks_in_containers_bring_back_their_patches(contained: Outpost) -> None:
    def one(number: int) -> str:
        return contained.dispatch(f"echo {number} > number", repo="acme/widget").id

    with ThreadPoolExecutor(4) as pool:
        ids = list(pool.map(one, range(4)))
    for number, dispatch_id in enumerate(ids):
        ended = contained.ends(dispatch_id, within=120)
        assert (ended.status, ended.attempt) == (Status.SUCCESS, 1)
        assert f"+{number}\n" in contained.artifact(dispatch_id, "changes.patch").decode()


def test_the_agent_in_a_container_is_another_user_without_privileges(contained: Outpost) -> None:
    dispatch = contained.dispatch("id -u; grep -E 'CapEff|CapBnd|NoNewPrivs' /proc/self/status")
    assert contained.ends(dispatch.id, within=120).status is Status.SUCCESS
    log = [line.split() for line in contained.log(dispatch.id)]
    assert ["10002"] in log
    assert ["CapEff:", "0000000000000000"] in log
    assert ["CapBnd:", "0000000000000000"] in log
    assert ["NoNewPrivs:", "1"] in log


def test_a_container_killed_in_mid_run_ends_as_worker_lost(contained: Outpost) -> None:
    dispatch = contained.dispatch("echo begun; sleep 600")
    contained.reaches(dispatch.id, Status.RUNNING, within=120)
    worker_id = contained.row(dispatch.id)["worker_id"]
    cluster = contained.environment.client("ecs").list_clusters()["clusterArns"][0]
    contained.environment.client("ecs").stop_task(cluster=cluster, task=worker_id, reason="test")
    ended = contained.ends(dispatch.id, within=180)
    assert ended.reason is not None
    assert (ended.status, ended.reason.code) == (Status.FAILED, "WORKER_LOST")
