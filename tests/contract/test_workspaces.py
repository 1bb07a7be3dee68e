"""Persistent workspaces: made and held by a dispatch, listed, deleted; one dispatch at a time, nobody else's."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import httpx
import pytest

from outpost.domain.ids import new_id, now
from outpost.domain.lifecycle import Start
from outpost.domain.tenants import Scope
from outpost.domain.workspaces import QUOTAS, Place, Workspace, open_places
from outpost.store.database import ConflictError
from tests.contract.running import TASK, Api, fields, refused

PERSISTENT = TASK | {"workspaceMode": "persistent"}


@pytest.fixture
def client(api: Api) -> Iterator[httpx.Client]:
    """A client of a tenant that may keep ten workspaces, whose key may delete them."""
    scopes = (Scope.DISPATCH, Scope.STATUS, Scope.LIST, Scope.CANCEL, Scope.DELETE)
    with api.client(api.key(api.tenant(tier="pro"), *scopes)) as client:
        yield client


def dispatch(client: httpx.Client, **fields: object) -> dict[str, Any]:
    response = client.post("/dispatch", json=PERSISTENT | fields)
    assert response.status_code == 201, response.text
    return dict(response.json()["data"])


def workspace(client: httpx.Client, id_: str) -> dict[str, Any]:
    return dict(client.get(f"/workspaces/{id_}").json()["data"])


def finish(api: Api, id_: str) -> None:
    row = api.claim(id_)
    assert row.lease is not None
    api.end(api.advance(id_, Start(row.lease, now())))


def test_a_persistent_dispatch_makes_a_workspace_and_holds_it_until_its_end(api: Api, client: httpx.Client) -> None:
    data = dispatch(client, repo="acme/web", branch="main")
    made = workspace(client, data["workspaceId"])
    assert (made["repo"], made["dispatchId"], made["sizeBytes"]) == ("acme/web", data["id"], 0)
    finish(api, data["id"])
    assert workspace(client, data["workspaceId"])["dispatchId"] is None


def test_a_workspace_remembers_the_secrets_of_all_its_dispatches(api: Api, operator: httpx.Client) -> None:
    """Their values may be in its files, for which the results of later dispatches are searched."""
    tenant = api.tenant(tier="pro")
    for name in ("FIRST_TOKEN", "SECOND_TOKEN"):
        operator.put(f"/tenants/{tenant.id}/secrets/{name}", json={"value": f"a value of {name}"})
    with api.client(api.key(tenant)) as client:
        first = dispatch(client, additionalSecrets=["FIRST_TOKEN"])
        id_ = first["workspaceId"]
        for again in ({"additionalSecrets": ["SECOND_TOKEN"]}, {}):
            finish(api, first["id"])
            first = dispatch(client, workspaceId=id_, **again)
    kept = api.stores.workspaces.get(tenant.id, id_)
    assert kept
    assert kept.secrets == {"FIRST_TOKEN", "SECOND_TOKEN"}


def test_a_later_dispatch_goes_on_in_the_workspace_with_its_repository(api: Api, client: httpx.Client) -> None:
    first = dispatch(client, repo="acme/web", branch="main")
    finish(api, first["id"])
    again = dispatch(client, workspaceId=first["workspaceId"])
    assert (again["repo"], again["branch"], again["workspaceId"]) == ("acme/web", "main", first["workspaceId"])
    assert workspace(client, first["workspaceId"])["dispatchId"] == again["id"]


def test_a_workspace_is_not_moved_to_another_repository(api: Api, client: httpx.Client) -> None:
    first = dispatch(client, repo="acme/web")
    finish(api, first["id"])
    sent = {"workspaceId": first["workspaceId"], "repo": "acme/other"}
    error = refused(client.post("/dispatch", json=PERSISTENT | sent), 400, "VALIDATION_ERROR")
    assert fields(error) == {"repo"}


def test_of_many_dispatches_for_one_workspace_one_gets_it(api: Api, client: httpx.Client) -> None:
    first = dispatch(client)
    finish(api, first["id"])
    sent = PERSISTENT | {"workspaceId": first["workspaceId"]}
    with ThreadPoolExecutor(8) as pool:
        responses = list(pool.map(lambda _: client.post("/dispatch", json=sent), range(8)))
    assert sorted(response.status_code for response in responses) == [201] + [409] * 7
    winner = next(response for response in responses if response.status_code == 201).json()["data"]["id"]
    assert workspace(client, first["workspaceId"])["dispatchId"] == winner
    api.await_indexes()
    assert len(client.get("/dispatch").json()["data"]) == 2


def test_a_cancelled_dispatch_gives_its_workspace_back(client: httpx.Client) -> None:
    first = dispatch(client)
    client.request("DELETE", f"/dispatch/{first['id']}")
    assert workspace(client, first["workspaceId"])["dispatchId"] is None


def test_a_repeated_request_names_the_workspace_of_the_first(client: httpx.Client) -> None:
    headers = {"Idempotency-Key": "one"}
    first, again = (client.post("/dispatch", json=PERSISTENT, headers=headers) for _ in range(2))
    assert first.json()["data"] == again.json()["data"]
    assert again.headers["Idempotent-Replay"] == "true"
    assert len(client.get("/workspaces").json()["data"]) == 1


def test_each_use_renews_the_time_that_a_workspace_is_kept(api: Api, client: httpx.Client) -> None:
    first = dispatch(client)
    finish(api, first["id"])
    before = workspace(client, first["workspaceId"])["expiresAt"]
    workspaces, tenant_id = api.stores.workspaces, api.row(first["id"]).tenant_id
    later = api.row(first["id"]).model_copy(update={"created_at": now() + timedelta(days=3)})
    api.database.transact([workspaces.taking(later)])
    assert workspace(client, first["workspaceId"])["expiresAt"] > before
    found = workspaces.get(tenant_id, first["workspaceId"])
    assert found is not None
    assert found.expires_at - later.created_at.timestamp() == pytest.approx(30 * 86_400, abs=1)


def test_a_workspace_whose_time_is_over_cannot_be_taken(api: Api, client: httpx.Client) -> None:
    first = dispatch(client)
    finish(api, first["id"])
    row = api.row(first["id"])
    api.database.update(
        api.database.workspaces,
        f"TENANT#{row.tenant_id}",
        f"WORKSPACE#{first['workspaceId']}",
        "SET expires_at = :past",
        past=1,
    )
    refused(client.post("/dispatch", json=PERSISTENT | {"workspaceId": first["workspaceId"]}), 409, "CONFLICT")


def test_a_tenant_keeps_no_more_workspaces_than_its_tier(api: Api) -> None:
    with api.client(api.key(api.tenant(tier="free"))) as client:
        first = dispatch(client)
        error = refused(client.post("/dispatch", json=PERSISTENT), 409, "CONFLICT")
        assert "1 workspaces" in error["message"]
        api.await_indexes()
        assert len(client.get("/dispatch").json()["data"]) == 1
        finish(api, first["id"])
        dispatch(client, workspaceId=first["workspaceId"])


def test_thirty_dispatches_at_once_make_no_more_workspaces_than_the_tier_keeps(client: httpx.Client) -> None:
    with ThreadPoolExecutor(30) as pool:
        responses = list(pool.map(lambda _: client.post("/dispatch", json=PERSISTENT), range(30)))
    assert sorted(response.status_code for response in responses) == [201] * 10 + [409] * 20
    assert len(client.get("/workspaces").json()["data"]) == 10


def test_whatever_ends_a_workspace_frees_its_place(api: Api) -> None:
    with api.client(api.key(api.tenant(tier="starter"), Scope.DISPATCH, Scope.LIST, Scope.DELETE)) as client:
        made = [dispatch(client) for _ in range(3)]
        refused(client.post("/dispatch", json=PERSISTENT), 409, "CONFLICT")
        row = api.row(made[0]["id"])
        finish(api, row.id)
        assert client.delete(f"/workspaces/{made[0]['workspaceId']}").status_code == 200
        # As DynamoDB deletes expired items: without any write of ours.
        table, expired = api.database.workspaces, f"WORKSPACE#{made[1]['workspaceId']}"
        api.database.delete(table, f"TENANT#{row.tenant_id}", expired, "attribute_exists(pk)")
        with ThreadPoolExecutor(8) as pool:
            responses = list(pool.map(lambda _: client.post("/dispatch", json=PERSISTENT), range(8)))
        assert sorted(response.status_code for response in responses) == [201] * 2 + [409] * 6


def test_the_place_of_a_workspace_that_is_still_kept_is_not_taken(api: Api, client: httpx.Client) -> None:
    kept = dispatch(client)
    row = api.row(kept["id"])
    found = api.stores.workspaces.get(row.tenant_id, kept["workspaceId"])
    ((number, last),) = api.stores.workspaces.places(row.tenant_id).items()
    assert found is not None
    for place in (Place(number), Place(number, last)):
        with pytest.raises(ConflictError):
            api.database.transact(api.stores.workspaces.placing(found.model_copy(update={"id": new_id()}), place))


@pytest.mark.parametrize(
    ("kept", "taken", "free"),
    [
        ([], {}, [0, 1, 2]),
        (["a"], {1: "a"}, [0, 2]),
        (["a"], {0: "gone", 1: "a"}, [0, 2]),
        (["a", "b"], {7: "a", 8: "b"}, [0]),  # of a higher tier
        (["a", "b", "c", "d"], {0: "a", 7: "b", 8: "c", 9: "d"}, []),
        (["a"], {}, [0, 1]),  # of a release without places
    ],
)
def test_as_many_places_are_open_as_the_quota_has_left(kept: list[str], taken: dict[int, str], free: list[int]) -> None:
    at = now()
    workspaces = [
        Workspace(id=id_, tenant_id="t", created_at=at, used_at=at, expires_at=int(at.timestamp())) for id_ in kept
    ]
    assert [place.number for place in open_places(workspaces, taken, QUOTAS["starter"])] == free


def test_a_held_workspace_is_not_deleted_and_a_free_one_is(api: Api, client: httpx.Client) -> None:
    first = dispatch(client)
    path = f"/workspaces/{first['workspaceId']}"
    refused(client.delete(path), 409, "CONFLICT")
    finish(api, first["id"])
    assert client.delete(path).status_code == 200
    refused(client.get(path), 404, "NOT_FOUND")
    refused(client.delete(path), 404, "NOT_FOUND")


def test_a_strangers_workspace_is_like_one_that_is_not_there(client: httpx.Client, stranger: httpx.Client) -> None:
    mine = dispatch(client)["workspaceId"]
    for id_ in (mine, new_id()):
        refused(stranger.get(f"/workspaces/{id_}"), 404, "NOT_FOUND")
        error = refused(stranger.post("/dispatch", json=PERSISTENT | {"workspaceId": id_}), 400, "VALIDATION_ERROR")
        assert fields(error) == {"workspaceId"}
    assert stranger.get("/workspaces").json()["data"] == []


def test_the_list_goes_on_page_by_page_newest_first(client: httpx.Client) -> None:
    made = [dispatch(client)["workspaceId"] for _ in range(3)]
    first = client.get("/workspaces", params={"limit": 2}).json()
    rest = client.get("/workspaces", params={"cursor": first["meta"]["pagination"]["cursor"]}).json()
    assert [w["id"] for w in first["data"] + rest["data"]] == sorted(made, reverse=True)
