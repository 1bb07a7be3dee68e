"""The operator's administration of tenants and keys."""

import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest

from control_plane import auth
from outpost.domain.dispatch import Status
from outpost.domain.ids import now
from outpost.domain.tenants import OPERATOR, TIERS, Scope, Tenant, hash_key
from tests.contract.running import TASK, Api, fields, refused


def fresh() -> str:
    return f"x-{uuid.uuid4().hex[:12]}"


def test_a_tenant_is_created_with_its_tiers_limits(operator: httpx.Client) -> None:
    name = fresh()
    response = operator.post("/tenants", json={"id": name, "name": "X Inc.", "tier": "pro"})
    assert response.status_code == 201
    data = response.json()["data"]
    assert data == operator.get(f"/tenants/{name}").json()["data"]
    assert data.pop("createdAt").endswith("Z")
    assert data == {
        "id": name,
        "name": "X Inc.",
        "tier": "pro",
        "status": "active",
        "limits": {
            "concurrent": 10,
            "daily": 500,
            "timeoutSeconds": 1_800,
            "requestsPerMinute": 60,
            "monthlyBudgetUsd": None,
        },
        "ownLimits": {
            "concurrent": None,
            "daily": None,
            "timeoutSeconds": None,
            "requestsPerMinute": None,
            "monthlyBudgetUsd": None,
        },
        "repositories": [],
        "providers": [],
    }


def test_a_tenants_repositories_are_given_and_taken_as_a_whole(api: Api, operator: httpx.Client) -> None:
    name = fresh()
    operator.post("/tenants", json={"id": name, "name": "X", "repositories": ["acme/*", "other/one"]})
    stored = api.stores.tenants.get(name)
    assert stored is not None
    assert stored.may_use("Acme/Anything")
    assert not stored.may_use("other/two")

    def change(**fields: object) -> Any:  # noqa: ANN401 - JSON
        return operator.patch(f"/tenants/{name}", json=fields).json()["data"]["repositories"]

    assert change(name="Y") == ["acme/*", "other/one"]
    assert change(repositories=["acme/widget"]) == ["acme/widget"]
    assert change(repositories=[]) == []


def test_a_tenant_is_limited_to_certain_providers(operator: httpx.Client) -> None:
    name = fresh()
    made = operator.post("/tenants", json={"id": name, "name": "X", "providers": ["bedrock", "anthropic"]})
    assert made.json()["data"]["providers"] == ["bedrock", "anthropic"]

    def change(**fields: object) -> Any:  # noqa: ANN401 - JSON
        return operator.patch(f"/tenants/{name}", json=fields).json()

    assert change(name="Y")["data"]["providers"] == ["bedrock", "anthropic"]
    assert change(providers=["bedrock"])["data"]["providers"] == ["bedrock"]
    (detail,) = change(providers=["vertex"])["error"]["details"]
    assert detail["field"].startswith("providers")
    assert 'is "vertex": give a text that matches ^(anthropic|openai|' in detail["message"]
    assert change(providers=[])["data"]["providers"] == []


@pytest.mark.parametrize(
    "repository", ["acme", "*/*", "*/one", "acme/", "https://github.com/a/b", "a/b/c", "acme/app.GIT", "acme/.."]
)
def test_what_names_no_repository_is_refused(operator: httpx.Client, repository: str) -> None:
    response = operator.post("/tenants", json={"id": fresh(), "name": "X", "repositories": [repository]})
    assert response.status_code == 400
    assert response.json()["error"]["details"][0]["field"].startswith("repositories")


def test_limits_of_a_tenants_own_replace_the_tiers(api: Api, operator: httpx.Client) -> None:
    name = fresh()
    operator.post("/tenants", json={"id": name, "name": "X", "limits": {"daily": 1}})
    stored = api.stores.tenants.get(name)
    assert stored is not None
    assert stored.limits == TIERS["free"].model_copy(update={"daily": 1})
    with api.client(api.key(name)) as client:
        assert [client.post("/dispatch", json=TASK).status_code for _ in range(2)] == [201, 429]


