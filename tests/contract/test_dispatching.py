"""Every field of POST /dispatch has its effect, or is refused with its name."""

import base64
import json
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any

import boto3
import httpx
import pytest

from control_plane.auth import Authenticator
from control_plane.rate_limit import RateLimiter
from outpost.domain.ids import is_id, new_id, now
from outpost.domain.lifecycle import Start
from outpost.domain.tenants import TIERS, Limits
from outpost.store.tenants import Rates
from tests.contract.running import MODELS, TASK, Api, fields, refused, serve


def post(client: httpx.Client, **fields: object) -> dict[str, Any]:
    response = client.post("/dispatch", json=TASK | fields)
    assert response.status_code == 201, response.text
    return dict(response.json()["data"])


def test_a_dispatch_is_accepted_as_pending_and_its_row_and_text_are_stored(api: Api, client: httpx.Client) -> None:
    before = now()
    data = post(client)
    row = api.row(data["id"])
    assert is_id(data["id"])
    assert data["status"] == "pending"
    assert api.stores.dispatches.task(data["id"]) == TASK["task"]
    assert before <= row.created_at <= now()
    assert datetime.fromisoformat(data["createdAt"]) == row.created_at
    assert abs(row.expires_at - (row.created_at + timedelta(days=180)).timestamp()) < 2


def test_a_dispatch_wakes_a_worker_of_its_agent(api: Api, client: httpx.Client, environment: dict[str, str]) -> None:
    sqs = boto3.client("sqs")
    queue_url = json.loads(environment["OUTPOST_AGENTS"])["shell"]["queue_url"]
    sqs.purge_queue(QueueUrl=queue_url)
    post(client)
    [message] = sqs.receive_message(QueueUrl=queue_url)["Messages"]
    assert json.loads(message["Body"]) == {"wake": "shell"}


FIELDS: list[tuple[dict[str, object], str, object]] = [
    ({"agent": "claude"}, "agent", "claude"),
    ({"repo": "acme/web-site.io"}, "repo", "acme/web-site.io"),
    ({"repo": "https://github.com/acme/web.git"}, "repo", "https://github.com/acme/web.git"),
    ({"repo": "acme/web", "branch": "feature/x"}, "branch", "feature/x"),
    ({"context": "minimal"}, "context", "minimal"),
    ({"workspaceMode": "ephemeral"}, "workspace_mode", "ephemeral"),
    ({"workspaceMode": "persistent"}, "workspace_mode", "persistent"),
    ({"workspaceInitMode": "none"}, "workspace_init_mode", "none"),
    ({"timeoutSeconds": 30}, "timeout_seconds", 30),
    ({"queueTimeoutSeconds": 60}, "queue_timeout_seconds", 60),
    ({"additionalSecrets": []}, "additional_secrets", ()),
    ({"agent": "claude", "maxCostUsd": 2.5}, "max_cost_usd", 2.5),
    ({"agent": "claude", "maxCostUsd": 5}, "max_cost_usd", 5),
    ({"collect": ["dist/*.whl", "reports/"]}, "collect", ("dist/*.whl", "reports/")),
    ({"tags": {"team": "blue", "a:b": ""}}, "tags", {"team": "blue", "a:b": ""}),
    ({"retryable": True}, "retryable", True),
    ({"agent": "claude", "modelId": "fast"}, "model_id", MODELS["fast"]),
    ({"agent": "claude", "modelId": MODELS["balanced"]}, "model_id", MODELS["balanced"]),
    ({"agent": "claude"}, "model_id", MODELS["flagship"]),
    ({}, "model_id", None),
]


@pytest.mark.parametrize(("sent", "field", "stored"), FIELDS)
def test_an_accepted_field_arrives_in_the_row_and_in_the_answer(
    api: Api, client: httpx.Client, sent: dict[str, object], field: str, stored: object
) -> None:
    data = post(client, **sent)
    assert getattr(api.row(data["id"]).spec, field) == stored
    head, *rest = field.split("_")
    shown = data[head + "".join(word.title() for word in rest)]
    assert shown == (list(stored) if isinstance(stored, tuple) else stored)


def test_the_row_names_the_key_that_asked_by_its_prefix(api: Api, client: httpx.Client) -> None:
    assert post(client)["createdBy"] == client.headers["X-API-Key"][:12]


