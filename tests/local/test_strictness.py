"""The embedded AWS refuses what AWS refuses, and conflicts, throttles and repeats as AWS may."""

import io
import json
import re
import time
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any
from uuid import uuid4

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from outpost_local.realism import Realism
from tests.conftest import run_emulator
from tests.eventually import eventually
from tests.local.accounts import error_of

Clients = Callable[[str], Any]

ONCE = Config(retries={"total_max_attempts": 1})


def clients_of(url: str) -> Clients:
    session = boto3.Session("test", "test", region_name="us-east-1")
    return lambda service: session.client(service, endpoint_url=url, config=ONCE)  # type: ignore[call-overload]


@pytest.fixture(scope="module")
def unlucky(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clients]:
    """Services where everything that may happen happens, and half of DynamoDB's requests are throttled."""
    realism = Realism(
        transaction_conflicts=1, throttles=0.5, object_conflicts=1, duplicates=1, late_deliveries=0, partial_receives=1
    )
    with run_emulator(tmp_path_factory.mktemp("unlucky"), realism) as url:
        yield clients_of(url)


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clients]:
    """Services with their limits, where nothing happens by chance, and lags outlast some calls of a busy machine."""
    realism = replace(
        Realism.none(), transaction_seconds=3, task_lag=4, late_deliveries=1, delivery_lag=60, function_concurrency=1
    )
    with run_emulator(tmp_path_factory.mktemp("strict"), realism) as url:
        yield clients_of(url)


def code_of(call: Callable[..., object], **arguments: object) -> str:
    return str(error_of(call, **arguments).get("Code", ""))


def new_table(dynamodb: Any) -> str:  # noqa: ANN401 - a boto3 client
    name = f"table-{uuid4().hex[:8]}"
    dynamodb.create_table(
        TableName=name,
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
    )
    return name


def put(table: str, id_: str) -> dict[str, Any]:
    return {"TableName": table, "Item": {"id": {"S": id_}}}


def test_writes_and_transactions_conflict_by_chance(unlucky: Clients) -> None:
    dynamodb = unlucky("dynamodb")
    table = new_table(dynamodb)
    assert {code_of(dynamodb.put_item, **put(table, "1")) for _ in range(50)} == {
        "ThrottlingException",
        "TransactionConflictException",
    }
    writes = [{"Put": put(table, "1")}, {"Put": put(table, "2")}]
    cancelled = re.escape("specific reasons [TransactionConflict, None]")
    eventually(lambda: re.search(cancelled, str(error_of(dynamodb.transact_write_items, TransactItems=writes))))


def test_of_a_batch_some_writes_are_left(unlucky: Clients) -> None:
    dynamodb = unlucky("dynamodb")
    table = new_table(dynamodb)
    batch = {table: [{"PutRequest": {"Item": {"id": {"S": id_}}}} for id_ in "12"]}
    left = [dynamodb.batch_write_item(RequestItems=batch)["UnprocessedItems"] for _ in range(50)]
    assert {len(each.get(table, [])) for each in left} == {0, 1}


def test_what_meets_an_ongoing_transaction_is_refused(strict: Clients) -> None:
    dynamodb = strict("dynamodb")
    table = new_table(dynamodb)
    with ThreadPoolExecutor() as threads:
        transaction = threads.submit(dynamodb.transact_write_items, TransactItems=[{"Put": put(table, "1")}])
        refused = {"TransactionConflictException"}
        eventually(lambda: code_of(dynamodb.put_item, **put(table, "1")) in refused)
        get = {"Get": {"TableName": table, "Key": {"id": {"S": "1"}}}}
        assert code_of(dynamodb.transact_get_items, TransactItems=[get]) == "TransactionCanceledException"
        assert code_of(dynamodb.put_item, **put(table, "2")) == ""
        assert code_of(dynamodb.get_item, TableName=table, Key={"id": {"S": "1"}}) == ""
        transaction.result()
    assert code_of(dynamodb.put_item, **put(table, "1")) == ""


def test_a_conditional_write_of_an_object_conflicts(unlucky: Clients) -> None:
    s3 = unlucky("s3")
    s3.create_bucket(Bucket="conflicts")
    written = {"Bucket": "conflicts", "Key": "once", "Body": b"1"}
    assert code_of(s3.put_object, **written, IfNoneMatch="*") == "ConditionalRequestConflict"
    assert s3.list_objects_v2(Bucket="conflicts")["KeyCount"] == 0
    assert code_of(s3.put_object, **written) == ""


def test_a_message_comes_twice_and_one_at_a_time(unlucky: Clients) -> None:
    sqs = unlucky("sqs")
    url = sqs.create_queue(QueueName="twice")["QueueUrl"]
    sent = {sqs.send_message(QueueUrl=url, MessageBody=body)["MessageId"]: body for body in "ab"}
    received: list[str] = []

    def all_twice() -> bool:
        found = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=1).get("Messages", [])
        assert len(found) <= 1
        for message in found:
            received.append(message["MessageId"])
            sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        return sorted(received) == sorted([*sent, *sent])

    eventually(all_twice)
    assert "Messages" not in sqs.receive_message(QueueUrl=url)


