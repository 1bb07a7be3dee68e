"""Lambda on the embedded AWS: a few shared processes, each acting as the function's role."""

import io
import json
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from threading import Thread
from typing import Any
from uuid import uuid4

import pytest
from botocore.config import Config

from outpost_local.environment import LocalEnvironment
from tests.eventually import eventually
from tests.local.accounts import allow, create_role

SOURCE = """
import os, sys, time
import boto3

def handler(event, context):
    time.sleep(event.get("seconds", 0))
    caller = boto3.client("sts").get_caller_identity()["Arn"]
    return {"pid": os.getpid(), "executable": sys.executable, "caller": caller}
"""

Invoke = Callable[[dict[str, Any]], dict[str, Any]]


@pytest.fixture
def invoke(aws: LocalEnvironment) -> Invoke:
    """A new function; calling it invokes it once, without retries."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("module.py", SOURCE)
    name = f"function-{uuid4().hex[:12]}"
    role = create_role(aws, allow("logs:*"), service="lambda.amazonaws.com")
    aws.client("lambda").create_function(
        FunctionName=name,
        Role=role,
        Runtime="python3.12",
        Handler="module.handler",
        Timeout=30,
        Code={"ZipFile": buffer.getvalue()},
    )
    once = Config(retries={"total_max_attempts": 1}, read_timeout=60, max_pool_connections=20)
    client = aws.session().client("lambda", endpoint_url=aws.settings.endpoint, config=once)

    def call(event: dict[str, Any]) -> dict[str, Any]:
        response = client.invoke(FunctionName=name, Payload=json.dumps(event).encode())
        result: dict[str, Any] = json.loads(response["Payload"].read())
        return {**result, "role": role}

    return call


def test_twenty_calls_at_once_share_four_processes_and_all_succeed(invoke: Invoke) -> None:
    with ThreadPoolExecutor(20) as pool:
        responses = list(pool.map(invoke, [{"seconds": 0.05}] * 20))
    assert len(responses) == 20
    assert len({response["pid"] for response in responses}) <= 4


def test_a_function_acts_as_its_role_in_the_checkouts_python(aws: LocalEnvironment, invoke: Invoke) -> None:
    response = eventually(lambda: invoke({}))
    assert f":assumed-role/{response['role'].rpartition('/')[2]}/" in response["caller"]
    assert response["executable"].endswith(".venv/bin/python")
    assert aws.status().running


def test_a_freed_process_wakes_the_caller_that_waits_for_it() -> None:
    """Callers of another function wait beside it, and came first."""
    from outpost_local.extensions.lambda_ import functions  # noqa: PLC0415 - MiniStack, only for this test

    waiting: list[str] = []
    free: set[str] = set()

    def acquire(name: str, *_arguments: object, **_options: object) -> tuple[str | None, str]:
        waiting.append(name)
        return (name, "warm") if name in free else (None, "busy")

    def waits(number: int) -> bool:
        return len(waiting) > number

    callers = [Thread(target=functions._acquire, args=(acquire, name, {}, b"")) for name in ("other", "freed")]
    for number, caller in enumerate(callers):
        caller.start()
        eventually(partial(waits, number))
    with functions._freed:  # both wait
        free.add("freed")
    functions._release(lambda _worker: None, "freed")
    callers[1].join(functions.WAIT_SECONDS / 2)
    assert not callers[1].is_alive()

    free.add("other")
    functions._release(lambda _worker: None, "other")
    callers[0].join()