REFUSED: list[tuple[dict[str, object], str, str]] = [
    ({"agent": "codex"}, "agent", "claude, shell"),
    ({"agent": "nobody"}, "agent", "'shell'"),
    ({"task": "too short"}, "task", "10"),
    ({"task": "x" * 50_001}, "task", "50000"),
    ({"task": 7}, "task", "is 7: give a text"),
    ({"modelId": "fast"}, "modelId", "leave it out"),
    ({"agent": "claude", "modelId": "gpt-1"}, "modelId", MODELS["fast"]),
    ({"repo": "no-owner"}, "repo", "owner/name"),
    ({"repo": "https://evil.example/a/b"}, "repo", "github.com"),
    ({"repo": "--upload-pack=x/y"}, "repo", "owner/name"),
    ({"repo": "a/b", "branch": "-x"}, "branch", "dash"),
    ({"repo": "a/b", "branch": "a..b"}, "branch", "'..'"),
    ({"repo": "a/b", "branch": "x" * 256}, "branch", "255"),
    ({"branch": "main"}, "branch", "repo"),
    ({"context": "everything"}, "context", "'minimal'"),
    ({"workspaceId": new_id()}, "workspaceId", "set workspaceMode to persistent"),
    ({"workspaceMode": "persistent", "workspaceId": new_id()}, "workspaceId", "no workspace of yours"),
    ({"workspaceMode": "persistent", "workspaceId": "mine"}, "workspaceId", 'is "mine": give a text that matches'),
    ({"workspaceInitMode": "half"}, "workspaceInitMode", "'minimal'"),
    ({"timeoutSeconds": -1}, "timeoutSeconds", "30"),
    ({"timeoutSeconds": 29}, "timeoutSeconds", "30"),
    ({"timeoutSeconds": 86_401}, "timeoutSeconds", "86400"),
    ({"timeoutSeconds": 1_801}, "timeoutSeconds", "1800"),
    ({"timeoutSeconds": "60"}, "timeoutSeconds", 'is "60": give a whole number'),
    ({"timeoutSeconds": True}, "timeoutSeconds", "is true: give a whole number"),
    ({"queueTimeoutSeconds": 59}, "queueTimeoutSeconds", "60"),
    ({"queueTimeoutSeconds": 86_401}, "queueTimeoutSeconds", "86400"),
    ({"additionalSecrets": ["NPM_TOKEN"]}, "additionalSecrets", "NPM_TOKEN"),
    ({"additionalSecrets": ["not-a-name"]}, "additionalSecrets.0", "give a text that matches"),
    ({"agent": "claude", "maxCostUsd": 0}, "maxCostUsd", "is 0: give 0.01 or more"),
    ({"agent": "claude", "maxCostUsd": "5"}, "maxCostUsd", 'is "5": give a number'),
    ({"maxCostUsd": 5}, "maxCostUsd", "5.0 was given, but shell runs no model: leave it out"),
    ({"collect": ["../secrets"]}, "collect.0", "use a relative path"),
    ({"collect": ["x"] * 21}, "collect", "20"),
    ({"tags": {str(n): "" for n in range(21)}}, "tags", "20"),
    ({"tags": {"k": "v" * 257}}, "tags.k", "256"),
    ({"retryable": "false"}, "retryable", 'is "false": give true or false'),
    ({"unheardOf": 1}, "unheardOf", "not known"),
]


@pytest.mark.parametrize(("sent", "field", "message"), REFUSED)
def test_what_cannot_be_had_is_refused_with_the_field_and_the_remedy(
    client: httpx.Client, sent: dict[str, object], field: str, message: str
) -> None:
    error = refused(client.post("/dispatch", json=TASK | sent), 400, "VALIDATION_ERROR")
    assert fields(error) == {field}
    assert message in error["details"][0]["message"]


def test_nothing_is_stored_of_a_refused_request(api: Api, client: httpx.Client) -> None:
    client.post("/dispatch", json=TASK | {"timeoutSeconds": -1})
    api.await_indexes()
    assert client.get("/dispatch").json()["data"] == []


@pytest.mark.parametrize("ascii_only", [True, False])
def test_a_task_of_50000_characters_is_stored_whole_however_its_json_is_spelt(
    api: Api, client: httpx.Client, ascii_only: bool
) -> None:
    task = "\N{GRINNING FACE}" * 50_000
    body = json.dumps(TASK | {"task": task}, ensure_ascii=ascii_only)
    response = client.post("/dispatch", content=body, headers={"Content-Type": "application/json"})
    assert api.stores.dispatches.task(response.json()["data"]["id"]) == task


@pytest.mark.parametrize("tier", ["free", "starter", "pro"])
def test_the_default_timeout_is_600_seconds_or_the_tiers_if_that_is_less(api: Api, tier: str) -> None:
    with api.client(api.key(api.tenant(overrides=None, tier=tier))) as client:
        assert post(client)["timeoutSeconds"] == min(600, TIERS[tier].timeout_seconds)


