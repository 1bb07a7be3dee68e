"""Who may do what: keys, scopes, suspended tenants, and nothing of anybody else's."""

from collections.abc import Callable
from datetime import timedelta

import httpx
import pytest

from control_plane import auth
from control_plane.auth import Authenticator
from outpost.domain.ids import new_id, now
from outpost.domain.tenants import OPERATOR, Scope, hash_key, new_key
from tests.contract.running import TASK, Api, refused


@pytest.mark.parametrize(
    "headers", [{}, {"Authorization": "Basic eDp5"}, {"Authorization": "Bearer"}, {"X-API-Key": ""}]
)
def test_a_request_without_a_key_is_told_how_to_send_one(api: Api, headers: dict[str, str]) -> None:
    with api.client() as client:
        response = client.get("/dispatch", headers=headers)
    assert "X-API-Key" in refused(response, 401, "AUTHENTICATION_ERROR")["message"]
    assert response.headers["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize(
    "key", ["otp_short", "otp_" + "G" * 64, "otp_" + "A" * 64, "sk-" + "0" * 64, "otp_" + "a" * 65]
)
def test_a_malformed_key_is_refused_without_a_look_up(api: Api, key: str) -> None:
    before = api.calls.made.total()
    with api.client(key) as client:
        refused(client.get("/dispatch"), 401, "AUTHENTICATION_ERROR")
    assert api.calls.made.total() == before


def test_an_unknown_key_is_refused_and_looked_up_once(api: Api) -> None:
    before = api.calls.made.total()
    with api.client(new_key()) as client:
        for _ in range(5):
            refused(client.get("/dispatch"), 401, "AUTHENTICATION_ERROR")
    assert api.calls.made.total() == before + 1


def test_a_key_is_taken_from_either_header(api: Api) -> None:
    key = api.key(api.tenant())
    with api.client() as client:
        assert client.get("/dispatch", headers={"X-API-Key": key}).status_code == 200
        assert client.get("/dispatch", headers={"Authorization": f"Bearer {key}"}).status_code == 200
        assert client.get("/dispatch", headers={"Authorization": f"bearer  {key}"}).status_code == 200


def test_an_expired_key_opens_nothing(api: Api) -> None:
    with api.client(api.key(api.tenant(), expires=now() - timedelta(seconds=1))) as client:
        refused(client.get("/dispatch"), 401, "AUTHENTICATION_ERROR")


def test_a_key_ends_at_its_time_although_its_look_up_is_cached(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    with api.client(api.key(api.tenant(), expires=now() + timedelta(hours=1))) as client:
        assert client.get("/dispatch").status_code == 200
        monkeypatch.setattr(auth, "now", lambda: now() + timedelta(hours=2))
        refused(client.get("/dispatch"), 401, "AUTHENTICATION_ERROR")


def test_a_suspended_tenants_key_is_authentic_but_may_nothing(api: Api) -> None:
    with api.client(api.key(api.tenant(status="suspended"))) as client:
        refused(client.get("/dispatch"), 403, "AUTHORIZATION_ERROR")


def calls_by_scope(id_: str) -> dict[Scope, Callable[[httpx.Client], httpx.Response]]:
    return {
        Scope.DISPATCH: lambda client: client.post("/dispatch", json=TASK),
        Scope.LIST: lambda client: client.get("/dispatch"),
        Scope.STATUS: lambda client: client.get(f"/dispatch/{id_}"),
        Scope.CANCEL: lambda client: client.delete(f"/dispatch/{id_}"),
    }


@pytest.mark.parametrize("held", calls_by_scope(""))
def test_a_key_may_what_its_scopes_say_and_nothing_else(api: Api, held: Scope) -> None:
    tenant = api.tenant()
    with api.client(api.key(tenant)) as client:
        id_ = client.post("/dispatch", json=TASK).json()["data"]["id"]
    with api.client(api.key(tenant, held)) as client:
        for scope, call in calls_by_scope(id_).items():
            response = call(client)
            if scope is held:
                assert response.is_success, response.text
            else:
                assert scope in refused(response, 403, "AUTHORIZATION_ERROR")["message"]


def test_admin_implies_every_scope_within_the_tenant(api: Api) -> None:
    with api.client(api.key(api.tenant(), Scope.ADMIN)) as client:
        id_ = client.post("/dispatch", json=TASK).json()["data"]["id"]
        assert all(call(client).is_success for call in calls_by_scope(id_).values())


def test_only_an_admin_key_of_the_operator_administers_tenants(api: Api) -> None:
    for key in (api.key(api.tenant(), Scope.ADMIN), api.key(OPERATOR, Scope.LIST)):
        with api.client(key) as client:
            refused(client.get("/tenants"), 403, "AUTHORIZATION_ERROR")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/dispatch/{id}"),
        ("GET", "/dispatch/{id}?logLimit=5"),
        ("GET", "/dispatch/{id}/logs"),
        ("DELETE", "/dispatch/{id}"),
        ("GET", "/artifacts/{id}"),
    ],
)
def test_a_foreign_id_an_unknown_id_and_a_malformed_id_give_the_same_answer(
    client: httpx.Client, stranger: httpx.Client, method: str, path: str
) -> None:
    foreign = stranger.post("/dispatch", json=TASK).json()["data"]["id"]
    responses = [
        client.request(method, path.format(id=id_)) for id_ in (foreign, new_id(), "not-an-id", foreign.lower())
    ]
    assert len({str(refused(response, 404, "NOT_FOUND")) for response in responses}) == 1
    assert stranger.get(f"/dispatch/{foreign}").json()["data"]["status"] == "pending"


def test_the_operator_does_not_see_its_tenants_dispatches(operator: httpx.Client, client: httpx.Client) -> None:
    id_ = client.post("/dispatch", json=TASK).json()["data"]["id"]
    refused(operator.get(f"/dispatch/{id_}"), 404, "NOT_FOUND")


def test_look_ups_are_cached_for_less_than_thirty_seconds() -> None:
    assert 0 < auth.CACHE_SECONDS < 30


def test_a_flood_of_unknown_keys_evicts_no_known_one(api: Api) -> None:
    key = api.key(api.tenant())
    with api.client(key) as client:
        client.get("/dispatch")
    authenticator: Authenticator = api.services.authenticator
    for number in range(auth.CACHE_ENTRIES + 10):
        authenticator._unknown[hash_key(str(number))] = True
    assert hash_key(key) in authenticator._known
    assert len(authenticator._unknown) <= auth.CACHE_ENTRIES
