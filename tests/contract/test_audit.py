"""The audit log of calls: one record for each authenticated request, without payloads, off the requests' path."""

import asyncio
import json
from threading import Event
from typing import Any

import boto3
import httpx
import pytest
from botocore.exceptions import EndpointConnectionError
from structlog.testing import CapturingLogger

from control_plane import audit
from control_plane.app import create_app
from control_plane.audit import AuditLog
from control_plane.threads import THREADS
from outpost.cli.audit import records
from outpost.domain.tenants import Scope, Tenant
from tests.contract.running import TASK, Api

pytestmark = pytest.mark.usefixtures("environment")


def recorded(api: Api, environment: dict[str, str], **wanted: str) -> list[dict[str, Any]]:
    api.services.audit.flush()
    return list(records(boto3.client("logs"), environment["OUTPOST_AUDIT_LOG_GROUP"], 0, wanted))


def test_a_stop_writes_what_was_recorded_although_every_thread_hangs_in_a_call(api: Api) -> None:
    release, services = Event(), api.replica(audit=AuditLog.from_environment())
    app = create_app(services)

    async def serve_and_stop() -> int:
        async with app.router.lifespan_context(app):
            loop = asyncio.get_running_loop()
            hanging = [loop.run_in_executor(None, release.wait, 60) for _ in range(THREADS)]
            services.audit.record(audit="call", request_id="the last one")
        waiting = services.audit._records.unfinished_tasks
        assert not any(call.done() for call in hanging)
        release.set()
        return waiting

    assert asyncio.run(serve_and_stop()) == 0


def test_each_call_is_recorded_with_who_what_outcome_and_request(
    api: Api, environment: dict[str, str], tenant: Tenant
) -> None:
    key = api.key(tenant)
    with api.client(key) as client:
        created = client.post("/dispatch", json=TASK | {"tags": {"private": "payload"}})
        id_ = created.json()["data"]["id"]
        refused = client.get("/tenants")
        client.delete(f"/dispatch/{id_}", headers={"X-Request-ID": "mine-1"})
    found = recorded(api, environment, tenant=tenant.id)
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
        (["203.0.113.7, " + "x" * 15_000], "127.0.0.1"),
        (["fe80::1%" + "x" * 15_000], "127.0.0.1"),
        ([""], "127.0.0.1"),
        ([], "127.0.0.1"),
    ],
)
def test_a_call_is_recorded_with_the_address_that_the_load_balancer_appended(
    api: Api, environment: dict[str, str], tenant: Tenant, forwarded: list[str], address: str
) -> None:
    """What comes before it is the client's own text, in whatever header."""
    forged = [("Forwarded", "for=8.8.8.8"), ("X-Real-IP", "8.8.8.8"), ("X-Forwarded-Host", "evil.example.com")]
    headers = [*forged, *(("X-Forwarded-For", value) for value in forwarded)]
    with api.client(api.key(tenant)) as client:
        client.get("/dispatch", headers=headers)
    assert [each["client"] for each in recorded(api, environment, tenant=tenant.id)] == [address]


def test_a_tool_call_is_recorded_with_the_address_of_its_client(
    api: Api, environment: dict[str, str], tenant: Tenant
) -> None:
    call = {"name": "outpost_list_runs", "arguments": {}}
    message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": call}
    with api.client(api.key(tenant)) as client:
        headers = {"X-Forwarded-For": "8.8.8.8, 203.0.113.7", "Accept": "application/json, text/event-stream"}
        assert client.post("/mcp", json=message, headers=headers).status_code == 200
    found = recorded(api, environment, tenant=tenant.id)
    assert [each["route"] for each in found] == ["/dispatch", "/mcp"]
    assert {each["client"] for each in found} == {"203.0.113.7"}


def test_who_is_not_known_is_not_recorded(api: Api, environment: dict[str, str]) -> None:
    with api.client() as client:
        client.get("/health")
        client.get("/dispatch", headers={"X-Request-ID": "nobody-1"})
    assert recorded(api, environment, request_id="nobody-1") == []


def test_a_secret_is_recorded_by_its_name(api: Api, environment: dict[str, str], tenant: Tenant) -> None:
    with api.client(api.key(tenant, Scope.ADMIN)) as client:
        client.put(f"/tenants/{tenant.id}/secrets/NPM_TOKEN", json={"value": "the-value-itself"})
    [record] = recorded(api, environment, tenant=tenant.id)
    assert record["what"] == {"tenant_id": tenant.id, "name": "NPM_TOKEN"}
    assert "the-value-itself" not in json.dumps(record)


def test_records_wait_for_cloudwatch_logs_and_delay_nobody(
    api: Api, environment: dict[str, str], tenant: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    audit = api.services.audit
    real, tries = audit._client, []

    class Failing:
        def __getattr__(self, operation: str) -> Any:  # noqa: ANN401 - any operation
            def call(**_: object) -> None:
                tries.append(operation)
                raise EndpointConnectionError(endpoint_url="http://x")

            return getattr(real, operation) if len(tries) >= 2 else call

    monkeypatch.setattr(audit, "_client", Failing())
    with api.client(api.key(tenant)) as client:
        assert client.get("/dispatch", headers={"X-Request-ID": "late-1"}).status_code == 200
    assert len(recorded(api, environment, request_id="late-1")) == 1
    assert len(tries) == 2


def test_a_lost_record_is_told_in_the_services_log(
    client: httpx.Client, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = CapturingLogger()
    monkeypatch.setattr(audit, "logger", log)
    monkeypatch.setattr(api.services.audit._records, "maxsize", 1)
    monkeypatch.setattr(api.services.audit._records, "_qsize", lambda: 1)
    client.get("/dispatch", headers={"X-Request-ID": "lost-1"})
    told = [call for call in log.calls if "lost-1" in str(call.kwargs)]
    assert len(told) == 1
    assert "an audit record is lost" in told[0].args[0]
