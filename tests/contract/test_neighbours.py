"""What one tenant does costs the others nothing: threads, log reads, streams, connections."""

import asyncio
import logging
import socket
import time
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from threading import Event
from urllib.parse import urlsplit

import httpx
import pytest
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from starlette.datastructures import Headers
from starlette.types import Receive, Scope, Send

from control_plane import server
from control_plane.app import create_app
from control_plane.services import streams
from control_plane.signing import Json
from control_plane.threads import SHARE
from control_plane.turns import Turns
from outpost.domain.dispatch import Dispatch
from outpost.domain.ids import new_id
from outpost.domain.tenants import Tenant
from tests.contract.running import Api, refused
from tests.eventually import eventually


@pytest.fixture
def slow_chunks(api: Api, monkeypatch: pytest.MonkeyPatch) -> tuple[Event, list[int]]:
    """Reading a chunk of a log waits for the event; the list has the chunks that were begun."""
    release, begun = Event(), []
    chunk = api.services.logs._artifacts.chunk

    def slow(row: Dispatch, number: int) -> object:
        begun.append(number)
        assert release.wait(60)
        return chunk(row, number)

    monkeypatch.setattr(api.services.logs._artifacts, "chunk", slow)
    return release, begun


def test_a_flood_of_far_log_offsets_leaves_threads_for_another_tenant(
    api: Api, tenant: Tenant, running: Dispatch, stranger: httpx.Client, slow_chunks: tuple[Event, list[int]]
) -> None:
    release, begun = slow_chunks
    api.chunk(running, 1, "a line")
    far = {"logLimit": 1, "logOffset": 99_999_999}
    with ThreadPoolExecutor(34) as pool, api.client(api.key(tenant)) as flooding:
        flood = [pool.submit(flooding.get, f"/dispatch/{running.id}", params=far, timeout=60) for _ in range(34)]
        eventually(lambda: len(begun) == SHARE)
        assert stranger.get("/dispatch", timeout=45).status_code == 200
        assert len(begun) == SHARE
        release.set()
        assert {each.result().status_code for each in flood} == {200}


FLOOD = 200
SOON = 10
"""Requests of another tenant that may be handled during one: its turns at each step, not its flood."""


def test_a_flood_of_the_event_loop_is_passed_by_another_tenants_request(api: Api, tenant: Tenant) -> None:
    """Counted in requests: the machine's speed does not matter. The flood is refused without any call of AWS."""
    app = create_app(api.replica())
    cheap, responded = "/dispatch?limit=0", []

    async def ask(http: httpx.AsyncClient, key: str) -> None:
        refused(await http.get(cheap, headers={"X-API-Key": key}), 400, "VALIDATION_ERROR")
        responded.append(key)

    async def run() -> int:
        flooding, small = api.key(tenant), api.key(api.tenant())
        http = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost")
        async with app.router.lifespan_context(app), http:
            for key in (flooding, small):
                await ask(http, key)  # its look-up is cached
            flood = [asyncio.create_task(ask(http, flooding)) for _ in range(FLOOD)]
            await asyncio.create_task(ask(http, small))
            await asyncio.gather(*flood)
        return responded[2:].index(small)

    assert asyncio.run(run()) < SOON


def test_a_pipelined_request_takes_a_place_of_its_own_tenant(
    api: Api, tenant: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its task begins when the request before it responds, which may be another tenant's, as behind a proxy."""
    placed: list[str] = []
    second, note_request = api.tenant(), Turns._note

    def note(turns: Turns, tenant_id: str) -> None:
        placed.append(tenant_id)
        note_request(turns, tenant_id)

    monkeypatch.setattr(Turns, "_note", note)
    place = urlsplit(api.url)
    requests = [
        f"GET /dispatch HTTP/1.1\r\nHost: x\r\nX-API-Key: {key}\r\nConnection: {connection}\r\n\r\n"
        for key, connection in ((api.key(tenant), "keep-alive"), (api.key(second), "close"))
    ]
    with socket.create_connection((place.hostname, place.port), timeout=20) as connection:
        connection.sendall("".join(requests).encode())
        with connection.makefile("rb") as stream:
            assert stream.read().count(b"HTTP/1.1 200 ") == len(requests)
    assert placed == [tenant.id, second.id]


LIST_TOOLS = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}


