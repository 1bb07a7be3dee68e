"""AWS fails, for real: a relay on the way to the emulator throttles, fails, loses answers or says nothing."""

from collections.abc import Iterator
from threading import Event

import boto3
import httpx
import pytest
from botocore.config import Config
from httpx_sse import connect_sse

from outpost.aws.client_config import CLIENT_CONFIG
from outpost.domain.agents import Agent
from outpost.domain.dispatch import Dispatch
from outpost.domain.ids import new_id
from outpost.domain.tenants import Tenant
from outpost.store import artifacts, database
from tests.contract.relay import Relay, fails, loses_the_response, once, relay, waits
from tests.contract.running import TASK, Api, connect, refused, serve
from tests.eventually import eventually

TRIES = 2
IMPATIENT = Config(read_timeout=1, retries={"mode": "standard", "total_max_attempts": TRIES})
"""A call's limits, shorter than in production: what happens after them is the same."""


@pytest.fixture(scope="module")
def service(deployed: dict[str, str]) -> Iterator[tuple[str, Relay]]:
    """A service whose way to AWS is a relay: its URL, and the relay."""
    with pytest.MonkeyPatch.context() as patch, relay(deployed["AWS_ENDPOINT_URL"]) as way:
        for variable, value in (deployed | {"AWS_ENDPOINT_URL": way.url}).items():
            patch.setenv(variable, value)
        for module in (database, artifacts):
            patch.setattr(module, "CLIENT_CONFIG", CLIENT_CONFIG.merge(IMPATIENT))
        boto3.setup_default_session()
        with serve(connect()[0]) as (url, _):
            yield url, way


@pytest.fixture
def way(service: tuple[str, Relay]) -> Iterator[Relay]:
    """The way to AWS, for a test to spoil."""
    yield service[1]
    service[1].faults.clear()


@pytest.fixture
def client(service: tuple[str, Relay], api: Api, tenant: Tenant) -> Iterator[httpx.Client]:
    """A client of the service, whose key has been looked up."""
    with httpx.Client(base_url=service[0], headers={"X-API-Key": api.key(tenant)}, timeout=120) as client:
        assert client.get("/dispatch").status_code == 200
        yield client


def come_back(response: httpx.Response) -> None:
    refused(response, 503, "SERVICE_UNAVAILABLE")
    assert int(response.headers["Retry-After"]) > 0


@pytest.mark.parametrize("code", ["ThrottlingException", "ProvisionedThroughputExceededException"])
def test_a_throttled_dispatch_is_refused_for_the_moment_and_nothing_of_it_is_written(
    api: Api, client: httpx.Client, way: Relay, code: str
) -> None:
    way.made.clear()
    way.faults["TransactWriteItems"] = fails(code)
    come_back(client.post("/dispatch", json=TASK, headers={"Idempotency-Key": "again"}))
    assert way.made["TransactWriteItems"] == TRIES
    way.faults.clear()
    api.await_indexes()
    assert client.get("/dispatch").json()["data"] == []
    again = client.post("/dispatch", json=TASK, headers={"Idempotency-Key": "again"})
    assert again.status_code == 201
    assert "Idempotent-Replay" not in again.headers


def test_a_moment_of_throttling_is_not_noticed(client: httpx.Client, way: Relay) -> None:
    way.faults |= {name: once(fails("ThrottlingException")) for name in ("TransactWriteItems", "Query", "GetItem")}
    id_ = client.post("/dispatch", json=TASK).json()["data"]["id"]
    assert client.get(f"/dispatch/{id_}").status_code == 200


def test_a_dispatch_whose_commit_was_not_heard_of_is_made_once(api: Api, client: httpx.Client, way: Relay) -> None:
    way.faults["TransactWriteItems"] = once(loses_the_response)
    response = client.post("/dispatch", json=TASK)
    assert response.status_code == 201
    api.await_indexes()
    assert [row["id"] for row in client.get("/dispatch").json()["data"]] == [response.json()["data"]["id"]]


def test_a_throttled_cancel_changes_nothing(client: httpx.Client, way: Relay) -> None:
    id_ = client.post("/dispatch", json=TASK).json()["data"]["id"]
    way.faults["TransactWriteItems"] = fails("ThrottlingException")
    come_back(client.delete(f"/dispatch/{id_}"))
    assert client.get(f"/dispatch/{id_}").json()["data"]["status"] == "pending"


