"""The connection to DynamoDB: clients with bounded waits, and writes with an exception for each kind of refusal."""

import os
import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

from boto3.dynamodb.types import TypeDeserializer, TypeSerializer
from botocore.config import Config
from botocore.exceptions import ClientError

from outpost.aws.client_config import CLIENT_CONFIG
from outpost.aws.fast_client import fast_session
from outpost.names import Env

if TYPE_CHECKING:
    from types_boto3_dynamodb.client import DynamoDBClient
    from types_boto3_dynamodb.type_defs import AttributeValueTypeDef

type_serializer = TypeSerializer()
type_deserializer = TypeDeserializer()

Item = dict[str, Any]
Write = dict[str, Any]
"""One write of a transaction: DynamoDB's TransactWriteItem."""

TRIES = 10
"""Of a transaction that is cancelled because others write the same items, before giving up."""
PAUSE = 0.02
"""Seconds by which each cancelled try lengthens the longest pause before the next."""
_BATCH = 100
"""Items that one BatchGetItem may name."""
_TRANSIENT = frozenset({"TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"})
"""Reasons of a cancelled transaction that another try may not meet (DynamoDB API: TransactionCanceledException)."""


class ContentionError(Exception):
    """Others were writing the same items, or too much was written, at every try; nothing was written: try again."""


class ConflictError(Exception):
    """A condition did not hold; nothing was written.

    `codes` has one entry per written item: `None`, `ConditionalCheckFailed`, `TransactionConflict`, ...
    """

    def __init__(self, codes: Sequence[str | None]) -> None:
        super().__init__(f"write refused: {list(codes)}")
        self.codes = list(codes)


def to_attributes(item: Item) -> dict[str, "AttributeValueTypeDef"]:
    """Encode an item for the low-level client; None values are left out."""
    return {name: _encode(value) for name, value in item.items() if value is not None}


def _encode(value: object) -> "AttributeValueTypeDef":
    return {"S": value} if isinstance(value, str) else type_serializer.serialize(value)  # nearly all are strings


def from_attributes(attributes: dict[str, Any]) -> Item:
    """Decode an item of the low-level client."""
    # Nearly all are strings, and lists decode hundreds of them.
    return {
        name: value["S"] if "S" in value else type_deserializer.deserialize(value) for name, value in attributes.items()
    }


def key(pk: str, sk: str) -> dict[str, "AttributeValueTypeDef"]:
    """Return an item's key, encoded."""
    return {"pk": {"S": pk}, "sk": {"S": sk}}


@dataclass(frozen=True)
class Database:
    """DynamoDB and the physical names of our tables."""

    client: "DynamoDBClient"
    dispatches: str
    tenants: str
    workers: str
    queues: str
    workspaces: str

    @classmethod
    def from_environment(cls, config: Config | None = None) -> "Database":
        """Connect as the environment says. Raises `KeyError` naming a variable that is missing."""
        return cls(
            client=fast_session().client("dynamodb", config=config or CLIENT_CONFIG),
            dispatches=os.environ[Env.DISPATCHES_TABLE],
            tenants=os.environ[Env.TENANTS_TABLE],
            workers=os.environ[Env.WORKERS_TABLE],
            queues=os.environ[Env.QUEUES_TABLE],
            workspaces=os.environ[Env.WORKSPACES_TABLE],
        )

    def get(self, table: str, pk: str, sk: str, *, consistent: bool = True) -> Item | None:
        """Read one item, or None."""
        response = self.client.get_item(TableName=table, Key=key(pk, sk), ConsistentRead=consistent)
        return from_attributes(response["Item"]) if "Item" in response else None

    def get_many(self, table: str, keys: Sequence[tuple[str, str]], attributes: Sequence[str]) -> list[Item]:
        """Read some attributes of the items that are there, in no order. Raises `ContentionError`.

        100 items a call; what was not read for its size or for throttling is requested again (DynamoDB API:
        BatchGetItem, "UnprocessedKeys").
        """
        found: list[Item] = []
        for first in range(0, len(keys), _BATCH):
            wanted = {"Keys": [key(*each) for each in keys[first : first + _BATCH]], "ConsistentRead": True}
            found += self._get_batch({table: wanted | _projection(attributes)})
        return found

    def _get_batch(self, request: dict[str, Any]) -> Iterator[Item]:
        for attempt in range(1, TRIES + 1):
            response = self.client.batch_get_item(RequestItems=request)
            for items in response["Responses"].values():
                yield from map(from_attributes, items)
            request = response.get("UnprocessedKeys") or {}
            if not request:
                return
            time.sleep(random.uniform(0, attempt * PAUSE))  # noqa: S311 - spreads, hides nothing
        raise ContentionError(f"items were left unread by {TRIES} calls")

    def put(self, table: str, item: Item, condition: str | None = None, **values: object) -> None:
        """Write one item. Raises `ConflictError` when the condition does not hold, and `ContentionError`."""
        self._write(self.client.put_item, put_write(table, to_attributes(item), condition, **values)["Put"])

    def update(
        self, table: str, pk: str, sk: str, expression: str, condition: str | None = None, **values: object
    ) -> Item:
        """Change one item and return it whole.

        Raises `ConflictError` when the condition does not hold, and `ContentionError`.
        """
        write = update_write(table, (pk, sk), expression, condition, **values)["Update"]
        return from_attributes(self._write(self.client.update_item, write | {"ReturnValues": "ALL_NEW"})["Attributes"])

    def delete(self, table: str, pk: str, sk: str, condition: str | None = None, **values: object) -> None:
        """Delete one item, if it is there. Raises `ConflictError` when the condition fails, and `ContentionError`."""
        self._write(self.client.delete_item, delete_write(table, (pk, sk), condition, **values)["Delete"])

    def _write(self, operation: Callable[..., Any], request: Item) -> Any:  # noqa: ANN401 - any of DynamoDB's responses
        try:
            return operation(**request)
        except ClientError as error:
            raise_conflict(error)

    def transact(self, writes: Sequence[Write]) -> None:
        """Write all or nothing. Raises `ConflictError` with a code per item, and `ContentionError`."""
        for attempt in range(1, TRIES + 1):
            try:
                self.client.transact_write_items(TransactItems=writes)  # type: ignore[arg-type]
            except ClientError as error:
                codes = set(_cancellation_codes(error)) - {None}
                if not codes or codes - _TRANSIENT:
                    raise_conflict(error)
            else:
                return
            time.sleep(random.uniform(0, attempt * PAUSE))  # noqa: S311 - spreads, hides nothing
        raise ContentionError(f"the transaction was cancelled {TRIES} times by other writes of the same items")

    def query(
        self,
        table: str,
        condition: str,
        values: Item,
        *,
        index: str | None = None,
        newest_first: bool = False,
        limit: int | None = None,
        page_size: int | None = None,
        attributes: Sequence[str] = (),
    ) -> Iterator[Item]:
        """Yield the items of a query, at most `limit`, reading `page_size` at a time; only some `attributes`, if named.

        Reading costs as much as the whole items do, memory and transfer only what is named.
        """
        request: dict[str, Any] = {
            "TableName": table,
            "KeyConditionExpression": condition,
            "ExpressionAttributeValues": expression_values(values),
            "ScanIndexForward": not newest_first,
        }
        # An index cannot be read consistently: read the row again before acting on what it shows.
        request |= {"IndexName": index} if index else {"ConsistentRead": True}
        request |= _projection(attributes) if attributes else {}
        seen = 0
        while True:
            bounds = [n for n in (page_size, limit and limit - seen) if n]
            request |= {"Limit": min(bounds)} if bounds else {}
            response = self.client.query(**request)
            yield from map(from_attributes, response["Items"])
            seen += len(response["Items"])
            if "LastEvaluatedKey" not in response or seen == limit:
                return
            request["ExclusiveStartKey"] = response["LastEvaluatedKey"]