def test_name_tier_and_limits_are_changed_each_without_the_others(operator: httpx.Client) -> None:
    name = fresh()
    operator.post("/tenants", json={"id": name, "name": "X", "limits": {"daily": 7}})

    def change(**fields: object) -> Any:  # noqa: ANN401 - JSON
        data = operator.patch(f"/tenants/{name}", json=fields).json()["data"]
        assert data == operator.get(f"/tenants/{name}").json()["data"]
        return data

    free = {"concurrent": 1, "timeoutSeconds": 300, "requestsPerMinute": 60, "monthlyBudgetUsd": None}
    pro = {"concurrent": 10, "timeoutSeconds": 1_800, "requestsPerMinute": 60, "monthlyBudgetUsd": None}
    assert change(name="Y")["limits"] == free | {"daily": 7}
    assert change(tier="pro")["limits"] == pro | {"daily": 7}
    changed = change(limits={"requestsPerMinute": 5})
    assert changed["limits"] == pro | {"daily": 500, "requestsPerMinute": 5}
    assert changed["name"] == "Y"
    assert change(limits={"monthlyBudgetUsd": 99.5})["limits"] == pro | {"daily": 500, "monthlyBudgetUsd": 99.5}
    assert change(limits={})["limits"] == pro | {"daily": 500}
    refused(operator.patch("/tenants/nobody", json={"name": "Z"}), 404, "NOT_FOUND")


def test_a_change_of_name_does_not_undo_a_suspension_at_the_same_time(api: Api, operator: httpx.Client) -> None:
    tenant = api.tenant()
    with ThreadPoolExecutor(3) as pool:
        changes = [pool.submit(operator.patch, f"/tenants/{tenant.id}", json={"name": str(n)}) for n in range(3)]
        operator.post(f"/tenants/{tenant.id}/suspend")
        assert {change.result().status_code for change in changes} == {200}
    stored = api.stores.tenants.get(tenant.id)
    assert stored is not None
    assert stored.status == "suspended"


def test_an_id_is_given_once(operator: httpx.Client) -> None:
    body = {"id": fresh(), "name": "X"}
    operator.post("/tenants", json=body)
    refused(operator.post("/tenants", json=body), 409, "CONFLICT")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"id": "A#b"}, "id"),
        ({"id": "a/../b"}, "id"),
        ({"id": "ab"}, "id"),
        ({"id": "abc\n"}, "id"),
        ({"name": ""}, "name"),
        ({"tier": "gold"}, "tier"),
        ({"limits": {"daily": 0}}, "limits.daily"),
        ({"limits": {"monthlyBudgetUsd": 0}}, "limits.monthlyBudgetUsd"),
        ({"limits": {"timeoutSeconds": 86_401}}, "limits.timeoutSeconds"),
        ({"status": "active"}, "status"),
    ],
)
def test_a_malformed_tenant_is_refused_by_field(operator: httpx.Client, body: dict[str, object], field: str) -> None:
    response = operator.post("/tenants", json={"id": fresh(), "name": "X"} | body)
    assert fields(refused(response, 400, "VALIDATION_ERROR")) == {field}


def test_tenants_are_listed_by_id_page_by_page(api: Api, operator: httpx.Client) -> None:
    mine = {api.tenant().id for _ in range(3)}
    api.await_indexes()
    seen: list[str] = []
    query = "limit=50"  # other tests leave tenants: small pages would pass the rate limit
    while True:
        body = operator.get(f"/tenants?{query}").json()
        seen += [tenant["id"] for tenant in body["data"]]
        if not body["meta"]["pagination"]["hasMore"]:
            break
        query = f"limit=50&cursor={body['meta']['pagination']['cursor']}"
    assert seen == sorted(set(seen))
    assert mine < set(seen)


def test_unknown_tenants_and_keys_are_not_found(operator: httpx.Client) -> None:
    for response in (
        operator.get("/tenants/nobody"),
        operator.post("/tenants/nobody/suspend"),
        operator.post("/tenants/nobody/resume"),
        operator.get("/tenants/nobody/keys"),
        operator.post("/tenants/nobody/keys", json={"name": "x", "scopes": ["list"]}),
        operator.delete("/keys/" + "0" * 64),
        operator.delete("/keys/otp_00000000"),
    ):
        refused(response, 404, "NOT_FOUND")


