"""Live events: each once, in order, resumable anywhere; many watchers cost what one costs."""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Generator
from contextlib import aclosing
from typing import Any

import httpx
import pytest
from httpx_sse import ServerSentEvent, aconnect_sse, connect_sse

from control_plane.routes import watching
from outpost.domain.dispatch import Dispatch, Status
from outpost.domain.ids import now
from outpost.domain.lifecycle import Cancel, Lose, Start
from outpost.domain.reasons import Reason, ReasonCode
from outpost.domain.tenants import Tenant, hash_key
from outpost_client import Client
from outpost_client.models import LogLine
from tests.contract.running import TASK, Api, fields, refused

Seen = tuple[str, str]


def seen(event: ServerSentEvent) -> Seen:
    data = event.json()
    return event.event, data["status"] if event.event == "status" else data["message"]


def watch(client: httpx.Client, id_: str, last: str | None = None) -> Generator[ServerSentEvent]:
    headers = {"Last-Event-ID": last} if last else {}
    with connect_sse(client, "GET", f"/dispatch/{id_}/events", headers=headers) as source:
        assert source.response.status_code == 200, source.response.read()
        yield from source.iter_sse()


def begin(api: Api, row: Dispatch) -> Dispatch:
    claimed = api.claim(row.id, f"worker-{row.attempt + 1}")
    assert claimed.lease is not None
    return api.advance(row.id, Start(claimed.lease, now()))


def test_a_watcher_is_told_each_state_and_line_as_it_comes(api: Api, client: httpx.Client, id_: str) -> None:
    events = watch(client, id_)
    assert seen(next(events)) == ("status", "pending")
    row = begin(api, api.row(id_))
    assert seen(next(events)) == ("status", "running")
    api.chunk(row, 1, "one", "two")
    assert [seen(next(events)) for _ in range(2)] == [("log", "one"), ("log", "two")]
    api.chunk(row, 2, "three")
    api.end(row)
    assert [seen(event) for event in events] == [("log", "three"), ("status", "success")]


def test_the_last_event_shows_the_dispatch_as_the_api_does(api: Api, client: httpx.Client, running: Dispatch) -> None:
    api.end(running)
    *_, last = watch(client, running.id)
    shown = client.get(f"/dispatch/{running.id}").json()["data"]
    assert last.json() == {name: value for name, value in shown.items() if name in last.json()}
    assert last.json()["reason"]["code"] == "COMPLETED"


def test_resuming_after_any_event_gives_exactly_what_followed_it(
    api: Api, client: httpx.Client, running: Dispatch
) -> None:
    api.chunk(running, 1, "one", "two", "three")
    api.chunk(running, 2, "four")
    api.chunk(running, 3, "five", "six")
    api.end(running)
    whole = list(watch(client, running.id))
    assert [seen(event) for event in whole] == [
        *(("log", message) for message in ("one", "two", "three", "four", "five", "six")),
        ("status", "success"),
    ]
    for number, event in enumerate(whole[:-1], 1):
        rest = list(watch(client, running.id, event.id))
        assert [(each.id, each.data) for each in rest] == [(each.id, each.data) for each in whole[number:]]
    path = f"/dispatch/{running.id}/events"
    assert client.get(path, headers={"Last-Event-ID": whole[-1].id}).status_code == 204


def test_a_live_stream_resumes_without_repeating_the_state(api: Api, client: httpx.Client, running: Dispatch) -> None:
    api.chunk(running, 1, "one")
    first = watch(client, running.id)
    assert [seen(next(first)) for _ in range(2)] == [("status", "running"), ("log", "one")]
    first.close()
    place = next(watch(client, running.id)).id
    api.chunk(running, 2, "two")
    api.end(running)
    assert [seen(event) for event in watch(client, running.id, place)] == [
        ("log", "one"),
        ("log", "two"),
        ("status", "success"),
    ]


def test_a_second_attempt_follows_on_the_whole_log_of_the_first(api: Api, client: httpx.Client, id_: str) -> None:
    id_ = client.post("/dispatch", json=TASK | {"retryable": True}).json()["data"]["id"]
    first = begin(api, api.row(id_))
    api.chunk(first, 1, "first")
    events = watch(client, id_)
    assert [seen(next(events)) for _ in range(2)] == [("status", "running"), ("log", "first")]
    assert first.lease is not None
    api.chunk(first, 2, "last words")
    api.advance(id_, Lose(first.lease, Reason.of(ReasonCode.WORKER_LOST, "Gone."), now()))
    second = begin(api, api.row(id_))
    api.chunk(second, 1, "second")
    api.end(second)
    rest = [seen(event) for event in events]
    assert [message for kind, message in rest if kind == "log"] == ["last words", "second"]
    assert rest[-1] == ("status", "success")


def test_a_silence_is_broken_by_comments(
    client: httpx.Client, running: Dispatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "SILENCE_SECONDS", 0)
    with client.stream("GET", f"/dispatch/{running.id}/events") as response:
        assert response.headers["Content-Type"].startswith("text/event-stream")
        assert next(line for line in response.iter_lines() if line.startswith(":"))


def test_a_follower_takes_no_comment_for_an_event(
    api: Api, tenant: Tenant, running: Dispatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "SILENCE_SECONDS", 0)
    with Client(api.url, api.key(tenant)) as follower:
        events = (each.message if isinstance(each, LogLine) else each.status for each in follower.watch(running.id))
        assert next(events) == Status.RUNNING
        api.chunk(running, 1, "after a silence")
        assert next(events) == "after a silence"
        api.end(running)
        assert list(events) == [Status.SUCCESS]