def test_a_timeout_over_the_tiers_names_the_cap(api: Api) -> None:
    with api.client(api.key(api.tenant(overrides=None, tier="free"))) as client:
        error = refused(client.post("/dispatch", json=TASK | {"timeoutSeconds": 301}), 400, "VALIDATION_ERROR")
    assert "300" in error["details"][0]["message"]


def test_the_daily_limit_is_refused_with_the_time_to_come_back(api: Api) -> None:
    limits = Limits(concurrent=1, daily=2, timeout_seconds=300)
    with api.client(api.key(api.tenant(limits))) as client:
        post(client)
        post(client)
        response = client.post("/dispatch", json=TASK)
        refused(response, 429, "RATE_LIMIT_EXCEEDED")
        assert 1 <= int(response.headers["Retry-After"]) <= 86_400
        api.await_indexes()
        assert len(client.get("/dispatch").json()["data"]) == 2


def test_work_over_the_concurrency_limit_is_queued_not_refused(api: Api) -> None:
    with api.client(api.key(api.tenant(Limits(concurrent=1, daily=10, timeout_seconds=300)))) as client:
        assert [post(client)["status"] for _ in range(3)] == ["pending"] * 3


def test_a_failed_wake_up_does_not_fail_the_dispatch(
    api: Api, client: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = {
        a: s.model_copy(update={"queue_url": f"{s.queue_url}-gone"})
        for a, s in api.services.settings.policy.agents.items()
    }
    monkeypatch.setattr(api.stores.dispatches._wakeups, "_agents", gone)
    assert post(client)["status"] == "pending"


# Idempotency


def keyed(client: httpx.Client, key: str, **fields: object) -> httpx.Response:
    return client.post("/dispatch", json=TASK | fields, headers={"Idempotency-Key": key})


def test_a_repeated_request_gives_the_first_answer_again(api: Api, client: httpx.Client) -> None:
    first = keyed(client, "one", tags={"a": "1", "b": "2"})
    row = api.claim(first.json()["data"]["id"])
    assert row.lease is not None
    api.advance(row.id, Start(row.lease, now()))
    again = keyed(client, "one", tags={"b": "2", "a": "1"})
    assert (again.status_code, again.json()["data"]) == (201, first.json()["data"])
    assert "Idempotent-Replay" not in first.headers
    assert again.headers["Idempotent-Replay"] == "true"
    api.await_indexes()
    assert len(client.get("/dispatch").json()["data"]) == 1


def test_the_same_key_with_another_body_is_a_conflict(client: httpx.Client) -> None:
    keyed(client, "one")
    refused(keyed(client, "one", retryable=True), 409, "CONFLICT")


def test_keys_of_different_tenants_have_nothing_to_do_with_each_other(
    client: httpx.Client, stranger: httpx.Client
) -> None:
    mine, theirs = keyed(client, "one"), keyed(stranger, "one", retryable=True)
    assert (mine.status_code, theirs.status_code) == (201, 201)
    assert mine.json()["data"]["id"] != theirs.json()["data"]["id"]


def test_fifty_concurrent_identical_requests_to_two_replicas_make_one_dispatch(api: Api, client: httpx.Client) -> None:
    limiter, authenticator = RateLimiter(Rates(api.database).lease), Authenticator(api.stores.tenants)
    with (
        serve(api.replica(limiter=limiter, authenticator=authenticator)) as (url, _),
        httpx.Client(base_url=url, headers=client.headers, timeout=120) as other,
        ThreadPoolExecutor(50) as pool,
    ):
        responses = list(pool.map(lambda number: keyed((client, other)[number % 2], "race"), range(50)))
    assert {response.status_code for response in responses} == {201}
    assert len({json.dumps(response.json()["data"]) for response in responses}) == 1
    assert sum("Idempotent-Replay" not in response.headers for response in responses) == 1
    api.await_indexes()
    assert len(client.get("/dispatch").json()["data"]) == 1


@pytest.mark.parametrize("key", [b"x" * 129, b"with space", "caf\xe9".encode()])
def test_an_unusable_idempotency_key_is_refused_by_name(client: httpx.Client, key: bytes) -> None:
    response = client.post("/dispatch", json=TASK, headers={b"Idempotency-Key": key})
    assert fields(refused(response, 400, "VALIDATION_ERROR")) == {"Idempotency-Key"}


def test_an_idempotency_key_may_be_128_characters_long(client: httpx.Client) -> None:
    assert keyed(client, base64.b64encode(b"x" * 96).decode()).status_code == 201
