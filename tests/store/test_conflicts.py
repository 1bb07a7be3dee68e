"""Writes that meet a transaction, or a moment without throughput: tried again, with bounds, over real HTTP."""

import asyncio
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from control_plane.dispatch_reader import DispatchReader
from outpost.aws.client_config import CLIENT_CONFIG
from outpost.aws.fast_client import RETRYABLE, fast_session
from outpost.domain.agents import Agent
from outpost.domain.ids import new_id, now
from outpost.domain.launches import Intent, LaunchFailure, LaunchRate
from outpost.domain.reasons import Reason, ReasonCode
from outpost.fleet.wakeups import Wakeups
from outpost.store import database as module
from outpost.store.database import TRIES, ConflictError, ContentionError, Database
from outpost.store.dispatches import Dispatches, Idempotency
from outpost.store.launches import Launches
from outpost.store.planner_lock import PlannerLock, Term
from tests.contract.relay import Fault, Relay, fails, loses_the_response, once, relay
from tests.loopback import Service, serving

Store = Any
KEY = {"pk": "a", "sk": "b"}
WRITES: dict[str, tuple[str, Callable[[Database], object]]] = {
    "put": ("PutItem", lambda db: db.put(db.tenants, KEY)),
    "update": ("UpdateItem", lambda db: db.update(db.tenants, "a", "b", "SET n = :n", n=1)),
    "delete": ("DeleteItem", lambda db: db.delete(db.tenants, "a", "b")),
    "transact": (
        "TransactWriteItems",
        lambda db: db.transact([{"Put": {"TableName": db.tenants, "Item": {"pk": {"S": "a"}, "sk": {"S": "b"}}}}]),
    ),
}


def cancelled(*codes: str) -> Fault:
    """Cancel a transaction as DynamoDB does, with a reason for each item."""
    reasons = [{"Code": code, "Message": "spoilt"} for code in codes]
    body = {"__type": "com.amazonaws#TransactionCanceledException", "Message": "", "CancellationReasons": reasons}
    return lambda _: (400, json.dumps(body).encode(), {})


@pytest.fixture
def way(database: Database, aws: str) -> Iterator[Relay]:
    with relay(aws) as way:
        yield way


@pytest.fixture
def spoilt(database: Database, way: Relay, monkeypatch: pytest.MonkeyPatch) -> Database:
    """The database, by way of the relay, with short pauses."""
    monkeypatch.setattr(module, "PAUSE", 0.001)
    client = fast_session().client("dynamodb", config=CLIENT_CONFIG, endpoint_url=way.url)
    return replace(database, client=client)


@pytest.mark.parametrize("write", WRITES)
@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("TransactionConflictException", 400),
        ("TransactionInProgressException", 400),
        ("ProvisionedThroughputExceededException", 400),
        ("ThrottlingException", 400),
        ("InternalServerError", 500),
    ],
)
def test_a_write_that_meets_a_transient_error_is_made(
    spoilt: Database, way: Relay, write: str, code: str, status: int
) -> None:
    operation, make = WRITES[write]
    way.faults[operation] = once(fails(code, status))
    make(spoilt)
    assert way.made[operation] == 2


@pytest.mark.parametrize("reason", ["TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"])
def test_a_transaction_that_is_cancelled_by_others_is_tried_again(spoilt: Database, way: Relay, reason: str) -> None:
    way.faults["TransactWriteItems"] = once(cancelled("None", reason))
    WRITES["transact"][1](spoilt)
    assert way.made["TransactWriteItems"] == 2
    assert spoilt.get(spoilt.tenants, "a", "b") is not None


@pytest.mark.parametrize("write", ["put", "update", "delete"])
def test_a_conflict_that_lasts_is_contention_and_not_a_refused_condition(
    spoilt: Database, way: Relay, write: str
) -> None:
    operation, make = WRITES[write]
    way.faults[operation] = fails("TransactionConflictException")
    with pytest.raises(ContentionError):
        make(spoilt)
    assert way.made[operation] == 4


def test_a_transaction_that_is_cancelled_for_long_is_contention(spoilt: Database, way: Relay) -> None:
    way.faults["TransactWriteItems"] = cancelled("TransactionConflict", "None")
    with pytest.raises(ContentionError):
        WRITES["transact"][1](spoilt)
    assert way.made["TransactWriteItems"] == TRIES


def test_a_repeated_dispatch_is_found_whatever_others_write(store: Store, spoilt: Database, way: Relay) -> None:
    first = store.dispatch()
    row, once_only = first.model_copy(update={"id": new_id()}), Idempotency("key", "body")
    store.dispatches.create(row, "echo hello", daily_limit=10, idempotency=once_only)

    way.faults["TransactWriteItems"] = cancelled("TransactionConflict", "None")
    dispatches, again = Dispatches(spoilt, Wakeups.from_environment({})), row.model_copy(update={"id": new_id()})
    assert dispatches.create(again, "echo hello", daily_limit=10, idempotency=once_only).id == row.id
    with pytest.raises(ContentionError):
        dispatches.create(again, "echo hello", daily_limit=10, idempotency=Idempotency("another", "body"))