@pytest.mark.parametrize(
    ("operation", "path"), [("GetItem", "/dispatch/{id}"), ("Query", "/dispatch"), ("GetItem", "/artifacts/{id}")]
)
@pytest.mark.parametrize(("code", "status"), [("ThrottlingException", 400), ("InternalServerError", 500)])
def test_a_throttled_or_failing_read_asks_to_come_back(
    client: httpx.Client, way: Relay, operation: str, path: str, code: str, status: int
) -> None:
    id_ = client.post("/dispatch", json=TASK).json()["data"]["id"]
    way.faults[operation] = fails(code, status)
    come_back(client.get(path.format(id=id_)))


@pytest.mark.parametrize(("operation", "path"), [("GetItem", "/dispatch/{id}"), ("Query", "/dispatch")])
def test_tables_that_do_not_answer_are_given_up_while_the_service_lives(
    client: httpx.Client, way: Relay, operation: str, path: str
) -> None:
    release, id_ = Event(), new_id()
    way.faults[operation] = waits(release)
    come_back(client.get(path.format(id=id_)))
    assert client.get("/health/live").status_code == 200
    release.set()


def test_a_bucket_that_does_not_answer_is_given_up(
    client: httpx.Client, way: Relay, running: Dispatch, api: Api
) -> None:
    release = Event()
    api.chunk(running, 1, "a line")
    assert len(client.get(f"/dispatch/{running.id}/logs").json()["data"]) == 1
    way.faults["GET"] = waits(release)
    come_back(client.get(f"/dispatch/{running.id}/logs"))
    come_back(client.get(f"/artifacts/{running.id}"))
    assert client.get(f"/dispatch/{running.id}").json()["data"]["status"] == "running"
    release.set()


def test_a_watcher_hears_on_after_reads_that_failed(
    client: httpx.Client, way: Relay, running: Dispatch, api: Api
) -> None:
    with connect_sse(client, "GET", f"/dispatch/{running.id}/events") as source:
        statuses = (event.json()["status"] for event in source.iter_sse() if event.event == "status")
        assert next(statuses) == "running"
        way.made.clear()
        way.faults["GetItem"] = fails("ThrottlingException")
        eventually(lambda: way.made["GetItem"] > TRIES, what="two reads of the poller have failed")
        way.faults.clear()
        api.end(running)
        # A state between two reads is not sent: this one is short.
        assert [status for status in statuses if status != "completing"] == ["success"]


def test_a_dispatch_that_is_committed_is_accepted_although_the_queue_is_down(
    client: httpx.Client, way: Relay, api: Api, tenant: Tenant
) -> None:
    way.faults["SendMessage"] = fails("ServiceUnavailable", 503)
    response = client.post("/dispatch", json=TASK)
    assert response.status_code == 201
    # A worker that asks finds it: the table's stream launches one, and the reconciler wakes those that idle.
    assert api.stores.dispatches.live.queued(Agent.SHELL, tenant.id, limit=9) == [response.json()["data"]["id"]]


def test_a_queue_that_does_not_answer_does_not_hold_a_dispatch(client: httpx.Client, way: Relay) -> None:
    release = Event()
    way.faults["SendMessage"] = waits(release)
    way.made.clear()
    response = client.post("/dispatch", json=TASK, timeout=120)
    release.set()
    assert response.status_code == 201
    assert (way.made["TransactWriteItems"], way.made["SendMessage"]) == (1, TRIES)


def test_a_conflict_that_passes_is_not_noticed_and_one_that_lasts_asks_to_come_back(
    api: Api, tenant: Tenant, service: tuple[str, Relay], way: Relay
) -> None:
    with httpx.Client(base_url=service[0], headers={"X-API-Key": api.key(tenant)}, timeout=120) as client:
        way.faults["UpdateItem"] = once(fails("TransactionConflictException"))  # counts the key's first request
        assert client.get("/dispatch").status_code == 200
    with httpx.Client(base_url=service[0], headers={"X-API-Key": api.key(tenant)}, timeout=120) as client:
        way.faults["UpdateItem"] = fails("TransactionConflictException")
        come_back(client.get("/dispatch"))
