"""An instance of the embedded AWS: started, found again, ended and recovered, and nobody else's processes touched."""

import errno
import json
import os
import socket
import subprocess
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from outpost_local import processes
from outpost_local.environment import LocalEnvironment
from outpost_local.errors import LocalError, PortInUseError, ProcessDiedError
from outpost_local.git_server import SAMPLE_REPOSITORY
from outpost_local.settings import INSTANCE_MARKER
from tests.eventually import eventually
from tests.local.accounts import describe_task, register_job, run_job
from tests.local.conftest import DEMO_IMAGE, write_image_asset
from tests.ports import free_port


def git(*arguments: str, cwd: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(["git", *arguments], cwd=cwd, capture_output=True, text=True, check=False)  # noqa: S607


def listeners(port: int) -> set[str]:
    listening = [c.laddr for c in psutil.net_connections("tcp") if c.status == psutil.CONN_LISTEN]
    return {address.ip for address in listening if address and address.port == port}


def test_starting_twice_keeps_the_first_server(aws: LocalEnvironment) -> None:
    first = aws.status()
    aws.start()
    assert aws.status().server_pid == first.server_pid
    assert first.running
    assert first.git_running


def test_everything_listens_on_loopback_only(aws: LocalEnvironment) -> None:
    git_port = int(aws.git.url.rpartition(":")[2])
    assert listeners(aws.settings.port) == {"127.0.0.1"}
    assert listeners(git_port) == {"127.0.0.1"}


def test_iam_is_enforced_and_a_wrong_key_admits_nobody(aws: LocalEnvironment) -> None:
    stranger = aws.session().client(
        "s3",
        endpoint_url=aws.settings.endpoint,
        aws_access_key_id="AKIAIOSFODNN7EXAMPLE",
        aws_secret_access_key="wrong",
    )
    with pytest.raises(stranger.exceptions.ClientError, match="InvalidAccessKeyId"):
        stranger.list_buckets()


def test_stopping_ends_every_process_and_may_be_repeated(environment: LocalEnvironment) -> None:
    write_image_asset(environment.settings.cdk_out)
    environment.start()
    arn = run_job(environment, register_job(environment, DEMO_IMAGE, stopTimeout=2), "stubborn")
    task_id = arn.rpartition("/")[2]
    eventually(lambda: len(environment.task_processes(task_id)) > 2)
    mine = [*environment.task_processes(task_id), psutil.Process(environment.status().server_pid)]
    environment.stop()
    environment.stop()
    assert not [process for process in mine if process.is_running() and process.status() != psutil.STATUS_ZOMBIE]
    assert not environment.status().running
    assert listeners(environment.settings.port) == set()


def test_removing_deletes_the_data_folder_but_never_somebody_elses(
    environment: LocalEnvironment, tmp_path: Path
) -> None:
    environment.start()
    environment.remove()
    assert not environment.settings.data_dir.exists()
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "file").touch()
    with pytest.raises(LocalError, match="left alone"):
        LocalEnvironment(tmp_path / "precious").remove()
    assert (tmp_path / "precious" / "file").exists()


def test_removing_keeps_the_repositories_and_the_next_start_serves_them(
    environment: LocalEnvironment, tmp_path: Path
) -> None:
    environment.start()
    commit = environment.git.create_repository("acme/widget", {"README.md": "# widget\n"})
    environment.remove()
    environment.remove()
    assert [path.name for path in environment.settings.data_dir.iterdir()] == ["git"]
    environment.start()
    assert git("clone", f"{environment.git.url}/acme/widget", "work", cwd=tmp_path).returncode == 0
    assert git("rev-parse", "HEAD", cwd=tmp_path / "work").stdout.strip() == commit


def test_what_cannot_be_deleted_is_named_and_removing_can_be_repeated(
    environment: LocalEnvironment, monkeypatch: pytest.MonkeyPatch
) -> None:
    stuck = environment.settings.data_dir / "artifacts"
    environment.settings.logs_dir.mkdir(parents=True)
    (stuck / "kept").mkdir(parents=True)

    def refuse(path: str, **_: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)

    with monkeypatch.context() as patched:  # file modes do not stop root, as whom CI may run
        patched.setattr(os, "rmdir", refuse)
        with pytest.raises(LocalError, match=f"{stuck} could not be deleted: .*Permission denied"):
            environment.remove()
    environment.remove()
    assert not environment.settings.data_dir.exists()


def test_a_port_in_use_is_named_with_what_to_type_for_another(environment: LocalEnvironment) -> None:
    port = environment.settings.port
    with (
        socket.create_server(("127.0.0.1", port)),
        pytest.raises(PortInUseError, match=f"port {port} .*`make up PORT="),
    ):
        environment.start()


