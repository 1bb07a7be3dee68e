"""Nothing of anybody else's: every route of the OpenAPI document, every kind of foreign id, keys of every scope.

A new route is in the matrix by itself; one with a new kind of id or body fails here until the kind is added below.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from outpost.domain.ids import new_id, now
from outpost.domain.lifecycle import Start
from outpost.domain.tenants import OPERATOR, Scope, Tenant, hash_key, new_key
from tests.contract.running import TASK, Api

REFUSED = {400, 401, 403, 404}
BODIES: dict[str, dict[str, object]] = {
    "CancelRequest": {"reason": "none of yours"},
    "DispatchRequest": {**TASK, "workspaceMode": "persistent"},
    "KeyRequest": {"name": "mine", "scopes": ["admin"]},
    "PromotionRequest": {"branch": "stolen"},
    "ReleaseRequest": {"secrets": ["NPM_TOKEN"], "reason": "read by a stranger"},
    "RotationRequest": {},
    "Suspension": {"cancelRunning": True},
    "SecretRequest": {"value": "overwritten by a stranger"},
    "TenantChange": {"name": "renamed by a stranger"},
    "TenantRequest": {"id": "a-strangers-own", "name": "A stranger's"},
}
"""A good body by its schema."""
IDS = {"dispatch_id": "dispatch", "workspace_id": "workspace", "tenant_id": "tenant", "key_id": "key"}
"""Path parameters that name something of a tenant's, and the kind of it."""
BODY_IDS = {"workspaceId": "workspace"}
NO_IDS = {"modelId"}
"""Fields of bodies that end in Id and name nothing of a tenant's."""


@dataclass(frozen=True)
class Party:
    """A tenant with something of every kind, by kind; and its keys by scope."""

    tenant: Tenant
    ids: dict[str, str]
    keys: dict[str, str]


@dataclass(frozen=True)
class Route:
    """An operation of the document."""

    method: str
    path: str
    operation: dict[str, Any]

    @property
    def parameters(self) -> list[str]:
        return self._named("path")

    @property
    def linked(self) -> bool:
        """Whether a token stands in for the key."""
        return "token" in self._named("query")

    @property
    def body(self) -> str | None:
        content = self.operation.get("requestBody", {}).get("content", {})
        text = json.dumps(content.get("application/json", {}).get("schema", {}))
        return text.partition("#/components/schemas/")[2].partition('"')[0] or None

    def _named(self, place: str) -> list[str]:
        return [found["name"] for found in self.operation.get("parameters", []) if found["in"] == place]


@pytest.fixture(scope="module")
def document(api: Api) -> dict[str, Any]:
    with api.client() as client:
        return dict(client.get("/openapi.json").json())


@pytest.fixture(scope="module")
def routes(document: dict[str, Any]) -> list[Route]:
    return [
        Route(method.upper(), path, operation)
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
    ]


@pytest.fixture(scope="module")
def stranger(api: Api) -> Party:
    return party(api)


def party(api: Api) -> Party:
    """Make a tenant that has a dispatch which has ended, a workspace, a key, a secret and an artifact."""
    tenant = api.tenant(tier="pro")
    keys = {scope: api.key(tenant, scope) for scope in Scope} | {"all": api.key(tenant, *Scope)}
    with api.client(keys["all"]) as client:
        data = client.post("/dispatch", json=TASK | {"workspaceMode": "persistent"}).json()["data"]
        assert client.put(f"/tenants/{tenant.id}/secrets/TOKEN", json={"value": "a tenant's secret"}).is_success
    claimed = api.claim(data["id"])
    assert claimed.lease is not None
    row = api.end(api.advance(data["id"], Start(claimed.lease, now())))
    api.store_object(f"tenants/{tenant.id}/dispatches/{row.id}/{row.attempt}/output.log", "a tenant's output")
    ids = {"dispatch": row.id, "workspace": data["workspaceId"], "tenant": tenant.id, "key": hash_key(keys["status"])}
    return Party(tenant, ids, keys)


def unknown(kind: str) -> str:
    return {"tenant": f"t-{new_id().lower()[:12]}", "key": hash_key(new_key())}.get(kind, new_id())


def token(client: httpx.Client, dispatch_id: str) -> str:
    artifacts = client.get(f"/artifacts/{dispatch_id}").json()["data"]["artifacts"]
    return str(httpx.URL(artifacts[0]["url"]).params["token"])