def test_a_flood_of_mcp_requests_takes_turns(api: Api, tenant: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    app, key, begun = create_app(api.replica()), api.key(tenant), []
    handle = StreamableHTTPSessionManager.handle_request

    async def run() -> list[int]:
        begins, release = asyncio.Semaphore(0), asyncio.Event()

        async def held(self: StreamableHTTPSessionManager, scope: Scope, receive: Receive, send: Send) -> None:
            if Headers(scope=scope)["x-api-key"] == key:
                begun.append(scope)
                begins.release()
                await release.wait()
            await handle(self, scope, receive, send)

        monkeypatch.setattr(StreamableHTTPSessionManager, "handle_request", held)
        http = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost")
        async with app.router.lifespan_context(app), http, asyncio.timeout(60):
            ask = partial(http.post, "/mcp", json=LIST_TOOLS)
            flood = [asyncio.create_task(ask(headers={"X-API-Key": key})) for _ in range(3 * SHARE)]
            try:
                for _ in range(SHARE):
                    await begins.acquire()
                assert (await ask(headers={"X-API-Key": api.key(api.tenant())})).status_code == 200
                assert len(begun) == SHARE
            finally:
                release.set()
            return [each.status_code for each in await asyncio.gather(*flood)]

    assert asyncio.run(run()) == [200] * 3 * SHARE


def test_bodies_that_come_slowly_hold_no_turn(api: Api, tenant: Tenant) -> None:
    app = create_app(api.replica())

    async def run() -> list[int]:
        begun, release = asyncio.Semaphore(0), asyncio.Event()
        headers = {"X-API-Key": api.key(tenant), "Content-Type": "application/json"}

        async def half_of_a_body() -> AsyncIterator[bytes]:
            yield b'{"agent": '
            begun.release()
            await release.wait()
            yield b"0}"

        http = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost", headers=headers)
        async with app.router.lifespan_context(app), http:
            posts = [asyncio.create_task(http.post("/dispatch", content=half_of_a_body())) for _ in range(SHARE)]
            try:
                async with asyncio.timeout(60):
                    for _ in posts:
                        await begun.acquire()
                    assert (await http.get("/dispatch")).status_code == 200
            finally:
                release.set()
            return [each.status_code for each in await asyncio.gather(*posts)]

    assert asyncio.run(run()) == [400] * SHARE


def test_a_flood_of_artifact_links_leaves_threads_for_another_tenant(
    api: Api, tenant: Tenant, stranger: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    release, begun, dispatch_id = Event(), [], new_id()

    def slow(key: str, _: int) -> str:
        begun.append(key)
        assert release.wait(60)
        return "https://localhost/file"

    monkeypatch.setattr(api.stores.artifacts, "presign", slow)
    grant: Json = {
        "id": new_id(),
        "tenant": tenant.id,
        "attempt": 1,
        "name": "output.log",
        "until": int(time.time()) + 600,
    }
    link = f"/artifacts/{dispatch_id}/download?token={api.services.signer.seal('artifact', (dispatch_id,), grant)}"
    with ThreadPoolExecutor(34) as pool, httpx.Client(base_url=api.url, timeout=120) as flooding:
        flood = [pool.submit(flooding.get, link, timeout=60) for _ in range(34)]
        eventually(lambda: len(begun) == SHARE)
        try:
            assert stranger.get("/dispatch", timeout=45).status_code == 200
            assert len(begun) == SHARE
        finally:
            release.set()
        assert sorted({each.result().status_code for each in flood}) == [307, 401]


def test_a_client_that_hangs_up_frees_its_place(
    api: Api,
    tenant: Tenant,
    running: Dispatch,
    slow_chunks: tuple[Event, list[int]],
    caplog: pytest.LogCaptureFixture,
) -> None:
    release, begun = slow_chunks
    caplog.set_level(logging.INFO)
    place, count = urlsplit(api.url), SHARE + 10
    head = f"GET /dispatch/{running.id}/logs HTTP/1.1\r\nHost: x\r\nX-API-Key: {api.key(tenant)}\r\n\r\n"
    connections = [socket.create_connection((place.hostname, place.port)) for _ in range(count)]
    for connection in connections:
        connection.sendall(head.encode())
    eventually(lambda: len(begun) == SHARE)
    for connection in connections:
        connection.close()
    eventually(lambda: sum("client hung up" in record.message for record in caplog.records) == count)
    release.set()
    with api.client(api.key(tenant)) as client:
        assert client.get(f"/dispatch/{running.id}/logs").status_code == 200
    assert len(begun) == SHARE + 1  # of those that waited for a thread none began


def test_reading_a_log_ends_with_its_budget_and_goes_on_from_there(
    api: Api, client: httpx.Client, running: Dispatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(1, 6):
        api.chunk(running, number, f"line {number}")
    monkeypatch.setattr("control_plane.services.log_reader.READ_SECONDS", -1.0)
    lines, cursor, pages = [], None, 0
    more = True
    while more:
        page = client.get(f"/dispatch/{running.id}/logs", params={"cursor": cursor} if cursor else None).json()
        lines += [line["message"] for line in page["data"]]
        cursor, more = page["meta"]["pagination"]["cursor"], page["meta"]["pagination"]["hasMore"]
        pages += 1
    assert lines == [f"line {number}" for number in range(1, 6)]
    assert pages == 6


def test_a_key_watches_so_many_dispatches_and_another_key_still_may(
    api: Api, tenant: Tenant, running: Dispatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "STREAMS_PER_KEY", 2)
    path = f"/dispatch/{running.id}/events"
    with api.client(api.key(tenant)) as client, api.client(api.key(tenant)) as other:
        with client.stream("GET", path) as one, client.stream("GET", path) as two:
            assert (one.status_code, two.status_code) == (200, 200)
            third = client.get(path)
            refused(third, 429, "RATE_LIMIT_EXCEEDED")
            assert third.headers["Retry-After"] == "10"
            with other.stream("GET", path) as theirs:
                assert theirs.status_code == 200
        eventually(lambda: not api.services.streams._watchers)
        with client.stream("GET", path) as again:
            assert again.status_code == 200


def test_a_replica_serves_so_many_watchers(
    api: Api, client: httpx.Client, running: Dispatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    eventually(lambda: not api.services.streams._watchers)
    monkeypatch.setattr(streams, "STREAMS", 1)
    path = f"/dispatch/{running.id}/events"
    with client.stream("GET", path) as one:
        assert one.status_code == 200
        assert "replica" in refused(client.get(path), 429, "RATE_LIMIT_EXCEEDED")["message"]


HEAD = b"POST /dispatch HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n"


@pytest.mark.parametrize(
    ("sent", "limit"),
    [(b"GET /health/live HTTP/1.1\r\nHost:", "HEAD_SECONDS"), (HEAD + b"\r\n{", "BODY_SECONDS")],
    ids=["head", "body"],
)
def test_a_half_sent_request_ends_at_its_time(
    api: Api, monkeypatch: pytest.MonkeyPatch, sent: bytes, limit: str, tenant: Tenant
) -> None:
    monkeypatch.setattr(server, limit, 0.3)
    place = urlsplit(api.url)
    sent = sent.replace(b"Content-Type", f"X-API-Key: {api.key(tenant)}\r\nContent-Type".encode())
    with socket.create_connection((place.hostname, place.port), timeout=20) as connection:
        connection.sendall(sent)
        with connection.makefile("rb") as stream:
            response = stream.read()
    assert response.startswith(b"HTTP/1.1 408 ")
    assert b"REQUEST_TIMEOUT" in response


def test_a_connection_that_sends_nothing_ends(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "KEEP_ALIVE_SECONDS", 0.3)
    place = urlsplit(api.url)
    with socket.create_connection((place.hostname, place.port), timeout=20) as connection:
        begun = time.monotonic()
        assert b"408" in connection.recv(100)
    assert time.monotonic() - begun < 15


def test_a_slow_but_complete_request_is_served(client: httpx.Client) -> None:
    def body() -> Iterator[bytes]:
        yield b'{"agent": "shell", '
        yield b'"task": "echo hello, world"}'

    response = client.post("/dispatch", content=body(), headers={"Content-Type": "application/json"})
    assert response.status_code == 201
