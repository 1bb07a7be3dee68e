"""The audit log of calls: one record for each authenticated request, without payloads, off the requests' path."""

import asyncio
import json
from dataclasses import replace
from threading import Event

import httpx
import pytest

from control_plane.app import create_app
from control_plane.threads import THREADS
from outpost.domain.tenants import Scope, Tenant
from tests.contract.running import TASK, Api, serve

pytestmark = pytest.mark.usefixtures("environment")


def test_a_stop_writes_what_was_recorded_although_every_thread_hangs_in_a_call(api: Api) -> None:
    release, services = Event(), api.replica()
    app = create_app(services)

    async def serve_and_stop() -> int:
        async with app.router.lifespan_context(app):
            loop = asyncio.get_running_loop()
            hanging = [loop.run_in_executor(None, release.wait, 60) for _ in range(THREADS)]
            services.audit.record(audit="call", request_id="the last one")
        waiting = services.audit.waiting
        assert not any(call.done() for call in hanging)
        release.set()
        return waiting

    assert asyncio.run(serve_and_stop()) == 0


def test_each_call_is_recorded_with_who_what_outcome_and_request(api: Api, tenant: Tenant) -> None:
    key = api.key(tenant)
    with api.client(key) as client:
        created = client.post("/dispatch", json=TASK | {"tags": {"private": "payload"}})
        id_ = created.json()["data"]["id"]
        refused = client.get("/tenants")
        client.delete(f"/dispatch/{id_}", headers={"X-Request-ID": "mine-1"})
    found = api.records(tenant=tenant.id)
    assert [(each["method"], each["route"], each["status"], each["outcome"]) for each in found] == [
        ("POST", "/dispatch", 201, "done"),
        ("GET", "/tenants", 403, "refused"),
        ("DELETE", "/dispatch/{dispatch_id}", 200, "done"),
    ]
    assert {each["key"] for each in found} == {key[:12]}
    assert [each["request_id"] for each in found] == [
        created.headers["X-Request-ID"],
        refused.headers["X-Request-ID"],
        "mine-1",
    ]
    assert found[2]["what"] == {"dispatch_id": id_}
    assert "payload" not in json.dumps(found)
    assert key not in json.dumps(found)


@pytest.mark.parametrize(
    ("forwarded", "address"),
    [
        (["203.0.113.7"], "203.0.113.7"),
        (["8.8.8.8, 203.0.113.7"], "203.0.113.7"),
        (["8.8.8.8", "9.9.9.9 , 203.0.113.7"], "203.0.113.7"),
        (["x" * 15_000 + ", 203.0.113.7"], "203.0.113.7"),
        (["8.8.8.8, [2001:DB8::7]"], "2001:db8::7"),
        (["2001:db8::7"], "2001:db8::7"),
        (["8.8.8.8, 203.0.113.7:51234"], "203.0.113.7"),
        (["8.8.8.8:1, [2001:db8::7]:51234"], "2001:db8::7"),
        (["8.8.8.8, 203.0.113.7:"], "127.0.0.1"),
        (["8.8.8.8,"], "127.0.0.1"),
        (["8.8.8.8, unknown"], "127.0.0.1"),
        (["8.8.8.8, fe80::1%eth0"], "127.0.0.1"),
        (["203.0.113.7, " + "x" * 15_000], "127.0.0.1"),
        (["fe80::1%" + "x" * 15_000], "127.0.0.1"),
        ([""], "127.0.0.1"),
        ([], "127.0.0.1"),
    ],
)
def test_a_call_is_recorded_with_the_address_that_the_load_balancer_appended(
    api: Api, tenant: Tenant, forwarded: list[str], address: str
) -> None:
    """What comes before it is the client's own text, in whatever header."""
    forged = [("Forwarded", "for=8.8.8.8"), ("X-Real-IP", "8.8.8.8"), ("X-Forwarded-Host", "evil.example.com")]
    headers = [*forged, *(("X-Forwarded-For", value) for value in forwarded)]
    with api.client(api.key(tenant)) as client:
        client.get("/dispatch", headers=headers)
    assert [each["client"] for each in api.records(tenant=tenant.id)] == [address]


@pytest.mark.parametrize(
    ("proxies", "forwarded", "address"),
    [
        (0, "203.0.113.7", "127.0.0.1"),
        (2, "8.8.8.8, 203.0.113.7, 198.51.100.2", "203.0.113.7"),
        (2, "203.0.113.7, 198.51.100.2", "203.0.113.7"),
        (2, "198.51.100.2", "127.0.0.1"),
    ],
)
def test_how_many_proxies_there_are_is_configured(
    api: Api, tenant: Tenant, proxies: int, forwarded: str, address: str
) -> None:
    """Without a load balancer nobody appends: the peer is the client. Behind a CDN its load balancer is the second."""
    key = api.key(tenant)
    with serve(api.replica(settings=replace(api.services.settings, proxies=proxies))) as (url, _):
        httpx.get(f"{url}/dispatch", headers={"X-API-Key": key, "X-Forwarded-For": forwarded}, timeout=120)
    assert [each["client"] for each in api.records(tenant=tenant.id)] == [address]


def test_a_tool_call_is_recorded_with_the_address_of_its_client(api: Api, tenant: Tenant) -> None:
    call = {"name": "outpost_list_runs", "arguments": {}}
    message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": call}
    with api.client(api.key(tenant)) as client:
        headers = {"X-Forwarded-For": "8.8.8.8, 203.0.113.7", "Accept": "application/json, text/event-stream"}
        assert client.post("/mcp", json=message, headers=headers).status_code == 200
    found = api.records(tenant=tenant.id)
    assert [each["route"] for each in found] == ["/dispatch", "/mcp"]
    assert {each["client"] for each in found} == {"203.0.113.7"}


def test_who_is_not_known_is_not_recorded(api: Api) -> None:
    with api.client() as client:
        client.get("/health")
        client.get("/dispatch", headers={"X-Request-ID": "nobody-1"})
    assert api.records(request_id="nobody-1") == []


def test_a_secret_is_recorded_by_its_name(api: Api, tenant: Tenant) -> None:
    with api.client(api.key(tenant, Scope.ADMIN)) as client:
        client.put(f"/tenants/{tenant.id}/secrets/NPM_TOKEN", json={"value": "the-value-itself"})
    [record] = api.records(tenant=tenant.id)
    assert record["what"] == {"tenant_id": tenant.id, "name": "NPM_TOKEN"}
    assert "the-value-itself" not in json.dumps(record)