def _projection(attributes: Sequence[str]) -> dict[str, Any]:
    """Return the parameters that name attributes, each by a placeholder, because some are reserved words."""
    names = {f"#a{number}": attribute for number, attribute in enumerate(attributes)}
    return {"ProjectionExpression": ", ".join(names), "ExpressionAttributeNames": names}


def expression_values(values: dict[str, Any]) -> dict[str, "AttributeValueTypeDef"]:
    """Encode expression values: `{"now": 5}` -> `{":now": {"N": "5"}}`."""
    return {f":{name}": _encode(value) for name, value in values.items()}


def put_write(table: str, attributes: Item, condition: str | None = None, **values: object) -> Write:
    """Return the write of an encoded item."""
    return {"Put": _request(table, condition, values, Item=attributes)}


def update_write(
    table: str, item_key: tuple[str, str], expression: str, condition: str | None = None, **values: object
) -> Write:
    """Return the write that changes an item."""
    return {"Update": _request(table, condition, values, Key=key(*item_key), UpdateExpression=expression)}


def delete_write(table: str, item_key: tuple[str, str], condition: str | None = None, **values: object) -> Write:
    """Return the write that deletes an item."""
    return {"Delete": _request(table, condition, values, Key=key(*item_key))}


def check_write(table: str, item_key: tuple[str, str], condition: str, **values: object) -> Write:
    """Return what lets a transaction succeed only if a condition of an item holds."""
    return {"ConditionCheck": _request(table, condition, values, Key=key(*item_key))}


def _request(table: str, condition: str | None, values: dict[str, object], **parameters: object) -> Item:
    request: Item = {"TableName": table, **parameters}
    if condition:
        request["ConditionExpression"] = condition
    if values:
        request["ExpressionAttributeValues"] = expression_values(values)
    return request


def raise_conflict(error: ClientError) -> NoReturn:
    """Raise `ConflictError` for a refused condition, `ContentionError` for a busy item, else the error itself."""
    code = error.response["Error"]["Code"]
    if code == "ConditionalCheckFailedException":
        raise ConflictError(["ConditionalCheckFailed"]) from error
    if code == "TransactionConflictException":
        raise ContentionError("a transaction was writing the item at every try") from error
    codes = _cancellation_codes(error)
    if "ConditionalCheckFailed" in codes:
        raise ConflictError(codes) from error
    raise error


def _cancellation_codes(error: ClientError) -> list[str | None]:
    """Return a code per item of a cancelled transaction, None for an item that was no reason; else an empty list."""
    if error.response["Error"]["Code"] != "TransactionCanceledException":
        return []
    reasons: list[dict[str, Any]] = error.response.get("CancellationReasons", [])  # type: ignore[assignment]
    return [None if reason.get("Code") == "None" else reason.get("Code") for reason in reasons]
