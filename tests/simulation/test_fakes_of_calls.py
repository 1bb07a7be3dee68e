"""The fakes of SQS and Lambda behave as the embedded AWS does, in what the code relies on."""

import io
import json
import zipfile
from typing import Any

import boto3
import pytest

from outpost.domain.ids import new_id
from tests.simulation.aws import Call, Recorded
from tests.simulation.faults import Faults
from tests.simulation.functions import FakeLambda, Function
from tests.simulation.scheduler import Host, Scheduler
from tests.simulation.simulate import simulator

SEEDS = range(6)


@pytest.fixture(autouse=True)
def _emulator_before_the_simulation(aws: str) -> None:
    """The emulator is started by real time."""


def recorded_requests(service: str) -> list[Recorded]:
    """Return what reaches a service in schedules without faults."""
    found: list[Recorded] = []
    with simulator() as simulated:
        for seed in SEEDS:
            recorded: list[Recorded] = []
            simulated.run(seed, calm=True, recorded=recorded)
            found += [_of_schedule(each, seed) for each in recorded if each.service == service]
    return found


def _of_schedule(each: Recorded, seed: int) -> Recorded:
    return each._replace(request=each.request | {"QueueUrl": f"{each.request['QueueUrl']}-{seed}"})


def test_the_fake_sqs_responds_as_the_embedded_one() -> None:
    """Each request of workers, broker and clients, in its order; waits are left out."""
    client = boto3.client("sqs")
    urls: dict[str, str] = {}
    handles: dict[tuple[str, str], str] = {}
    received = 0
    for each in recorded_requests("sqs"):
        name = each.request["QueueUrl"]
        if name not in urls:
            urls[name] = client.create_queue(QueueName=f"simulated-{new_id()}")["QueueUrl"]
        request = each.request | {"QueueUrl": urls[name]}
        if each.operation == "receive_message":
            request["WaitTimeSeconds"] = 0
        if each.operation == "delete_message":
            request["ReceiptHandle"] = handles[name, request["ReceiptHandle"]]
        response = getattr(client, each.operation)(**request)
        assert isinstance(each.response, dict)
        shown, expected = response.get("Messages", []), each.response.get("Messages", [])
        assert [message["Body"] for message in shown] == [message["Body"] for message in expected], each
        for real, fake in zip(shown, expected, strict=True):
            handles[name, fake["ReceiptHandle"]] = real["ReceiptHandle"]
            received += 1
    assert received > 10


BODY = """
def handler(event, context):
    if "fail" in event:
        raise KeyError(event["fail"])
    return {"got": event}
"""


def test_the_fake_lambda_responds_as_the_embedded_one() -> None:
    archive, client, name = io.BytesIO(), boto3.client("lambda"), f"function-{new_id().lower()}"
    with zipfile.ZipFile(archive, "w") as code:
        code.writestr("index.py", BODY)
    client.create_function(
        FunctionName=name,
        Runtime="python3.11",
        Handler="index.handler",
        Role="arn:aws:iam::000000000000:role/any",
        Code={"ZipFile": archive.getvalue()},
    )
    namespace: dict[str, Any] = {}
    exec(BODY, namespace)  # noqa: S102 - the very code of the function above
    scheduler = Scheduler()
    fake = FakeLambda(scheduler, Faults(0, calm=True), lambda *_: None, {name: Function(namespace["handler"], 10)})
    requests: list[dict[str, Any]] = [
        {"Payload": b'{"number": 1}'},
        {"Payload": b'{"fail": "missing"}'},
        {"Payload": b'{"number": 1}', "InvocationType": "Event"},
    ]
    expected: list[object] = []

    def invoke() -> None:
        call = Call(Host("caller", 0), "lambda", "invoke", 5)
        expected.extend(plain(fake.invoke({"FunctionName": name, **request}, call)) for request in requests)

    scheduler.start(Host("caller", 0), invoke)
    scheduler.run(60)
    assert [plain(client.invoke(FunctionName=name, **request)) for request in requests] == expected


def plain(response: Any) -> object:  # noqa: ANN401 - boto3's
    """Return what both must agree on. AWS names an error's class; the embedded one has one name for all of them."""
    body = response["Payload"].read() if "Payload" in response else b""
    payload = json.loads(body) if body else None
    if isinstance(payload, dict):
        payload = {key: value for key, value in payload.items() if key not in ("errorType", "stackTrace", "requestId")}
    return response["StatusCode"], response.get("FunctionError"), payload
