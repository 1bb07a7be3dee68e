"""ECS tasks as processes: started, stopped and killed as ECS would, with everything they leave removed."""

import json
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from botocore.exceptions import ClientError

from outpost_local.environment import LocalEnvironment
from tests.eventually import eventually
from tests.local.accounts import allow, create_role, describe_task, log_lines, logged, register_job, run_job, status_is
from tests.local.conftest import DEMO_IMAGE

FIRST_EVENT_FAILS = """
import os, queue
os.environ |= {"MINISTACK_ACCOUNT_ID": "000000000000", "IOT_MTLS_ENABLED": "0"}
from ministack.services import eventbridge
from outpost_local.extensions.ecs import task_lifecycle
sent = queue.Queue()

def put(request, **options):
    sent.put(request["Entries"][0]["Resources"][0])
    raise RuntimeError("a rule of this event is broken")

eventbridge._put_events = put
task_lifecycle.start()
for arn in ("first", "second"):
    task_lifecycle.changed({"taskArn": arn})
print(sent.get(timeout=60), sent.get(timeout=60))
"""


def test_events_are_published_after_one_that_could_not_be() -> None:
    done = subprocess.run([sys.executable, "-c", FIRST_EVENT_FAILS], check=True, capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == "first second"


def test_a_task_ends_with_the_exit_code_of_its_command(aws: LocalEnvironment) -> None:
    arn = run_job(aws, register_job(aws, DEMO_IMAGE), "exit", "7")
    task = eventually(status_is(aws, arn, "STOPPED"))
    assert task["containers"][0]["exitCode"] == 7
    assert (task["stopCode"], task["stoppedReason"]) == ("EssentialContainerExited", "Essential container exited")


def test_a_task_acts_as_its_role_and_knows_its_own_arn_and_its_output_is_logged(aws: LocalEnvironment) -> None:
    role = create_role(aws)
    family = register_job(
        aws,
        DEMO_IMAGE,
        taskRoleArn=role,
        logConfiguration=logged("/test/identity"),
        environment=[{"name": "DEMO_SETTING", "value": "from the definition"}],
    )
    arn = run_job(aws, family, "identify")
    line = eventually(lambda: next((x for x in log_lines(aws, "/test/identity") if x.startswith("{")), None))
    said = json.loads(line)
    assert f":assumed-role/{role.rpartition('/')[2]}/{arn.rpartition('/')[2]}" in said["caller"]
    assert (said["task"], said["image"], said["setting"]) == (arn, "job", "from the definition")


def test_the_last_line_of_an_ended_task_is_logged(aws: LocalEnvironment) -> None:
    family = register_job(aws, DEMO_IMAGE, logConfiguration=logged("/test/last"), stopTimeout=5)
    arn = run_job(aws, family, "linger", "0")
    eventually(lambda: "demo linger started" in log_lines(aws, "/test/last"))
    aws.client("ecs").stop_task(task=arn)
    eventually(lambda: "terminated" in log_lines(aws, "/test/last"))


def test_a_secret_reaches_the_task_by_value(aws: LocalEnvironment) -> None:
    secret = aws.client("secretsmanager").create_secret(Name="demo", SecretString='{"part": "hush"}')["ARN"]
    family = register_job(
        aws,
        DEMO_IMAGE,
        taskRoleArn=create_role(aws),
        logConfiguration=logged("/test/secret"),
        secrets=[{"name": "DEMO_SECRET", "valueFrom": f"{secret}:part::"}],
    )
    run_job(aws, family, "identify")
    eventually(lambda: any('"secret": "hush"' in line for line in log_lines(aws, "/test/secret")))


def test_stop_task_lets_the_task_end_itself_and_keeps_its_exit_code(aws: LocalEnvironment) -> None:
    family = register_job(aws, DEMO_IMAGE, stopTimeout=10, logConfiguration=logged("/test/stop"))
    arn = run_job(aws, family, "linger", "9")
    eventually(lambda: "demo linger started" in log_lines(aws, "/test/stop"))
    response = aws.client("ecs").stop_task(task=arn, reason="enough")["task"]
    assert (response["desiredStatus"], response["lastStatus"]) == ("STOPPED", "DEACTIVATING")
    task = eventually(status_is(aws, arn, "STOPPED"))
    assert task["containers"][0]["exitCode"] == 9
    assert (task["stopCode"], task["stoppedReason"]) == ("UserInitiated", "enough")


def test_a_task_that_ignores_sigterm_is_killed_after_its_stop_timeout_with_everything_it_started(
    aws: LocalEnvironment,
) -> None:
    arn = run_job(aws, register_job(aws, DEMO_IMAGE, stopTimeout=2), "stubborn")
    task_id = arn.rpartition("/")[2]

    def running() -> list[psutil.Process] | None:
        found = aws.task_processes(task_id)
        return found if any("sleep" in process.name() for process in found) else None

    processes = eventually(running)
    homes = [Path(process.environ()["HOME"]) for process in processes]
    aws.client("ecs").stop_task(task=arn)
    task = eventually(status_is(aws, arn, "STOPPED"))
    assert task["containers"][0]["exitCode"] == 137
    assert not psutil.wait_procs(processes, timeout=60)[1]
    eventually(lambda: not homes[0].exists())


def test_a_task_whose_processes_are_paused_is_killed_after_its_stop_timeout(aws: LocalEnvironment) -> None:
    family = register_job(aws, DEMO_IMAGE, logConfiguration=logged("/test/paused"), stopTimeout=2)
    arn = run_job(aws, family, "linger", "0")
    eventually(lambda: "demo linger started" in log_lines(aws, "/test/paused"))
    for process in aws.task_processes(arn.rpartition("/")[2]):
        process.suspend()
    aws.client("ecs").stop_task(task=arn)
    task = eventually(status_is(aws, arn, "STOPPED"))
    assert task["containers"][0]["exitCode"] == 137


def test_a_task_whose_main_process_is_killed_reports_137(aws: LocalEnvironment) -> None:
    arn = run_job(aws, register_job(aws, DEMO_IMAGE), "linger", "0")
    task_id = arn.rpartition("/")[2]
    processes = eventually(lambda: aws.task_processes(task_id) if len(aws.task_processes(task_id)) > 1 else None)
    processes[1].kill()
    task = eventually(status_is(aws, arn, "STOPPED"))
    assert task["containers"][0]["exitCode"] == 137


def test_a_repeated_client_token_starts_nothing_new(aws: LocalEnvironment) -> None:
    family = register_job(aws, DEMO_IMAGE)
    first = run_job(aws, family, "exit", "0", clientToken="launch-1")
    assert run_job(aws, family, "exit", "0", clientToken="launch-1") == first
    with pytest.raises(ClientError, match="already in use") as refused:
        run_job(aws, family, "exit", "1", clientToken="launch-1")
    assert refused.value.response["resourceIds"] == [first]  # type: ignore[typeddict-item]
    assert run_job(aws, family, "exit", "0", clientToken="launch-2") != first


def test_run_task_refuses_more_than_ten_tasks_and_overrides_above_8192_bytes(aws: LocalEnvironment) -> None:
    family = register_job(aws, DEMO_IMAGE)
    with pytest.raises(ClientError, match="between 1 and 10"):
        run_job(aws, family, "exit", "0", count=11)
    with pytest.raises(ClientError, match="at most 8192"):
        run_job(aws, family, "exit", "0" * 8200)


def test_a_task_of_an_image_that_no_app_builds_never_starts_and_says_why(aws: LocalEnvironment) -> None:
    arn = run_job(aws, register_job(aws, "docker.io/library/nginx:latest"), "exit", "0")
    task = eventually(status_is(aws, arn, "STOPPED"))
    assert task["stopCode"] == "TaskFailedToStart"
    assert "ENGINE=docker" in task["stoppedReason"]


def test_a_role_that_does_not_trust_ecs_is_refused(aws: LocalEnvironment) -> None:
    role = create_role(aws, allow("s3:*"), service="lambda.amazonaws.com")
    arn = run_job(aws, register_job(aws, DEMO_IMAGE, taskRoleArn=role), "exit", "0")
    task = eventually(status_is(aws, arn, "STOPPED"))
    assert "unable to assume the role" in task["stoppedReason"]


def test_a_task_listens_on_an_address_of_its_own(aws: LocalEnvironment) -> None:
    family = register_job(aws, DEMO_IMAGE, stopTimeout=2, logConfiguration=logged("/test/addresses"))
    arns = [run_job(aws, family, "serve") for _ in range(2)]
    eventually(lambda: log_lines(aws, "/test/addresses").count("demo serve started") == 2)
    tasks = [eventually(status_is(aws, arn, "RUNNING")) for arn in arns]
    addresses = {detail["value"] for task in tasks for detail in task["attachments"][0]["details"]}
    assert len(addresses) == 2
    assert all(address.startswith("127.") for address in addresses)
    for arn in arns:
        aws.client("ecs").stop_task(task=arn)
    for arn in arns:
        assert eventually(status_is(aws, arn, "STOPPED"))["containers"][0]["exitCode"] == 0


def test_describe_tasks_names_the_family_as_the_group(aws: LocalEnvironment) -> None:
    family = register_job(aws, DEMO_IMAGE)
    assert describe_task(aws, run_job(aws, family, "exit", "0"))["group"] == f"family:{family}"
