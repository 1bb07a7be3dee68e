"""Logs of tasks and functions: no line is lost, split or given to another one, whatever happens at the same time."""

import io
import json
import os
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from outpost_local.environment import LocalEnvironment
from outpost_local.process_container import OutputLog
from tests.eventually import eventually
from tests.local.accounts import allow, create_role, log_lines, logged, register_job, run_job, status_is
from tests.local.conftest import DEMO_IMAGE

# Two threads meet between MiniStack's look for a group and its creation, as two tasks may.
MEETING = """
import json, os, threading, time
os.environ |= {"MINISTACK_ACCOUNT_ID": "000000000000", "IOT_MTLS_ENABLED": "0"}
from ministack.services import cloudwatch_logs as logs, lambda_svc
from outpost_local.extensions.logs import log_groups
for patch in log_groups.PATCHES:
    patch.install()
arn, meeting = logs._make_group_arn, threading.Barrier(2)

def meet(name):
    try:
        meeting.wait(timeout=1)
    except threading.BrokenBarrierError:
        pass
    return arn(name)

logs._make_group_arn = meet

def put(stream):
    logs._create_log_group({"logGroupName": "/group"})
    logs._create_log_stream({"logGroupName": "/group", "logStreamName": stream})
    event = {"message": stream, "timestamp": int(time.time() * 1000)}
    logs._put_log_events({"logGroupName": "/group", "logStreamName": stream, "logEvents": [event]})

def invoked(request):
    lambda_svc._emit_lambda_logs({"config": {"FunctionName": "f"}}, request, request, False, 1)

def both(target):
    meeting.reset()
    threads = [threading.Thread(target=target, args=(name,)) for name in ("first", "second")]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]

both(put)
both(invoked)

def lines(group):
    return [event["message"] for event in json.loads(logs._filter_log_events({"logGroupName": group})[2])["events"]]

print(json.dumps([lines("/group"), lines("/aws/lambda/f")]))
"""

# The reader of a function's output is late, as on a loaded machine.
LATE = """
import io, json, os, threading, time, zipfile
os.environ |= {"MINISTACK_ACCOUNT_ID": "000000000000", "IOT_MTLS_ENABLED": "0", "PYTHONUNBUFFERED": "1"}
from ministack.core import lambda_runtime
from outpost_local.extensions.lambda_ import functions
for patch in functions.PATCHES:
    patch.install()
run = threading.Thread.run

def late(thread):
    if thread.name.startswith("stderr-"):
        time.sleep(0.5)
    run(thread)

threading.Thread.run = late

def invoke(source):
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("module.py", source)
    config = {"FunctionName": "f", "Runtime": "python3.12", "Handler": "module.handler", "Timeout": 1,
        "FunctionArn": "arn:aws:lambda:us-east-1:000000000000:function:f"}
    worker = lambda_runtime._worker_class_for(config)("f", config, archive.getvalue())
    try:
        return worker.invoke({}, "request")["log"]
    finally:
        worker.kill()

print(json.dumps([invoke(source) for source in json.loads(os.environ["SOURCES"])]))
"""


def output_of(program: str, **variables: str) -> Any:  # noqa: ANN401 - JSON
    done = subprocess.run([sys.executable, "-c", program], env=os.environ | variables, check=True, capture_output=True)
    return json.loads(done.stdout.splitlines()[-1])


def test_two_threads_that_create_a_group_at_once_keep_each_others_lines() -> None:
    tasks, functions = output_of(MEETING)
    assert sorted(tasks) == ["first", "second"]
    assert {"first", "second"} <= set(functions)


def test_what_a_function_wrote_is_in_its_log_also_when_it_fails_hangs_or_does_not_start() -> None:
    ends = ("", "raise ValueError", "import os; os._exit(1)", "import time; time.sleep(60)")
    sources = [f"def handler(event, context):\n    print('said', end='')\n    {end or 'return 1'}\n" for end in ends]
    sources.append("print('said')\nimport nothing_of_that_name\n")
    assert [log.strip() for log in output_of(LATE, SOURCES=json.dumps(sources))] == ["said"] * len(sources)


