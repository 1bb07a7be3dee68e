"""A dispatch as its client follows it: status, queue position, cancelling and logs."""

from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest

from control_plane.services import log_reader
from outpost.domain.dispatch import Dispatch
from outpost.domain.ids import now
from outpost.domain.lifecycle import Lose, Progress, Start
from outpost.domain.reasons import Reason, ReasonCode
from outpost.domain.tenants import Overrides, Tenant
from tests.contract.running import TASK, Api, fields, refused


def status(client: httpx.Client, id_: str, query: str = "") -> dict[str, Any]:
    response = client.get(f"/dispatch/{id_}?{query}")
    assert response.status_code == 200, response.text
    return dict(response.json()["data"])


def test_the_status_tells_every_state_with_its_time(api: Api, client: httpx.Client, id_: str) -> None:
    assert status(client, id_)["provisioningAt"] is None
    row = api.claim(id_)
    assert row.lease is not None
    assert status(client, id_)["status"] == "provisioning"
    row = api.advance(id_, Start(row.lease, now()), Progress(row.lease, "half way"))
    seen = status(client, id_)
    assert (seen["status"], seen["progress"], seen["attempt"], seen["queuePosition"]) == (
        "running",
        "half way",
        1,
        None,
    )
    api.end(row)
    seen = status(client, id_)
    assert (seen["status"], seen["exitCode"]) == ("success", 0)
    assert seen["reason"] == {"code": "COMPLETED", "message": "Done.", "remedy": "Nothing to do."}
    assert seen["usage"] == {
        "durationSeconds": 1.5,
        "inputTokens": 3,
        "cachedInputTokens": 0,
        "outputTokens": 4,
        "modelCalls": 0,
        "modelCostUsd": None,
        "vcpuSeconds": 0.5,
        "gbSeconds": 0.0,
        "capacity": "spot",
    }
    times = [seen[f"{name}At"] for name in ("created", "queued", "provisioning", "running", "completing", "ended")]
    assert times == sorted(times)
    assert all(time.endswith("Z") for time in times)


def test_nothing_internal_is_shown(client: httpx.Client, running: Dispatch, tenant: Tenant) -> None:
    text = client.get(f"/dispatch/{running.id}").text
    assert not any(word in text for word in ("worker-1", "workerId", "slot", "version", tenant.id))


def test_pending_dispatches_tell_their_place_in_the_queue(client: httpx.Client) -> None:
    ids = sorted(client.post("/dispatch", json=TASK).json()["data"]["id"] for _ in range(3))
    assert [status(client, id_)["queuePosition"] for id_ in ids] == [1, 2, 3]
    client.delete(f"/dispatch/{ids[0]}")
    assert [status(client, id_)["queuePosition"] for id_ in ids] == [None, 1, 2]


def test_the_expected_start_follows_from_the_place_and_how_long_dispatches_ran(api: Api) -> None:
    tenant = api.tenant(overrides=Overrides(concurrent=1))
    with api.client(api.key(tenant)) as client:
        first = client.post("/dispatch", json=TASK).json()["data"]["id"]
        assert status(client, first)["expectedStartAt"] is None
        row = api.claim(first)
        assert row.lease is not None
        began = now() - timedelta(seconds=100)
        api.end(api.advance(first, Start(row.lease, began)))
        api.services.dispatches.start_estimator._throughputs.clear()
        api.await_indexes()
        ids = [client.post("/dispatch", json=TASK).json()["data"]["id"] for _ in range(3)]
        asked = now()
        starts = [datetime.fromisoformat(status(client, id_)["expectedStartAt"]) for id_ in ids]
    assert [round((start - asked).total_seconds() / 100) for start in starts] == [0, 1, 2]


def test_places_beyond_a_hundred_are_not_counted(client: httpx.Client) -> None:
    ids = sorted(client.post("/dispatch", json=TASK).json()["data"]["id"] for _ in range(101))
    assert [status(client, id_)["queuePosition"] for id_ in ids[99:]] == [100, None]


# Cancelling


def test_a_pending_dispatch_is_cancelled_at_once(client: httpx.Client, id_: str) -> None:
    response = client.request("DELETE", f"/dispatch/{id_}", json={"reason": "wrong branch"})
    assert response.json()["data"]["status"] == "cancelled"
    reason = status(client, id_)["reason"]
    assert (reason["code"], reason["message"]) == ("CANCELLED_BY_USER", "Cancelled: wrong branch")


def test_a_running_dispatch_is_asked_to_stop_and_asking_again_changes_nothing(
    api: Api, client: httpx.Client, running: Dispatch
) -> None:
    first = client.request("DELETE", f"/dispatch/{running.id}", json={"reason": "first"}).json()["data"]
    again = client.request("DELETE", f"/dispatch/{running.id}", json={"reason": "second"}).json()["data"]
    assert first["status"] == "running"
    assert first["cancelRequestedAt"]
    assert first == again
    assert api.row(running.id).cancel_reason == "first"


def test_a_dispatch_that_has_ended_cannot_be_cancelled(api: Api, client: httpx.Client, running: Dispatch) -> None:
    api.end(running)
    refused(client.delete(f"/dispatch/{running.id}"), 409, "CONFLICT")
    assert status(client, running.id)["status"] == "success"


def test_a_cancelled_dispatch_cannot_be_cancelled_again(client: httpx.Client, id_: str) -> None:
    assert client.delete(f"/dispatch/{id_}").status_code == 200
    refused(client.delete(f"/dispatch/{id_}"), 409, "CONFLICT")


