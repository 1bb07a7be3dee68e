"""The embedded AWS lags where AWS lags."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from uuid import uuid4

import boto3
import pytest
from botocore.exceptions import ClientError

from outpost_local.realism import Realism
from tests.conftest import CREDENTIALS, run_emulator
from tests.eventually import eventually

LAG = 2.0
"""Longer than a busy machine takes for the calls that must find the index as it was."""


@pytest.fixture(scope="module")
def dynamodb(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """DynamoDB with indexes that follow between LAG and twice LAG late."""
    realism = replace(Realism.none(), index_lag=2 * LAG, index_lag_least=LAG)
    with run_emulator(tmp_path_factory.mktemp("lagging"), realism) as url:
        session = boto3.Session("test", "test", region_name=CREDENTIALS["AWS_REGION"])
        yield session.client("dynamodb", endpoint_url=url)


class Table:
    """A table with one index, by `color`."""

    def __init__(self, dynamodb: Any) -> None:  # noqa: ANN401 - a boto3 client
        self.dynamodb, self.name = dynamodb, f"table-{uuid4().hex[:8]}"
        dynamodb.create_table(
            TableName=self.name,
            BillingMode="PAY_PER_REQUEST",
            AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("id", "color")],
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
            GlobalSecondaryIndexes=[
                {
                    "IndexName": "by-color",
                    "KeySchema": [{"AttributeName": "color", "KeyType": "HASH"}],
                    "Projection": {"ProjectionType": "ALL"},
                }
            ],
        )

    def put(self, id_: str, color: str, version: int = 0) -> None:
        item = {"id": {"S": id_}, "color": {"S": color}, "version": {"N": str(version)}}
        self.dynamodb.put_item(TableName=self.name, Item=item)

    def stored(self, id_: str) -> bool:
        return "Item" in self.dynamodb.get_item(TableName=self.name, Key={"id": {"S": id_}}, ConsistentRead=True)

    def query(self, color: str, **options: bool) -> list[int]:
        """The versions of the items that the index shows for a color."""
        found = self.dynamodb.query(
            TableName=self.name,
            IndexName="by-color",
            KeyConditionExpression="color = :color",
            ExpressionAttributeValues={":color": {"S": color}},
            **options,
        )
        return [int(item["version"]["N"]) for item in found["Items"]]

    def scan(self, **options: str) -> int:
        return int(self.dynamodb.scan(TableName=self.name, **options)["Count"])


@pytest.fixture
def table(dynamodb: Any) -> Table:  # noqa: ANN401 - a boto3 client
    return Table(dynamodb)


def test_an_index_shows_a_write_later_than_the_table(table: Table) -> None:
    table.put("1", "red")
    assert table.stored("1")
    assert table.scan() == 1
    assert table.query("red") == []
    assert table.scan(IndexName="by-color") == 0
    eventually(lambda: table.query("red") == [0])
    assert table.scan(IndexName="by-color") == 1


def test_an_index_still_shows_what_was_changed_or_deleted(table: Table) -> None:
    table.put("1", "red")
    table.put("2", "red", 2)
    eventually(lambda: sorted(table.query("red")) == [0, 2])
    table.put("1", "blue")
    table.dynamodb.delete_item(TableName=table.name, Key={"id": {"S": "2"}})
    assert sorted(table.query("red")) == [0, 2]
    assert table.query("blue") == []
    eventually(lambda: table.query("blue") == [0] and table.query("red") == [])


def test_the_writes_of_an_item_arrive_in_their_order(table: Table) -> None:
    for version in range(200):
        table.put("1", "red", version)
    seen = [0]

    def last_is_shown() -> bool:
        seen.extend(table.query("red"))
        return seen[-1] == 199

    eventually(last_is_shown)
    assert seen == sorted(seen)


def test_transactions_and_batches_reach_the_index_late_as_well(table: Table) -> None:
    item = {"id": {"S": "1"}, "color": {"S": "red"}, "version": {"N": "1"}}
    table.dynamodb.transact_write_items(TransactItems=[{"Put": {"TableName": table.name, "Item": item}}])
    batch = {table.name: [{"PutRequest": {"Item": item | {"id": {"S": "2"}}}}]}
    table.dynamodb.batch_write_item(RequestItems=batch)
    assert table.scan() == 2
    assert table.query("red") == []
    eventually(lambda: table.query("red") == [1, 1])


def test_an_index_cannot_be_read_consistently(table: Table) -> None:
    with pytest.raises(ClientError, match=r"ValidationException.*global secondary indexes"):
        table.query("red", ConsistentRead=True)


def test_the_same_seed_draws_the_same_numbers() -> None:
    draw = [[Realism(seed=seed).random("lag").random() for _ in range(3)] for seed in (1, 1, 2)]
    assert draw[0] == draw[1] != draw[2]


def test_the_environment_changes_single_fields() -> None:
    changed = Realism.from_environment({"OUTPOST_REALISM": '{"index_lag": 0.5}'})
    assert changed == Realism(index_lag=0.5)
    assert Realism.from_environment(changed.environment()) == changed
    for wrong in ('{"index_lga": 0.5}', "fast", "[1]"):
        with pytest.raises(ValueError, match=r"OUTPOST_REALISM is .*: set it to .*index_lag"):
            Realism.from_environment({"OUTPOST_REALISM": wrong})