def test_a_reader_gets_everything_once_and_in_order_while_it_is_written(tmp_path: Path) -> None:
    log = OutputLog(tmp_path / "task.log")
    read_end, write_end = os.pipe()

    def write() -> None:
        for number in range(20_000):
            os.write(write_end, b"%d" % number)  # as an unbuffered print: the line, and then its end
            os.write(write_end, b"\n")
        os.close(write_end)

    def copy() -> None:
        with os.fdopen(read_end, "rb") as source:
            log.copy_from(source)

    threads = [threading.Thread(target=target) for target in (write, copy)]
    for thread in threads:
        thread.start()
    followed = b"".join(log.follow())
    for thread in threads:
        thread.join()
    assert followed == b"".join(b"%d\n" % number for number in range(20_000))


def test_ten_tasks_that_end_at_once_lose_no_line_of_their_new_group(aws: LocalEnvironment) -> None:
    group = f"/test/{uuid4().hex}"
    arns = [run_job(aws, register_job(aws, DEMO_IMAGE, logConfiguration=logged(group)), "write", "a\nb\n", "c")]
    family = register_job(aws, DEMO_IMAGE, logConfiguration=logged(group))
    overrides = {"containerOverrides": [{"name": "job", "command": ["write", "a\nb\n", "c"]}]}
    response = aws.client("ecs").run_task(taskDefinition=family, overrides=overrides, count=9)
    arns += [task["taskArn"] for task in response["tasks"]]
    eventually(lambda: len(log_lines(aws, group)) == 40)
    streams = aws.client("logs").describe_log_streams(logGroupName=group)["logStreams"]
    assert {stream["logStreamName"] for stream in streams} == {f"test/job/{arn.rpartition('/')[2]}" for arn in arns}
    for stream in streams:
        events = aws.client("logs").get_log_events(
            logGroupName=group, logStreamName=stream["logStreamName"], startFromHead=True
        )["events"]
        assert [event["message"] for event in events] == ["demo write started", "a", "b", "c"]


def test_a_line_longer_than_an_event_is_cut_between_characters(aws: LocalEnvironment) -> None:
    group = f"/test/{uuid4().hex}"
    family = register_job(aws, DEMO_IMAGE, logConfiguration=logged(group))
    run_job(aws, family, "write-long", "200000")
    lines = eventually(lambda: log_lines(aws, group) if len(log_lines(aws, group)) == 3 else None)
    assert "".join(lines[1:]) == "é" * 200_000


def test_a_task_whose_log_group_is_missing_does_not_start(aws: LocalEnvironment) -> None:
    configuration = logged("/test/nobody-made-it")
    configuration["options"]["awslogs-create-group"] = "false"
    arn = run_job(aws, register_job(aws, DEMO_IMAGE, logConfiguration=configuration), "exit", "0")
    task = eventually(status_is(aws, arn, "STOPPED"))
    assert task["stopCode"] == "TaskFailedToStart"
    assert "The specified log group does not exist: /test/nobody-made-it" in task["stoppedReason"]


@pytest.fixture
def function(aws: LocalEnvironment) -> Iterator[str]:
    """The name of a function that says what its event says."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("module.py", "def handler(event, context):\n    print(event['say'])\n")
    name = f"function-{uuid4().hex[:12]}"
    role = create_role(aws, allow("logs:*"), service="lambda.amazonaws.com")
    code = {"ZipFile": archive.getvalue()}
    aws.client("lambda").create_function(
        FunctionName=name, Role=role, Runtime="python3.12", Handler="module.handler", Timeout=30, Code=code
    )
    yield name
    aws.client("lambda").delete_function(FunctionName=name)


def test_concurrent_calls_of_a_function_have_a_log_each(aws: LocalEnvironment, function: str) -> None:
    client, logs = aws.client("lambda"), aws.client("logs")
    said = [f"call {number}" for number in range(12)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda say: client.invoke(FunctionName=function, Payload=json.dumps({"say": say})), said))
    events = logs.filter_log_events(logGroupName=f"/aws/lambda/{function}")["events"]
    heard = {stream: [] for stream in (event["logStreamName"] for event in events)}  # type: dict[str, list[str]]
    for event in events:
        if event["message"].startswith("call"):
            heard[event["logStreamName"]].append(event["message"])
    assert sorted(heard.values()) == sorted([say] for say in said)