def test_suspending_closes_and_resuming_opens(api: Api, operator: httpx.Client, tenant: Tenant) -> None:
    with api.client(api.key(tenant)) as client:
        assert client.get("/dispatch").status_code == 200
        assert operator.post(f"/tenants/{tenant.id}/suspend").json()["data"]["status"] == "suspended"
        refused(client.get("/dispatch"), 403, "AUTHORIZATION_ERROR")
        assert operator.post(f"/tenants/{tenant.id}/resume").json()["data"]["status"] == "active"
        assert client.get("/dispatch").status_code == 200


def test_a_suspension_cancels_what_runs_if_the_operator_wants_it(
    api: Api, operator: httpx.Client, tenant: Tenant
) -> None:
    with api.client(api.key(tenant)) as client:
        running, waiting = (client.post("/dispatch", json={"agent": "shell", "task": "sleep 1000"}) for _ in range(2))
    ids = [response.json()["data"]["id"] for response in (running, waiting)]
    api.claim(ids[0])
    path = f"/tenants/{tenant.id}/suspend"
    assert operator.post(path, json={"cancelRunning": False}).status_code == 200
    assert api.row(ids[0]).cancel_requested_at is None
    for _ in range(2):
        assert operator.post(path, json={"cancelRunning": True}).json()["data"]["status"] == "suspended"
    assert api.row(ids[0]).cancel_reason == "the tenant was suspended"
    assert api.row(ids[1]).status is Status.PENDING
    refused(operator.post(path, json={"cancelRunning": "yes"}), 400, "VALIDATION_ERROR")


def test_the_operator_cannot_lock_itself_out(operator: httpx.Client) -> None:
    refused(operator.post(f"/tenants/{OPERATOR}/suspend"), 409, "CONFLICT")
    assert operator.get("/tenants").status_code == 200


def test_an_issued_key_works_and_its_text_is_shown_once(api: Api, operator: httpx.Client, tenant: Tenant) -> None:
    path = f"/tenants/{tenant.id}/keys"
    response = operator.post(path, json={"name": "ci", "scopes": ["list", "dispatch"]})
    issued = response.json()["data"]
    assert response.headers["Cache-Control"] == "no-store"
    text = issued.pop("key")
    with api.client(text) as client:
        assert client.get("/dispatch").status_code == 200
    api.await_indexes()
    listing = operator.get(path)
    assert [key | {"lastUsedAt": None} for key in listing.json()["data"]] == [issued]
    assert text not in listing.text
    assert (issued["prefix"], issued["scopes"], issued["status"]) == (text[:12], ["dispatch", "list"], "active")
    stored = api.database.get(api.database.tenants, f"KEY#{hash_key(text)}", "KEY")
    assert text not in str(stored)


def test_a_revoked_key_opens_nothing_and_revoking_again_changes_nothing(
    api: Api, operator: httpx.Client, tenant: Tenant
) -> None:
    issued = operator.post(f"/tenants/{tenant.id}/keys", json={"name": "ci", "scopes": ["list"]}).json()["data"]
    with api.client(issued["key"]) as client:
        assert client.get("/dispatch").status_code == 200
        first = operator.delete(f"/keys/{issued['id']}").json()["data"]
        refused(client.get("/dispatch"), 401, "AUTHENTICATION_ERROR")
    assert first["status"] == "revoked"
    again = operator.delete(f"/keys/{issued['id']}").json()["data"]
    assert again | {"lastUsedAt": None} == first | {"lastUsedAt": None}