@pytest.mark.parametrize(("body", "field"), [({"reason": "x" * 501}, "reason"), ({"why": "x"}, "why")])
def test_a_bad_reason_is_refused_by_name(client: httpx.Client, id_: str, body: dict[str, str], field: str) -> None:
    response = client.request("DELETE", f"/dispatch/{id_}", json=body)
    assert fields(refused(response, 400, "VALIDATION_ERROR")) == {field}
    assert status(client, id_)["status"] == "pending"


# Logs


def logs(client: httpx.Client, id_: str, query: str = "") -> tuple[list[str], str, bool]:
    response = client.get(f"/dispatch/{id_}/logs?{query}")
    assert response.status_code == 200, response.text
    body = response.json()
    pagination = body["meta"]["pagination"]
    return [line["message"] for line in body["data"]], pagination["cursor"], pagination["hasMore"]


def test_a_dispatch_that_nobody_claimed_has_no_log_yet(client: httpx.Client, id_: str) -> None:
    lines, cursor, more = logs(client, id_)
    assert (lines, more) == ([], False)
    assert cursor


def test_a_log_line_tells_time_level_source_and_message(api: Api, client: httpx.Client, running: Dispatch) -> None:
    api.chunk(running, 1, "hello")
    [line] = client.get(f"/dispatch/{running.id}/logs").json()["data"]
    assert line.pop("timestamp").endswith("Z")
    assert line == {"level": "info", "source": "agent", "message": "hello"}


@pytest.mark.parametrize("limit", [1, 2, 3, 4, 7, 8, 1000])
def test_pages_of_any_size_put_together_are_the_log(
    api: Api, client: httpx.Client, running: Dispatch, limit: int
) -> None:
    for number, lines in enumerate((["a", "b", "c"], ["d"], ["e", "f", "g"]), start=1):
        api.chunk(running, number, *lines)
    seen, cursor, more = logs(client, running.id, f"limit={limit}")
    while more:
        lines, cursor, more = logs(client, running.id, f"limit={limit}&cursor={cursor}")
        assert len(lines) <= limit
        seen += lines
    assert seen == list("abcdefg")


def test_a_follower_reads_each_line_once_as_it_comes(api: Api, client: httpx.Client, running: Dispatch) -> None:
    _, cursor, _ = logs(client, running.id)
    seen = []
    for number, line in enumerate("abc", start=1):
        api.chunk(running, number, line)
        lines, cursor, more = logs(client, running.id, f"cursor={cursor}")
        seen += lines
        assert not more
    api.end(running)
    assert (seen, logs(client, running.id, f"cursor={cursor}")[0]) == (list("abc"), [])


def test_a_follower_reads_a_lost_attempt_to_its_end_and_goes_on_with_the_next(
    api: Api, client: httpx.Client, id_: str
) -> None:
    _, cursor, _ = logs(client, id_)
    first = api.claim(id_)
    api.chunk(first, 1, "one")
    lines, cursor, _ = logs(client, id_, f"cursor={cursor}")
    assert lines == ["one"]
    assert first.lease is not None
    api.advance(id_, Lose(first.lease, Reason.of(ReasonCode.WORKER_LOST, "gone"), now()))
    api.chunk(first, 2, "two")
    second = api.claim(id_, "worker-2")
    api.chunk(second, 1, "three")
    assert logs(client, id_, f"cursor={cursor}")[0] == ["two", "three"]
    assert logs(client, id_)[0] == ["three"]


def test_a_page_reads_a_bounded_number_of_chunks(
    api: Api, client: httpx.Client, running: Dispatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_reader, "CHUNKS_A_PAGE", 2)
    for number, line in enumerate("abcde", start=1):
        api.chunk(running, number, line)
    before = api.calls.made["s3.GetObject"]
    lines, cursor, more = logs(client, running.id)
    assert (lines, more, api.calls.made["s3.GetObject"] - before) == (["a", "b"], True, 2)
    assert logs(client, running.id, f"cursor={cursor}")[0] == ["c", "d"]


@pytest.mark.parametrize("query", ["limit=0", "limit=1001"])
def test_a_log_page_has_1_to_1000_lines(client: httpx.Client, id_: str, query: str) -> None:
    assert fields(refused(client.get(f"/dispatch/{id_}/logs?{query}"), 400, "VALIDATION_ERROR")) == {"limit"}


def test_the_status_shows_log_lines_when_asked(api: Api, client: httpx.Client, running: Dispatch) -> None:
    api.chunk(running, 1, "a", "b", "c")
    api.chunk(running, 2, "d", "e")
    assert status(client, running.id)["logs"] is None
    offset, seen = 0, []
    for _ in range(3):
        shown = status(client, running.id, f"logLimit=2&logOffset={offset}")["logs"]
        seen += [line["message"] for line in shown["lines"]]
        offset = shown["nextOffset"]
    assert (seen, offset) == (list("abcde"), 5)
    beyond = status(client, running.id, "logLimit=2&logOffset=9")["logs"]
    assert beyond == {"lines": [], "nextOffset": 5, "hasMore": False}


def test_a_far_offset_is_reached_step_by_step(
    api: Api, client: httpx.Client, running: Dispatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_reader, "CHUNKS_A_PAGE", 2)
    for number, line in enumerate("abcdef", start=1):
        api.chunk(running, number, line)
    shown = [status(client, running.id, "logLimit=1&logOffset=5")["logs"] for _ in range(3)]
    assert shown[0] == {"lines": [], "nextOffset": 5, "hasMore": True}
    assert [line["message"] for line in shown[2]["lines"]] == ["f"]


@pytest.mark.parametrize("query", ["logLimit=1001", "logLimit=-1", "logOffset=-1"])
def test_bad_log_parameters_are_refused_by_name(client: httpx.Client, id_: str, query: str) -> None:
    response = client.get(f"/dispatch/{id_}?{query}")
    assert fields(refused(response, 400, "VALIDATION_ERROR")) == {query.partition("=")[0]}