def send(client: httpx.Client, route: Route, id_: str, token: str) -> httpx.Response:
    """Ask with one id wherever the route takes one."""
    path = route.path.format(**dict.fromkeys(IDS, id_), name="TOKEN")
    query = {"token": token} if route.linked else {}
    body = {"json": BODIES[route.body]} if route.body else {}
    return client.request(route.method, path, params=query, **body)  # type: ignore[arg-type]


def status_and_error(response: httpx.Response) -> tuple[int, object]:
    return response.status_code, response.json()["error"]


def belongings(api: Api, owner: Party) -> object:
    """Return all that a tenant has, as the tables say."""
    database = api.database
    api.await_indexes()
    kept = [
        database.get(database.workspaces, f"TENANT#{owner.tenant.id}", f"WORKSPACE#{owner.ids['workspace']}"),
        api.row(owner.ids["dispatch"]),
        api.stores.tenants.get(owner.tenant.id),
        api.stores.tenants.secrets(owner.tenant.id),
        [key.model_dump(exclude={"last_used_at"}) for key in api.stores.tenants.keys(owner.tenant.id)],
        api.stores.dispatches.page(owner.tenant.id, limit=100),
    ]
    assert all(kept)
    return kept


def test_every_id_and_every_body_of_the_document_is_in_the_matrix(
    routes: list[Route], document: dict[str, Any]
) -> None:
    assert {name for route in routes for name in route.parameters} == {*IDS, "name"}
    bodies = {route.body for route in routes if route.body}
    assert bodies == set(BODIES)
    fields = {name for body in bodies for name in document["components"]["schemas"][body]["properties"]}
    assert {name for name in fields if name.endswith("Id")} == {*BODY_IDS, *NO_IDS}


def test_a_foreign_id_of_any_kind_is_refused_on_every_route_as_an_unknown_one_is(
    api: Api, routes: list[Route], stranger: Party
) -> None:
    owner = party(api)
    before = belongings(api, owner)
    with api.client(stranger.keys["all"]) as client:
        own_token = token(client, stranger.ids["dispatch"])
    seen = 0
    for held, key in stranger.keys.items():
        with api.client(key) as client:
            for route in routes:
                if not set(IDS).intersection(route.parameters):
                    continue
                for kind, id_ in owner.ids.items():
                    foreign = send(client, route, id_, own_token)
                    absent = send(client, route, unknown(kind), own_token)
                    assert foreign.status_code in REFUSED, (held, kind, route.method, route.path, foreign.text)
                    assert status_and_error(foreign) == status_and_error(absent), (held, kind, route.method, route.path)
                    seen += 1
    assert seen > 500
    assert belongings(api, owner) == before


def test_a_foreign_id_in_a_body_is_refused_as_an_unknown_one_is(api: Api, stranger: Party) -> None:
    owner = party(api)
    before = belongings(api, owner)
    with api.client(stranger.keys["all"]) as client:
        for field, kind in BODY_IDS.items():
            ids = owner.ids[kind], unknown(kind)
            foreign, absent = (client.post("/dispatch", json=BODIES["DispatchRequest"] | {field: id_}) for id_ in ids)
            assert foreign.status_code in REFUSED
            # The id itself, which the client has sent, is in the message.
            status, error = status_and_error(foreign)
            assert (status, json.loads(json.dumps(error).replace(*ids))) == status_and_error(absent)
    assert belongings(api, owner) == before


def test_lists_and_figures_show_nothing_of_a_stranger(api: Api, routes: list[Route], stranger: Party) -> None:
    owner = party(api)
    with api.client(stranger.keys["all"]) as client:
        for route in routes:
            if route.method == "GET" and not route.parameters:
                text = client.get(route.path).text
                assert not [id_ for id_ in owner.ids.values() if id_ in text], route.path


@pytest.fixture
def administrator(api: Api) -> Iterator[httpx.Client]:
    with api.client(api.key(OPERATOR, Scope.ADMIN)) as client:
        yield client


def test_the_same_requests_are_good_for_the_owner(api: Api, routes: list[Route], administrator: httpx.Client) -> None:
    """Without this the matrix would prove nothing: it could be the request that is refused, not the stranger."""
    reading = party(api)
    for route in routes:
        kinds = [IDS[name] for name in route.parameters if name in IDS]
        if not kinds:
            continue
        owner = reading if route.method == "GET" else party(api)
        with api.client(owner.keys["all"]) as client:
            mine = token(client, owner.ids["dispatch"])
            asking = administrator if {"tenant", "key"}.intersection(kinds) else client
            response = send(asking, route, owner.ids[kinds[0]], mine)
        assert response.status_code not in REFUSED, (route.method, route.path, response.text)
        assert response.status_code < 500, (route.method, route.path, response.text)