@pytest.mark.parametrize("place", ["x", "1.1.1", "1.1.1.asleep", "-1.1.1.", "1" * 100])
def test_a_place_that_was_never_given_out_is_refused(client: httpx.Client, id_: str, place: str) -> None:
    response = client.get(f"/dispatch/{id_}/events", headers={"Last-Event-ID": place})
    assert fields(refused(response, 400, "VALIDATION_ERROR")) == {"Last-Event-ID"}


def test_a_place_beyond_the_log_ends_with_the_dispatch(api: Api, client: httpx.Client, running: Dispatch) -> None:
    api.chunk(running, 1, "one")
    api.end(running)
    for place in ("1.1.77.running", "1.900.0.running", "9.1.0.running"):
        assert [seen(event) for event in watch(client, running.id, place)] == [("status", "success")]


def test_a_stream_ends_with_the_key_that_opened_it(api: Api, tenant: Tenant, running: Dispatch) -> None:
    text = api.key(tenant)
    with api.client(text) as client:
        events = watch(client, running.id)
        assert seen(next(events)) == ("status", "running")
        api.stores.tenants.change_key(hash_key(text), status="revoked")
        api.services.authenticator.forget()
        assert list(events) == []


def test_two_hundred_watchers_cost_one_poller(api: Api, tenant: Tenant, running: Dispatch) -> None:
    key = api.key(tenant)

    async def watcher(client: httpx.AsyncClient) -> AsyncGenerator[Any]:
        async with aconnect_sse(client, "GET", f"/dispatch/{running.id}/events") as source:
            async for event in source.aiter_sse():
                yield seen(event)

    async def together() -> Counter[str]:
        limits = httpx.Limits(max_connections=None)
        headers = {"X-API-Key": key}
        async with httpx.AsyncClient(base_url=api.url, headers=headers, limits=limits, timeout=60) as client:
            streams = [watcher(client) for _ in range(200)]
            first = await asyncio.gather(*(anext(stream) for stream in streams))
            assert set(first) == {("status", "running")}
            assert api.services.streams._streams[running.id][0].watchers == 200  # other tests' may not have ended yet
            before = Counter(api.calls.made)
            api.chunk(running, 1, "one")
            api.end(running)
            for stream in streams:
                async with aclosing(stream):
                    assert [event async for event in stream] == [("log", "one"), ("status", "success")]
            return Counter(api.calls.made) - before

    made = asyncio.run(together())
    # Besides the test's own: a read of the row each time, the chunk, and the one after it each time.
    assert made["dynamodb.GetItem"] < 30
    assert made["s3.GetObject"] < 30
    assert api.calls.on_loop == []


def test_our_client_goes_on_where_its_connection_was_lost(api: Api, tenant: Tenant, running: Dispatch) -> None:
    api.chunk(running, 1, "one", "two")
    events: list[str] = []
    with Client(api.url, api.key(tenant)) as client:
        for event in client.watch(running.id):
            events.append(event.message if isinstance(event, LogLine) else event.status)
            if events[-1] == "one":
                api.services.streams.closing = True  # as at the end of a replica: streams end
            if events[-1] == "two":
                api.services.streams.closing = False
                api.chunk(running, 2, "three")
                api.end(running)
    assert events == ["running", "one", "two", "three", "success"]


def test_where_events_do_not_get_through_our_client_looks_again_and_again(
    api: Api, tenant: Tenant, running: Dispatch
) -> None:
    api.chunk(running, 1, "one")
    api.end(running)

    class Buffering(httpx.HTTPTransport):
        def handle_request(self, request: httpx.Request) -> httpx.Response:
            if request.url.path.endswith("/events"):
                raise httpx.ReadTimeout("nothing comes")
            return super().handle_request(request)

    with Client(api.url, api.key(tenant), transport=Buffering()) as client:
        events = [event.message if isinstance(event, LogLine) else event.status for event in client.watch(running.id)]
    assert events == ["one", "success"]


def test_a_vanished_watcher_leaves_nothing_behind(api: Api, client: httpx.Client, running: Dispatch) -> None:
    events = watch(client, running.id)
    next(events)
    assert running.id in api.services.streams._streams
    events.close()
    other = watch(client, client.post("/dispatch", json=TASK).json()["data"]["id"])
    next(other)
    id_ = next(id_ for id_ in api.services.streams._streams if id_ != running.id)
    api.advance(id_, Cancel(None, now()))
    assert [seen(event) for event in other] == [("status", Status.CANCELLED)]
    assert running.id not in api.services.streams._streams


def test_a_watcher_that_takes_nothing_is_let_go_and_costs_the_others_nothing(
    api: Api, client: httpx.Client, running: Dispatch, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(watching, "STUCK_SECONDS", 0.5)
    caplog.set_level("INFO")
    for number in range(1, 9):
        api.chunk(running, number, *("x" * 100_000 for _ in range(10)))
    with client.stream("GET", f"/dispatch/{running.id}/events") as stuck:  # and reads nothing
        assert stuck.status_code == 200
        other = watch(client, running.id)
        assert [seen(next(other))[0] for _ in range(81)] == ["status", *["log"] * 80]
        stream, _ = api.services.streams._streams[running.id]
        while stream.watchers > 1:
            assert client.get("/health/live").status_code == 200
        while "let go: it took nothing" not in caplog.text:
            assert client.get("/health/live").status_code == 200
    assert not [record for record in caplog.records if record.levelname == "ERROR"]