def test_a_refused_condition_is_raised_at_once(spoilt: Database, way: Relay) -> None:
    way.faults["TransactWriteItems"] = cancelled("TransactionConflict", "None", "ConditionalCheckFailed")
    with pytest.raises(ConflictError) as refused:
        WRITES["transact"][1](spoilt)
    assert refused.value.codes == ["TransactionConflict", None, "ConditionalCheckFailed"]
    assert way.made["TransactWriteItems"] == 1


def test_a_transaction_that_is_wrong_is_not_tried_again(spoilt: Database, way: Relay) -> None:
    way.faults["TransactWriteItems"] = cancelled("ValidationError")
    with pytest.raises(ClientError):
        WRITES["transact"][1](spoilt)
    assert way.made["TransactWriteItems"] == 1


@pytest.mark.usefixtures("aws")
@pytest.mark.parametrize("code", sorted(RETRYABLE))
def test_both_transports_try_again_after_the_same_errors(code: str) -> None:
    refused = json.dumps({"__type": f"com.amazonaws#{code}"}).encode()
    error = b"HTTP/1.1 400 Bad Request\r\nContent-Length: %d\r\n\r\n%b" % (len(refused), refused)
    nothing = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"

    def database_at(service: Service) -> Database:
        url = f"http://127.0.0.1:{service.server_port}"
        client = fast_session().client("dynamodb", config=CLIENT_CONFIG, endpoint_url=url)
        return Database(client, "dispatches", "tenants", "workers", "queues", "workspaces")

    async def read(reader: DispatchReader) -> Any:  # noqa: ANN401 - a row or None
        async with reader.open():
            return await reader.get("1")

    with serving(Service(error, nothing)) as service:
        assert database_at(service).get("dispatches", "1", "2") is None
        assert len(service.asked) == 2
    with serving(Service(error, nothing)) as service:
        assert asyncio.run(read(DispatchReader(database_at(service)))) is None
        assert len(service.asked) == 2


def test_a_planner_whose_lease_was_written_and_not_confirmed_holds_it(spoilt: Database, way: Relay) -> None:
    way.faults["UpdateItem"] = once(loses_the_response)
    lock = PlannerLock(spoilt, now)
    term = lock.acquire("me")
    assert term
    way.faults.clear()
    assert lock.acquire("another") is None
    assert not term.release()  # another asked to look again
    assert term.release()


AT = now()
NO_ROOM = Reason.of(ReasonCode.CAPACITY_UNAVAILABLE, "no room")
INTENT = Intent(batch_id="b", agent=Agent.SHELL, count=2, launched_at=AT, subnets=("zone-a",))
FAILURE = LaunchFailure(reason=NO_ROOM, launched_at=AT - timedelta(seconds=9), failed_at=AT - timedelta(seconds=8))
SECOND_FAILURE = LaunchFailure(reason=NO_ROOM, launched_at=AT - timedelta(seconds=5), failed_at=AT)
RATE = LaunchRate(tokens=1, counted_at=AT)

Held = tuple[Launches, PlannerLock, Term]
REPEATED: dict[str, tuple[str, Callable[[Held], object]]] = {
    "renews": ("UpdateItem", lambda held: held[2].keep()),
    "is released": ("UpdateItem", lambda held: held[2].release()),
    "is abandoned": ("UpdateItem", lambda held: held[2].abandon()),
    "intends": (
        "TransactWriteItems",
        lambda held: held[0].intend(INTENT, RATE, held[2]),
    ),
    "settles": ("DeleteItem", lambda held: held[0].settle(INTENT)),
    "counts a failure": ("PutItem", lambda held: held[0].failed(Agent.SHELL, FAILURE, AT)),
    "counts a second failure": ("PutItem", lambda held: held[0].failed(Agent.SHELL, SECOND_FAILURE, AT)),
    "forgets a failure": ("DeleteItem", lambda held: held[0].succeeded(Agent.SHELL, AT)),
    "keeps the rate": ("PutItem", lambda held: held[0].keep_rate(RATE)),
    "keeps the cursor": ("PutItem", lambda held: held[0].keep_cursor("acme")),
}


@pytest.mark.parametrize("write", REPEATED)
def test_a_write_of_the_planner_whose_response_was_lost_counts_once(
    spoilt: Database, database: Database, way: Relay, write: str
) -> None:
    operation, make = REPEATED[write]

    def state(lost: bool) -> list[Any]:
        """Return what the planner's items are after the write."""
        clock = iter([AT, *[AT + timedelta(seconds=10)] * 9])
        lock = PlannerLock(spoilt, lambda: next(clock))
        term = lock.acquire("me")
        assert term
        held = Launches(spoilt), lock, term
        if write != "counts a failure":
            held[0].failed(Agent.SHELL, FAILURE, AT)
        made = way.made[operation]
        if lost:
            way.faults[operation] = once(loses_the_response)
        outcome = make(held)
        assert way.made[operation] - made >= 1 + lost
        way.faults.clear()
        items = [outcome, held[0].failure(Agent.SHELL), [*held[0].intents(Agent.SHELL)], held[0].cursor()]
        items.append(database.get(database.workers, "LEASE#planner", "LEASE"))
        for pk, sk in (("LEASE#planner", "LEASE"), ("INTENT#shell", "~failure"), ("INTENT#shell", "b")):
            database.delete(database.workers, pk, sk)
        return items

    assert state(lost=True) == state(lost=False)
