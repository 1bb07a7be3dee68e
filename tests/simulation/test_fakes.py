"""The fakes behave as the embedded AWS does: what schedules ask of them is asked of it, and the responses compared."""

from collections import Counter
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from outpost.store.database import Database
from tests.indexes import await_indexes
from tests.simulation.aws import Recorded
from tests.simulation.dynamodb import FakeDynamoDB
from tests.simulation.simulate import simulator
from tests.simulation.world import TABLES

SEEDS = (2, 11, 23)
"""Schedules with refused conditions, cancelled transactions and requests that are repeated."""


def recorded_requests(service: str) -> list[Recorded]:
    """Return what reaches a service in some schedules, each with names of its own."""
    found: list[Recorded] = []
    with simulator() as simulated:
        for seed in SEEDS:
            recorded: list[Recorded] = []
            simulated.run(seed, recorded=recorded)
            found += [each for each in recorded if each.service == service]
    return found


def outcome(response: Any) -> object:  # noqa: ANN401 - what boto3 returned or raised
    """Return what two services must agree on."""
    if isinstance(response, ClientError):
        reasons = [reason.get("Code") for reason in response.response.get("CancellationReasons", [])]
        return response.response["Error"]["Code"], reasons
    kept = ("Item", "Items", "Count", "ScannedCount", "Attributes", "ContentLength")
    return {name: response[name] for name in kept if name in response}


def ask(client: Any, each: Recorded, request: dict[str, Any]) -> Any:  # noqa: ANN401 - boto3's
    try:
        return getattr(client, each.operation)(**request)
    except ClientError as error:
        return error


def with_tables(value: Any, names: dict[str, str]) -> Any:  # noqa: ANN401 - a request
    """Return a request with the physical names of the tables."""
    if isinstance(value, dict) and "RequestItems" in value:
        return {"RequestItems": {names[table]: keys for table, keys in value["RequestItems"].items()}}
    if isinstance(value, dict):
        return {key: names[part] if key == "TableName" else with_tables(part, names) for key, part in value.items()}
    return [with_tables(part, names) for part in value] if isinstance(value, list) else value


def test_the_fake_dynamodb_responds_as_the_embedded_one(database: Database) -> None:
    names = {name: getattr(database, name) for name in TABLES}
    client, fake = boto3.client("dynamodb"), FakeDynamoDB(TABLES, lambda: 0.0)
    asked, refused = Counter[str](), 0
    for number, each in enumerate(recorded_requests("dynamodb")):
        if "IndexName" in each.request:
            continue
        asked[each.operation] += 1
        token = {"ClientRequestToken": f"token-{number}"} if "TransactItems" in each.request else {}
        request = each.request | token
        try:
            expected: object = getattr(fake, each.operation)(request)
        except ClientError as error:
            expected, refused = error, refused + 1
        assert outcome(ask(client, each, with_tables(request, names))) == outcome(expected), each
    assert refused > 10
    assert min(asked.values()) > 10, asked
    await_indexes(database)
    for table, definition in TABLES.items():
        for index in definition.indexes:
            shown = client.scan(TableName=names[table], IndexName=index.name)["Items"]
            held = fake.scan({"TableName": table, "IndexName": index.name})["Items"]
            assert sorted(shown, key=str) == sorted(held, key=str)


def test_the_fake_s3_responds_as_the_embedded_one(aws: str) -> None:
    client = boto3.client("s3")
    bucket = client.create_bucket(Bucket="simulated")["Location"].strip("/")
    asked = Counter[str]()
    for each in recorded_requests("s3"):
        asked[each.operation] += 1
        if each.operation == "list_objects_v2":
            continue
        response = ask(client, each, each.request | {"Bucket": bucket})
        assert outcome(response) == outcome(each.response), each
    assert asked["put_object"] > 10


@pytest.fixture(autouse=True)
def _emulator_before_the_simulation(aws: str) -> None:
    """The emulator is started by real time."""