def test_a_rotated_key_works_beside_its_successor_and_ends_after_the_overlap(
    api: Api, operator: httpx.Client, tenant: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = operator.post(f"/tenants/{tenant.id}/keys", json={"name": "ci", "scopes": ["list"]}).json()["data"]
    response = operator.post(f"/keys/{old['id']}/rotate", json={"overlapSeconds": 3_600})
    assert (response.status_code, response.headers["Cache-Control"]) == (201, "no-store")
    new = response.json()["data"]
    assert (new["name"], new["scopes"], new["tenantId"]) == ("ci", ["list"], tenant.id)
    with api.client(old["key"]) as before, api.client(new["key"]) as after:
        assert [client.get("/dispatch").status_code for client in (before, after)] == [200, 200]
        monkeypatch.setattr(auth, "now", lambda: now() + timedelta(hours=1))
        refused(before.get("/dispatch"), 401, "AUTHENTICATION_ERROR")
        assert after.get("/dispatch").status_code == 200


def test_a_rotation_without_overlap_ends_the_old_key_at_once_and_none_lengthens_one(
    operator: httpx.Client, tenant: Tenant, api: Api
) -> None:
    end = (now() + timedelta(minutes=5)).isoformat()
    body = {"name": "ci", "scopes": ["list"], "expiresAt": end}
    old = operator.post(f"/tenants/{tenant.id}/keys", json=body).json()["data"]
    new = operator.post(f"/keys/{old['id']}/rotate", json={}).json()["data"]
    assert new["expiresAt"] == old["expiresAt"]
    api.await_indexes()
    listed = {key["id"]: key for key in operator.get(f"/tenants/{tenant.id}/keys").json()["data"]}
    assert listed[old["id"]]["expiresAt"] == old["expiresAt"]
    operator.post(f"/keys/{old['id']}/rotate", json={"overlapSeconds": 0})
    with api.client(old["key"]) as client:
        refused(client.get("/dispatch"), 401, "AUTHENTICATION_ERROR")
    refused(operator.post(f"/keys/{old['id']}/rotate", json={}), 409, "CONFLICT")


def test_the_last_use_of_a_key_is_told_and_written_down_once_for_many_requests(
    api: Api, operator: httpx.Client, tenant: Tenant
) -> None:
    key = operator.post(f"/tenants/{tenant.id}/keys", json={"name": "ci", "scopes": ["list"]}).json()["data"]
    path, before = f"/tenants/{tenant.id}/keys", now()
    api.await_indexes()
    assert operator.get(path).json()["data"][0]["lastUsedAt"] is None
    with api.client(key["key"]) as client:
        client.get("/dispatch")
        api.await_indexes()
        used = operator.get(path).json()["data"][0]["lastUsedAt"]
        assert before <= datetime.fromisoformat(used) <= now()
        made = api.calls.made["dynamodb.UpdateItem"]
        for _ in range(3):
            api.services.authenticator.forget()
            client.get("/dispatch")
        assert api.calls.made["dynamodb.UpdateItem"] == made


def test_keys_are_listed_newest_first_page_by_page(api: Api, operator: httpx.Client, tenant: Tenant) -> None:
    for number in range(5):
        api.key(tenant, created_at=now() + timedelta(seconds=number), name=str(number))
    api.key(tenant, created_at=now() - timedelta(days=9), expires=now() - timedelta(days=1), name="old")
    api.await_indexes()
    names, query = [], "limit=2"
    while True:
        body = operator.get(f"/tenants/{tenant.id}/keys?{query}").json()
        names += [(key["name"], key["status"]) for key in body["data"]]
        if not body["meta"]["pagination"]["hasMore"]:
            break
        query = f"limit=50&cursor={body['meta']['pagination']['cursor']}"
    assert names == [(str(number), "active") for number in (4, 3, 2, 1, 0)] + [("old", "expired")]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"scopes": []}, "scopes"),
        ({"scopes": ["everything"]}, "scopes.0"),
        ({"expiresAt": "2020-01-01T00:00:00Z"}, "expiresAt"),
        ({"expiresAt": "soon"}, "expiresAt"),
        ({"name": ""}, "name"),
        ({"key": "otp_mine"}, "key"),
    ],
)
def test_a_malformed_key_request_is_refused_by_field(
    operator: httpx.Client, tenant: Tenant, body: dict[str, object], field: str
) -> None:
    response = operator.post(f"/tenants/{tenant.id}/keys", json={"name": "x", "scopes": [Scope.LIST]} | body)
    assert fields(refused(response, 400, "VALIDATION_ERROR")) == {field}