def test_a_short_poll_may_find_nothing(unlucky: Clients) -> None:
    sqs = unlucky("sqs")
    url = sqs.create_queue(QueueName="short")["QueueUrl"]
    sqs.send_message(QueueUrl=url, MessageBody="a")
    assert "Messages" not in sqs.receive_message(QueueUrl=url)
    assert sqs.receive_message(QueueUrl=url, WaitTimeSeconds=1)["Messages"]


def test_a_message_arrives_late(strict: Clients) -> None:
    sqs = strict("sqs")
    url = sqs.create_queue(QueueName="late")["QueueUrl"]
    for number in range(10):
        sqs.send_message(QueueUrl=url, MessageBody=str(number))
    assert len(sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", [])) < 10


def test_an_event_is_delivered_twice(unlucky: Clients) -> None:
    events, sqs = unlucky("events"), unlucky("sqs")
    queue = {"QueueUrl": sqs.create_queue(QueueName="events")["QueueUrl"]}
    arn = sqs.get_queue_attributes(**queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    events.put_rule(Name="twice", EventPattern=json.dumps({"source": ["twice"]}))
    events.put_targets(Rule="twice", Targets=[{"Id": "queue", "Arn": arn}])
    events.put_events(Entries=[{"Source": "twice", "DetailType": "test", "Detail": "{}"}])
    ids: list[str] = []

    def both() -> bool:
        found = sqs.receive_message(**queue, WaitTimeSeconds=1).get("Messages", [])
        ids.extend(json.loads(message["Body"])["id"] for message in found)
        return len(ids) == 2

    eventually(both)
    assert ids[0] == ids[1]


def new_function(clients: Clients, body: str) -> str:
    code = io.BytesIO()
    with zipfile.ZipFile(code, "w") as archive:
        archive.writestr("index.py", f"import time\ndef handler(event, context):\n    {body}\n")
    name = f"function-{uuid4().hex[:8]}"
    role = "arn:aws:iam::000000000000:role/any"
    clients("lambda").create_function(
        FunctionName=name, Runtime="python3.11", Handler="index.handler", Role=role, Code={"ZipFile": code.getvalue()}
    )
    return name


def test_a_payload_has_a_limit(strict: Clients) -> None:
    functions = strict("lambda")
    name = new_function(strict, "return 'a' * event['size']")

    def invoke(size: int, padding: int = 0, type_: str = "RequestResponse") -> tuple[str, str]:
        payload = json.dumps({"size": size, "padding": "a" * padding})
        try:
            response = functions.invoke(FunctionName=name, Payload=payload, InvocationType=type_)
        except ClientError as error:
            return error.response["Error"]["Code"], ""
        return "", response.get("FunctionError", "")

    assert invoke(1) == ("", "")
    assert invoke(1, 6 * 1024**2) == ("RequestTooLargeException", "")
    assert invoke(1, 1024**2, "Event") == ("RequestTooLargeException", "")
    assert invoke(7 * 1024**2) == ("", "Unhandled")


def test_more_functions_than_the_account_may_run_at_once_are_refused(strict: Clients) -> None:
    functions = strict("lambda")
    name = new_function(strict, "time.sleep(2)")
    with ThreadPoolExecutor() as threads:
        calls = [threads.submit(error_of, functions.invoke, FunctionName=name) for _ in range(2)]
        assert sorted(call.result().get("Code", "") for call in calls) == ["", "TooManyRequestsException"]


def test_new_tasks_are_listed_late(strict: Clients) -> None:
    ecs = strict("ecs")
    ecs.create_cluster(clusterName="late")
    ecs.register_task_definition(family="job", containerDefinitions=[{"name": "job", "image": "i", "memory": 64}])
    started = ecs.run_task(cluster="late", taskDefinition="job", count=10)["tasks"]
    arns = {task["taskArn"] for task in started}
    hidden = arns - set(ecs.list_tasks(cluster="late")["taskArns"])
    assert hidden
    described = ecs.describe_tasks(cluster="late", tasks=sorted(arns))
    assert {failure["reason"] for failure in described["failures"]} <= {"MISSING"}
    assert len(described["failures"]) + len(described["tasks"]) == 10
    eventually(lambda: set(ecs.list_tasks(cluster="late")["taskArns"]) == arns)
    assert ecs.describe_tasks(cluster="late", tasks=sorted(arns))["failures"] == []


def test_the_third_reader_of_a_stream_gets_nothing() -> None:
    from outpost_local.extensions.lambda_.limits import limited  # noqa: PLC0415 - MiniStack, only for this test

    stream = "arn:aws:dynamodb:us-east-1:000000000000:table/t/stream/1"
    mappings = [{"EventSourceArn": stream, "UUID": number} for number in range(3)]
    queue = {"EventSourceArn": "arn:aws:sqs:us-east-1:000000000000:queue", "UUID": 9}
    off = {"EventSourceArn": stream, "UUID": 8, "Enabled": False}
    polled = limited(2, lambda: iter([("a", "r", each) for each in (off, *mappings, queue)]))
    assert [mapping["UUID"] for _, _, mapping in polled] == [8, 0, 1, 9]
    assert "throttled" in str(mappings[2]["LastProcessingResult"])


def test_a_session_has_limits_of_size(strict: Clients) -> None:
    sts = strict("sts")
    role = {"RoleArn": "arn:aws:iam::000000000000:role/any", "RoleSessionName": "test"}

    def policy(resources: list[str]) -> str:
        statement = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": resources}
        return json.dumps({"Version": "2012-10-17", "Statement": [statement]})

    random = [f"arn:aws:s3:::bucket/{uuid4()}" for _ in range(36)]
    assert 0 < sts.assume_role(**role, Policy=policy(random[:1]))["PackedPolicySize"] < 20
    assert code_of(sts.assume_role, **role, Policy=policy(random)) == "ValidationError"
    assert code_of(sts.assume_role, **role, Policy=policy([uuid4().hex for _ in range(54)])) == "PackedPolicyTooLarge"
    tags = [{"Key": f"key-{number:03}", "Value": "v"} for number in range(51)]
    assert code_of(sts.assume_role, **role, Tags=tags) == "ValidationError"
    long = [{"Key": "key", "Value": "v" * 257}]
    assert code_of(sts.assume_role, **role, Tags=long) == "ValidationError"
    large = [{"Key": f"key-{number}", "Value": "v" * 200} for number in range(2)]
    assert code_of(sts.assume_role, **role, Tags=large) == "PackedPolicyTooLarge"


def test_the_first_version_of_a_secret_is_current(strict: Clients) -> None:
    secrets = strict("secretsmanager")
    secrets.create_secret(Name="empty")
    assert secrets.describe_secret(SecretId="empty")["VersionIdsToStages"] == {}
    first = secrets.put_secret_value(SecretId="empty", SecretString="1", VersionStages=["PROBE"])
    assert sorted(first["VersionStages"]) == ["AWSCURRENT", "PROBE"]
    assert secrets.get_secret_value(SecretId="empty")["SecretString"] == "1"


def test_a_label_moves_to_the_version_that_is_put_with_it(strict: Clients) -> None:
    secrets = strict("secretsmanager")
    secrets.create_secret(Name="labels", SecretString="1")
    versions = [
        secrets.put_secret_value(SecretId="labels", SecretString=value, VersionStages=["PROBE"])["VersionId"]
        for value in "23"
    ]
    assert secrets.get_secret_value(SecretId="labels", VersionStage="PROBE")["VersionId"] == versions[1]
    assert secrets.get_secret_value(SecretId="labels")["SecretString"] == "1"
    assert "PROBE" not in secrets.describe_secret(SecretId="labels")["VersionIdsToStages"].get(versions[0], [])


def test_a_version_keeps_its_value(strict: Clients) -> None:
    secrets = strict("secretsmanager")
    version = {"SecretId": "kept", "ClientRequestToken": uuid4().hex}
    secrets.create_secret(Name="kept", SecretString="1")
    assert code_of(secrets.put_secret_value, **version, SecretString="2") == ""
    assert code_of(secrets.put_secret_value, **version, SecretString="2") == ""
    assert code_of(secrets.put_secret_value, **version, SecretString="3") == "ResourceExistsException"


def test_log_events_have_limits(strict: Clients) -> None:
    logs = strict("logs")
    group = {"logGroupName": f"/limits/{uuid4().hex[:8]}"}
    logs.create_log_group(**group)
    stream = group | {"logStreamName": "s"}
    logs.create_log_stream(**stream)
    now, day = int(time.time() * 1000), 24 * 3600 * 1000

    def event(age: int, message: str = "m") -> dict[str, Any]:
        return {"timestamp": now - age, "message": message}

    for refused in (
        [event(0), event(1)],
        [event(day + 1), event(0)],
        [event(0, "m" * 600_000)] * 2,
        [event(0)] * 10_001,
    ):
        assert code_of(logs.put_log_events, **stream, logEvents=refused) == "InvalidParameterException"
    stored = logs.put_log_events(**stream, logEvents=[event(15 * day), event(14 * day + 1000)])
    assert stored["rejectedLogEventsInfo"] == {"tooOldLogEventEndIndex": 2}
    stored = logs.put_log_events(**stream, logEvents=[event(0), event(-3 * 3600 * 1000)])
    assert stored["rejectedLogEventsInfo"] == {"tooNewLogEventStartIndex": 1}
    assert [each["message"] for each in logs.get_log_events(**stream)["events"]] == ["m"]
