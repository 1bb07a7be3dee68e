"""Real faults of workers and of what lies between them and AWS, in an environment of their own; each is measured."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

import httpx
import psutil
import pytest

from outpost.names import Metric, Output
from outpost_client import Client
from outpost_client.models import Dispatch, Limits
from outpost_client.results import Status
from outpost_local.environment import LocalEnvironment
from outpost_local.first_run import api_url, operator_key, output
from tests.e2e.conftest import SCOPES, Outpost
from tests.e2e.emitted import emitted
from tests.e2e.network import Network
from tests.e2e.noticed import SLACK, noticing
from tests.eventually import eventually
from tests.loopback import serving

pytestmark = [pytest.mark.full, pytest.mark.timeout(900)]

LOST = (Status.FAILED, "WORKER_LOST")
SHORT_CUT = 8.0
"""Seconds without network: with those since the last heartbeat far below the lease, however slow the machine is."""
OUTAGE = 40.0
"""Seconds without AWS: longer than the lease."""
DISK = "size=1g,nr_inodes=300k"
"""What workers share here, each on AWS has 20 GiB of its own; an agent has to leave 256 MiB and 65,536 inodes."""


@pytest.fixture(scope="module")
def ports(unused_port: Callable[[], int]) -> tuple[int, int, int]:
    """Of AWS, of git, and of the way from tasks to AWS."""
    return unused_port(), unused_port(), unused_port()


@pytest.fixture(scope="module")
def way(ports: tuple[int, int, int]) -> Iterator[Network]:
    with serving(Network(ports[2], ports[0])) as found:
        yield found


@pytest.fixture(scope="module")
def environment(
    ports: tuple[int, int, int], way: Network, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LocalEnvironment]:
    """An environment whose tasks reach AWS by `way`."""
    folder = tmp_path_factory.mktemp("real-faults") / "data"
    found = LocalEnvironment(folder, ports[0], ports[1], task_environment={"AWS_ENDPOINT_URL": way.url})
    found.start()
    try:
        found.deploy(lambda _line: None)
        yield found
    finally:
        found.stop()


@contextmanager
def joined(environment: LocalEnvironment, folder: Path) -> Iterator[Outpost]:
    """Create a tenant; at the end no dispatch is active and no slot is taken."""
    url, tenant = api_url(environment), f"t-{uuid4().hex[:8]}"
    with Client(url, operator_key(environment)) as operator:
        eventually(operator.ready, within=60 + SLACK, what="the service is ready")
        operator.create_tenant(tenant, "Tenant", "enterprise", Limits(requests_per_minute=100_000))
        key = operator.create_key(tenant, "faults", SCOPES).key
    with (
        Client(url, key) as client,
        httpx.Client(base_url=url, headers={"Authorization": f"Bearer {key}"}, timeout=120) as http,
    ):
        found = Outpost(environment, client, http, folder)
        yield found
        eventually(lambda: found.active_rows() == 0, what="no dispatch is active")
        assert found.taken_slots() == 0


@pytest.fixture
def outpost(environment: LocalEnvironment, tmp_path: Path) -> Iterator[Outpost]:
    with joined(environment, tmp_path) as found:
        yield found


@pytest.fixture
def reconciling(outpost: Outpost) -> None:
    """Wait for the first passes of the reconciler: its rule fires a minute after it was deployed."""
    eventually(
        lambda: Metric.FLEET_SILENCE in {name for name, _ in emitted(outpost)},
        within=180 + SLACK,
        what="the reconciler has run",
    )


@pytest.fixture
def small_disk(outpost: Outpost) -> Iterator[None]:
    """A disk for the folders of the tasks that start during the test."""
    eventually(lambda: not outpost.workers(), within=90 + SLACK, what="every worker has left")
    folder = outpost.environment.settings.tasks_dir
    mount = ["mount", "-t", "tmpfs", "-o", DISK, "outpost-test", str(folder)]
    mounted = subprocess.run(mount, capture_output=True, text=True, check=False)
    if mounted.returncode != 0:
        pytest.skip(f"this machine lets nobody mount a small disk: {mounted.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)  # noqa: S607


def running(outpost: Outpost, task: str, **fields: object) -> tuple[Dispatch, list[psutil.Process]]:
    """Start a dispatch; return it and the processes of its worker when its agent runs."""
    dispatch = outpost.dispatch(task, **fields)
    outpost.reaches(dispatch.id, Status.RUNNING, within=60 + SLACK)
    return dispatch, outpost.worker_processes(dispatch.id)


@pytest.fixture
def gate(tmp_path: Path) -> Path:
    """A file for which agents wait, so that they end when the test wants it, however slow the machine is."""
    return tmp_path / "gate"


def behind(gate: Path) -> str:
    """Return what a task waits with."""
    return f"until test -e '{gate}'; do sleep 0.2; done"


def kill(environment: LocalEnvironment, worker_id: str) -> None:
    """Kill the processes of a task, also those that start meanwhile."""
    while processes := environment.task_processes(worker_id):
        for process in processes:
            with suppress(psutil.NoSuchProcess):  # it ended with the one before
                process.kill()


def end(processes: list[psutil.Process], within: float = 60 + SLACK) -> None:
    """Wait until none of them runs any more."""
    eventually(lambda: not any(map(runs, processes)), within=within, what="the processes end")


def runs(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def resume(processes: list[psutil.Process]) -> None:
    """Let stopped processes continue, the last one first; a task that does not stop in its time has been killed."""
    for process in reversed(processes):
        with suppress(psutil.NoSuchProcess):
            process.resume()


def outcome(dispatch: Dispatch) -> tuple[Status, str]:
    """Return status and reason of a dispatch that has ended; whatever the reason, there is a remedy."""
    assert dispatch.reason is not None
    assert dispatch.reason.remedy
    return dispatch.status, dispatch.reason.code


def stored(outpost: Outpost, dispatch_id: str, attempt: int) -> dict[str, str]:
    """Return the objects of an attempt: name -> ETag."""
    bucket, s3 = output(outpost.environment, Output.ARTIFACTS_BUCKET), outpost.environment.client("s3")
    tenant = outpost.row(dispatch_id)["tenant_id"]
    prefix = f"tenants/{tenant}/dispatches/{dispatch_id}/{attempt}/"
    found = s3.list_objects_v2(Bucket=bucket, Prefix=prefix).get("Contents", [])
    return {each["Key"].removeprefix(prefix): each["ETag"] for each in found}


def test_a_killed_worker_is_noticed_by_the_end_of_its_task(
    environment: LocalEnvironment, outpost: Outpost, gate: Path
) -> None:
    retried, _ = running(outpost, f"{behind(gate)}; echo done > out", retryable=True)
    dispatch, processes = running(outpost, "echo begun; sleep 600")
    workers = [outpost.row(each.id)["worker_id"] for each in (retried, dispatch)]
    with noticing("test_a_killed_worker_is_noticed_by_the_end_of_its_task") as bound:
        for worker in workers:
            kill(environment, worker)
        ended = outpost.ends(dispatch.id, within=bound)
    assert (*outcome(ended), ended.attempt) == (*LOST, 1)
    end(processes)
    gate.touch()
    again = outpost.ends(retried.id, within=60 + SLACK)
    assert (again.status, again.attempt) == (Status.SUCCESS, 2)


@pytest.mark.usefixtures("reconciling")
def test_a_stopped_worker_is_lost_and_changes_nothing_when_it_continues(outpost: Outpost, gate: Path) -> None:
    dispatch, _ = running(outpost, f"{behind(gate)}; echo late > out")
    with noticing("test_a_stopped_worker_is_lost_and_changes_nothing_when_it_continues") as bound:
        paused = outpost.pause_worker(dispatch.id)
        ended = outpost.ends(dispatch.id, within=bound)
    assert outcome(ended) == LOST
    assert outpost.taken_slots() == 0
    before = outpost.row(dispatch.id), stored(outpost, dispatch.id, 1)["summary.json"]
    gate.touch()
    resume(paused)
    end(paused)
    assert (outpost.row(dispatch.id), stored(outpost, dispatch.id, 1)["summary.json"]) == before
    eventually(
        lambda: Metric.LEASE_EXPIRIES in {name for name, _ in emitted(outpost)},
        within=75 + SLACK,  # the reconciler's function writes its figures when it ends, after four passes
        what="the reconciler reports the expired lease",
    )


def test_a_short_cut_of_the_network_loses_nothing(outpost: Outpost, way: Network, gate: Path) -> None:
    dispatch, processes = running(outpost, f"echo before; {behind(gate)}; echo after; echo result > out")
    with way.cut(processes):
        gate.touch()
        time.sleep(SHORT_CUT)  # the fault itself
        assert outpost.row(dispatch.id)["status"] == Status.RUNNING
    with noticing("test_a_short_cut_of_the_network_loses_nothing") as bound:
        ended = outpost.ends(dispatch.id, within=bound)
    assert (ended.status, ended.attempt) == (Status.SUCCESS, 1)
    assert b"+result" in outpost.artifact(dispatch.id, "changes.patch")
    assert [line for line in outpost.log(dispatch.id) if line in ("before", "after")] == ["before", "after"]


@pytest.mark.usefixtures("reconciling")
def test_after_a_long_cut_of_the_network_another_worker_does_the_work(
    outpost: Outpost, way: Network, gate: Path
) -> None:
    dispatch, processes = running(outpost, f"echo begun; {behind(gate)}; echo $RANDOM > out", retryable=True)
    kept = eventually(lambda: stored(outpost, dispatch.id, 1), what="the first attempt has stored a part of its log")
    with way.cut(processes):
        with noticing("test_after_a_long_cut_of_the_network_another_worker_does_the_work") as bound:
            eventually(lambda: "summary.json" in stored(outpost, dispatch.id, 1), within=bound, what="it is lost")
        gate.touch()
        ended = outpost.ends(dispatch.id, within=60 + SLACK)
        before = outpost.row(dispatch.id), stored(outpost, dispatch.id, 2)
    assert (ended.status, ended.attempt) == (Status.SUCCESS, 2)
    end(processes)
    assert (outpost.row(dispatch.id), stored(outpost, dispatch.id, 2)) == before
    assert kept.items() <= stored(outpost, dispatch.id, 1).items()


def test_an_outage_of_all_of_aws_loses_nothing(outpost: Outpost, gate: Path) -> None:
    dispatch, _ = running(outpost, f"echo before; {behind(gate)}; echo after; echo result > out")
    waiting = outpost.dispatch("echo it waited")
    server = outpost.environment.status().server_pid
    assert server
    os.kill(server, signal.SIGSTOP)
    try:
        gate.touch()
        time.sleep(OUTAGE)  # the fault itself
    finally:
        os.kill(server, signal.SIGCONT)
    with noticing("test_an_outage_of_all_of_aws_loses_nothing") as bound:
        ended = outpost.ends(dispatch.id, within=bound)
    assert (ended.status, ended.attempt) == (Status.SUCCESS, 1)
    assert [line for line in outpost.log(dispatch.id) if line in ("before", "after")] == ["before", "after"]
    assert outpost.ends(waiting.id, within=180 + SLACK).status is Status.SUCCESS  # planned anew each minute


@pytest.mark.usefixtures("small_disk")
def test_a_full_disk_is_reported_and_the_next_dispatch_works(outpost: Outpost, gate: Path) -> None:
    task = f"echo before > first; echo started; {behind(gate)}; cat /dev/zero > big; sleep 600"
    dispatch, _ = running(outpost, task)
    with noticing("test_a_full_disk_is_reported_and_the_next_dispatch_works") as bound:
        gate.touch()
        ended = outpost.ends(dispatch.id, within=bound)
    assert outcome(ended) == (Status.FAILED, "DISK_FULL")
    assert "started" in outpost.log(dispatch.id)
    assert b"+before" in outpost.artifact(dispatch.id, "changes.patch")
    following = outpost.dispatch("echo after > second")
    assert outpost.ends(following.id, within=60 + SLACK).status is Status.SUCCESS
    assert b"+after" in outpost.artifact(following.id, "changes.patch")


def test_a_killed_aws_takes_every_task_along_and_can_be_deployed_again(
    environment: LocalEnvironment, outpost: Outpost, tmp_path: Path
) -> None:
    _, processes = running(outpost, "echo begun; sleep 600", workspace_mode="persistent")
    outpost.dispatch("echo begun; sleep 600")
    tasks = [process for task_id in environment.status().tasks for process in environment.task_processes(task_id)]
    repository = environment.git.create_sample_repository()
    kept = environment.settings.workspaces_dir / "kept"
    kept.write_text("a file of a workspace")
    server = environment.status().server_pid
    assert server
    with noticing("test_a_killed_aws_takes_every_task_along_and_can_be_deployed_again") as bound:
        os.kill(server, signal.SIGKILL)
        end([*processes, *tasks], within=bound)

    environment.start()
    assert not environment.status().deployed
    environment.deploy(lambda _line: None)
    assert kept.read_text() == "a file of a workspace"
    with joined(environment, tmp_path) as again:
        dispatch = again.dispatch("echo again", repo=repository)
        assert again.ends(dispatch.id, within=60 + SLACK).status is Status.SUCCESS