def test_a_git_port_in_use_is_named_with_what_to_type_for_another_before_anything_starts(
    environment: LocalEnvironment,
) -> None:
    git_port = int(environment.git.url.rpartition(":")[2])
    with socket.create_server(("127.0.0.1", git_port)), pytest.raises(PortInUseError, match="`make up GIT_PORT="):
        environment.start()
    assert not environment.status().running


def test_one_port_for_both_servers_is_refused_before_either_starts(environment: LocalEnvironment) -> None:
    port = environment.settings.port
    with pytest.raises(LocalError, match=f"port {port} is wanted twice"):
        LocalEnvironment(environment.settings.data_dir, port, port).start()
    assert not environment.status().running


@pytest.mark.parametrize("changed", ["port", "git_port"])
def test_another_port_for_a_running_instance_is_refused(aws: LocalEnvironment, changed: str) -> None:
    running, other = aws.settings, free_port()
    ports = (other, running.git_port) if changed == "port" else (running.port, other)
    with pytest.raises(LocalError, match="`make down`"):
        LocalEnvironment(running.data_dir, *ports).start()
    assert listeners(running.git_port) == {"127.0.0.1"}


def test_a_server_that_dies_at_once_shows_the_end_of_its_log(tmp_path: Path) -> None:
    log = tmp_path / "log"
    process = processes.start(
        "server", ["/bin/sh", "-c", "echo broken; exit 3"], data_dir=tmp_path, port=1, log=log, env={}
    )
    assert not processes.wait_for_port(free_port(), process)
    assert "broken" in str(ProcessDiedError("embedded AWS", log))


def test_after_killing_everything_a_new_start_works(environment: LocalEnvironment) -> None:
    write_image_asset(environment.settings.cdk_out)
    environment.start()
    arn = run_job(environment, register_job(environment, DEMO_IMAGE), "stubborn")
    task_id = arn.rpartition("/")[2]
    eventually(lambda: len(environment.task_processes(task_id)) > 2)
    everything = [process for process in psutil.process_iter() if is_marked(process, environment)]
    for process in everything:
        with suppress(psutil.NoSuchProcess):  # it ended with the one before
            process.kill()
    psutil.wait_procs(everything, timeout=60)
    assert not environment.status().running
    environment.start()
    assert environment.status().running
    assert not environment.task_processes(task_id)


def test_tasks_end_when_the_server_is_killed(environment: LocalEnvironment) -> None:
    write_image_asset(environment.settings.cdk_out)
    environment.start()
    arn = run_job(environment, register_job(environment, DEMO_IMAGE), "stubborn")
    eventually(lambda: len(environment.task_processes(arn.rpartition("/")[2])) > 2)
    tasks = environment.task_processes(arn.rpartition("/")[2])
    psutil.Process(environment.status().server_pid).kill()
    assert not psutil.wait_procs(tasks, timeout=60)[1]


def test_a_record_with_a_reused_process_id_harms_nobody(environment: LocalEnvironment) -> None:
    data_dir = environment.settings.data_dir
    data_dir.mkdir(parents=True)
    me = psutil.Process()
    record = {"pid": me.pid, "started": me.create_time(), "port": environment.settings.port, "detail": "process"}
    (data_dir / "server.process.json").write_text(json.dumps(record))
    environment.stop()
    assert os.getpid() == me.pid  # it would have been ended
    environment.start()
    assert environment.status().server_pid != me.pid


def test_the_sample_repository_is_cloned_over_git_and_works(aws: LocalEnvironment, tmp_path: Path) -> None:
    assert aws.git.create_sample_repository() == SAMPLE_REPOSITORY
    assert aws.git.create_sample_repository() == SAMPLE_REPOSITORY
    url = f"{aws.git.url}/{SAMPLE_REPOSITORY}"
    cloned = git("clone", "--branch", "main", url, "work", cwd=tmp_path)
    assert cloned.returncode == 0, cloned.stderr
    tests = subprocess.run(
        ["python3", "-m", "unittest"],  # noqa: S607
        cwd=tmp_path / "work",
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Ran 2 tests" in tests.stderr
    assert tests.returncode == 0


def test_the_status_shows_running_tasks_by_family(aws: LocalEnvironment) -> None:
    family = register_job(aws, DEMO_IMAGE, stopTimeout=2)
    arn = run_job(aws, family, "linger", "0")
    eventually(lambda: describe_task(aws, arn)["lastStatus"] == "RUNNING")
    assert aws.status().tasks[arn.rpartition("/")[2]] == family
    aws.client("ecs").stop_task(task=arn)


def is_marked(process: psutil.Process, environment: LocalEnvironment) -> bool:
    try:
        return process.environ().get(INSTANCE_MARKER) == str(environment.settings.data_dir)
    except psutil.Error:
        return False
