"""What a request costs in AWS calls, that none of them blocks the event loop, and what happens when AWS fails."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from threading import Event, get_ident
from typing import Any

import boto3
import httpx
import pytest
from botocore import xform_name
from botocore.exceptions import ClientError, EndpointConnectionError, ReadTimeoutError

from outpost.store.database import ConflictError, ContentionError
from tests.contract.running import TASK, Api, Calls, refused

CREATE = {"dynamodb.TransactWriteItems": 1, "sqs.SendMessage": 1}
READ = {"dynamodb.GetItem": 1}


@pytest.fixture
def id_(api: Api, client: httpx.Client) -> str:
    """A claimed dispatch; its key's look-up is cached by now."""
    id_ = str(client.post("/dispatch", json=TASK).json()["data"]["id"])
    api.claim(id_)
    return id_


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        ("POST", "/dispatch", CREATE),
        ("GET", "/dispatch/{id}", READ),
        ("GET", "/dispatch", {"dynamodb.Query": 1}),
        ("GET", "/dispatch?status=running&limit=100", {"dynamodb.Query": 1}),
        ("GET", "/dispatch/{id}/logs", READ | {"s3.GetObject": 1}),
        ("GET", "/artifacts/{id}", READ | {"s3.ListObjectsV2": 1}),
        ("GET", "/health/live", {}),
    ],
)
def test_a_request_makes_exactly_these_aws_calls(
    api: Api, client: httpx.Client, id_: str, method: str, path: str, expected: dict[str, int]
) -> None:
    before = Counter(api.calls.made)
    body = {"json": TASK} if method == "POST" else {}
    assert client.request(method, path.format(id=id_), **body).is_success  # type: ignore[arg-type]
    assert dict(Counter(api.calls.made) - before) == expected


def test_short_pages_of_a_log_read_each_chunk_once(api: Api, client: httpx.Client, id_: str) -> None:
    api.chunk(api.row(id_), 1, *(f"line {number}" for number in range(40)))
    before, cursor = Counter(api.calls.made), ""
    for _ in range(4):
        page = client.get(f"/dispatch/{id_}/logs?limit=10{cursor}").json()
        cursor = f"&cursor={page['meta']['pagination']['cursor']}"
        assert len(page["data"]) == 10
    assert (Counter(api.calls.made) - before)["s3.GetObject"] == 1


def test_the_status_of_a_pending_dispatch_costs_one_query_more(api: Api, client: httpx.Client) -> None:
    id_ = client.post("/dispatch", json=TASK).json()["data"]["id"]
    client.get(f"/dispatch/{id_}")  # looks how fast the tenant's dispatches come and go, for the next 20 s
    before = Counter(api.calls.made)
    client.get(f"/dispatch/{id_}")
    assert dict(Counter(api.calls.made) - before) == READ | {"dynamodb.Query": 1}


def test_a_keys_first_request_looks_it_up_notes_its_use_and_leases_requests(api: Api) -> None:
    with api.client(api.key(api.tenant())) as client:
        before = Counter(api.calls.made)
        client.get("/dispatch")
        assert dict(Counter(api.calls.made) - before) == {
            "dynamodb.GetItem": 2,
            "dynamodb.Query": 1,
            "dynamodb.UpdateItem": 2,
        }


def test_no_aws_call_runs_on_the_event_loop(
    api: Api, client: httpx.Client, id_: str, operator: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api.services.probes, "_taken", float("-inf"))  # they look now, however lately they did
    secret = f"/tenants/{api.row(id_).tenant_id}/secrets/NPM_TOKEN"
    before = Counter(api.calls.made)
    for path in ("/dispatch", f"/dispatch/{id_}?logLimit=5", f"/artifacts/{id_}", "/health", "/health/fleet"):
        assert client.get(path).is_success
    client.post("/dispatch", json=TASK)
    client.delete(f"/dispatch/{id_}")
    operator.get("/tenants")
    operator.post("/tenants/operator/keys", json={"name": "x", "scopes": ["list"]})
    operator.put(secret, json={"value": "a value of some length"})
    operator.delete(secret)
    api.write_audit_records()
    asked = (Counter(api.calls.made) - before) + api.calls.behind
    services = {call.partition(".")[0] for call in asked}
    assert services == {"dynamodb", "s3", "sqs", "efs", "cloudwatch-logs", "kms", "secrets-manager"}
    assert api.calls.loop_thread is not None
    assert api.calls.on_loop == []


@pytest.mark.parametrize(
    ("service", "operation"),
    [
        ("efs", "DescribeFileSystems"),
        ("logs", "DescribeLogGroups"),
        ("secretsmanager", "ListSecrets"),
        ("dynamodb", "ListTables"),
    ],
)
@pytest.mark.usefixtures("environment")
def test_a_call_on_the_event_loop_would_be_noticed_whichever_client_makes_it(service: str, operation: str) -> None:
    calls = Calls(loop_thread=get_ident())
    with calls.watched():
        client: Any = boto3.client(service)  # type: ignore[call-overload]
    getattr(client, xform_name(operation))()
    assert [call.rpartition(".")[2] for call in calls.on_loop] == [operation]


def test_liveness_answers_while_every_thread_waits_for_aws(
    api: Api, client: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    release = Event()
    monkeypatch.setattr(type(api.stores.dispatches), "get", lambda *_, **__: release.wait(30) and None)
    with ThreadPoolExecutor(40) as pool, api.client() as balancer:
        waiting = [pool.submit(client.get, "/dispatch/01ARZ3NDEKTSV4RRFFQ69G5FAV") for _ in range(40)]
        alive = [balancer.get("/health/live").status_code for _ in range(3)]
        release.set()
        assert alive == [200, 200, 200]
        assert {response.result().status_code for response in waiting} == {404}


def aws_error(code: str, status: int) -> ClientError:
    return ClientError({"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}, "Query")  # type: ignore[typeddict-item]


@pytest.mark.parametrize(
    "error",
    [
        aws_error("ThrottlingException", 400),
        aws_error("ProvisionedThroughputExceededException", 400),
        aws_error("InternalServerError", 500),
        EndpointConnectionError(endpoint_url="http://x"),
        ReadTimeoutError(endpoint_url="http://x"),
        ContentionError("busy"),
        ConflictError(["TransactionConflict"]),
    ],
    ids=lambda error: type(error).__name__,
)
def test_trouble_in_aws_asks_to_come_back(
    api: Api, client: httpx.Client, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(type(api.stores.dispatches), "page", fail)
    response = client.get("/dispatch")
    refused(response, 503, "SERVICE_UNAVAILABLE")
    assert int(response.headers["Retry-After"]) > 0


def test_a_denied_aws_call_is_our_fault_not_a_passing_trouble(
    api: Api, client: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise aws_error("AccessDeniedException", 400)

    monkeypatch.setattr(type(api.stores.dispatches), "page", fail)
    refused(client.get("/dispatch"), 500, "INTERNAL_ERROR")
