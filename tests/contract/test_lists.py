"""Lists: newest first, nothing lost or doubled, cursors that fit one tenant and one filter."""

from datetime import timedelta
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from outpost.domain.ids import now
from tests.contract.running import TASK, Api, fields, refused


def post(client: httpx.Client, **more: object) -> str:
    return str(client.post("/dispatch", json=TASK | more).json()["data"]["id"])


def page(client: httpx.Client, query: str = "") -> tuple[list[str], dict[str, Any]]:
    response = client.get(f"/dispatch?{query}")
    assert response.status_code == 200, response.text
    body = response.json()
    return [row["id"] for row in body["data"]], body["meta"]["pagination"]


def walk(client: httpx.Client, query: str) -> list[str]:
    ids, pagination = page(client, query)
    while pagination["hasMore"]:
        more, pagination = page(client, f"{query}&cursor={pagination['cursor']}")
        ids += more
    return ids


def test_an_empty_list_has_no_next_page(client: httpx.Client) -> None:
    assert page(client) == ([], {"cursor": None, "hasMore": False, "limit": 20})


@pytest.mark.parametrize("limit", [1, 2, 5, 6, 100])
def test_pages_put_together_are_the_whole_list_newest_first(api: Api, client: httpx.Client, limit: int) -> None:
    ids = [post(client) for _ in range(5)]
    api.await_indexes()
    assert walk(client, f"limit={limit}") == sorted(ids, reverse=True)


def test_no_row_is_lost_or_doubled_while_rows_are_being_added(api: Api, client: httpx.Client) -> None:
    ids = [post(client) for _ in range(4)]
    api.await_indexes()
    seen, pagination = page(client, "limit=2")
    while pagination["hasMore"]:
        post(client)
        more, pagination = page(client, f"limit=2&cursor={pagination['cursor']}")
        seen += more
    assert seen == sorted(ids, reverse=True)


def test_a_tenants_list_holds_its_own_dispatches_only(api: Api, client: httpx.Client, stranger: httpx.Client) -> None:
    mine = post(client)
    post(stranger)
    api.await_indexes()
    assert page(client)[0] == [mine]


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("status=cancelled", {"cancelled"}),
        ("agent=claude", {"claude"}),
        ("repo=acme/web", {"repo"}),
        ("tag=team:blue", {"tagged", "both"}),
        ("tag=team:blue&tag=env:prod:eu", {"both"}),
        ("tag=team:blue&agent=claude", set()),
        ("tag=nonsense", set()),
        ("status=pending&agent=shell&tag=env:prod:eu", {"both"}),
    ],
)
def test_every_filter_must_match(api: Api, client: httpx.Client, query: str, names: set[str]) -> None:
    ids = {
        "plain": post(client),
        "cancelled": post(client),
        "claude": post(client, agent="claude"),
        "repo": post(client, repo="acme/web"),
        "tagged": post(client, tags={"team": "blue"}),
        "both": post(client, tags={"team": "blue", "env": "prod:eu"}),
    }
    client.delete(f"/dispatch/{ids['cancelled']}")
    api.await_indexes()
    assert set(walk(client, f"limit=1&{query}")) == {ids[name] for name in names}


def test_tags_that_do_not_fit_into_a_row_are_shown_and_found(api: Api, client: httpx.Client) -> None:
    tags = {f"{number:02d}".ljust(64, "k"): "\N{GRINNING FACE}" * 256 for number in range(20)}
    large, small = post(client, tags=tags), post(client, tags={"team": "blue"})
    api.await_indexes()
    first = next(iter(tags))
    assert walk(client, f"limit=1&tag={first}:{quote(tags[first])}") == [large]
    assert walk(client, "tag=team:blue") == [small]
    listed = {row["id"]: row["tags"] for row in client.get("/dispatch").json()["data"]}
    assert listed == {large: tags, small: {"team": "blue"}}
    assert client.get(f"/dispatch/{large}").json()["data"]["tags"] == tags
    assert client.delete(f"/dispatch/{large}").json()["data"]["tags"] == tags
    assert client.get(f"/dispatch/{large}").json()["data"]["tags"] == tags


def test_since_includes_its_time_and_until_excludes_it(api: Api, client: httpx.Client) -> None:
    ids = [post(client) for _ in range(3)]
    api.await_indexes()
    middle = quote(api.row(ids[1]).created_at.isoformat())
    assert ids[1] in walk(client, f"limit=1&since={middle}")
    assert ids[0] not in walk(client, f"since={middle}")
    assert walk(client, f"limit=1&until={middle}") == [ids[0]]
    later = quote((now() + timedelta(hours=1)).isoformat())
    assert walk(client, f"since={later}") == []
    assert len(walk(client, f"until={later}")) == 3
    assert walk(client, f"since={later}&until={middle}") == []


@pytest.mark.parametrize("bad", ["since=yesterday", "until=2026-01-01T00:00:00", "status=done", "agent=nobody"])
def test_a_malformed_filter_is_refused_by_name(client: httpx.Client, bad: str) -> None:
    assert fields(refused(client.get(f"/dispatch?{bad}"), 400, "VALIDATION_ERROR")) == {bad.partition("=")[0]}


def test_a_cursor_fits_its_tenant_its_filter_and_its_list_only(
    api: Api, client: httpx.Client, stranger: httpx.Client
) -> None:
    for _ in range(3):
        id_ = post(client, tags={"a": "1"})
    api.await_indexes()
    cursor = page(client, "limit=1&tag=a:1")[1]["cursor"]
    assert client.get(f"/dispatch?limit=2&tag=a:1&cursor={cursor}").status_code == 200
    for attempt in (
        client.get(f"/dispatch?cursor={cursor}"),
        client.get(f"/dispatch?tag=a:2&cursor={cursor}"),
        client.get(f"/dispatch/{id_}/logs?cursor={cursor}"),
        stranger.get(f"/dispatch?tag=a:1&cursor={cursor}"),
    ):
        assert fields(refused(attempt, 400, "VALIDATION_ERROR")) == {"cursor"}


@pytest.mark.parametrize(
    "cursor", ["x", "\N{SNOWMAN}", "AAAA" * 10, "A" * 5_000, "%00", "=", "01JZZZZZZZZZZZZZZZZZZZZZZZ"]
)
def test_a_malformed_cursor_is_a_validation_error(client: httpx.Client, cursor: str) -> None:
    response = client.get("/dispatch", params={"cursor": cursor})
    assert fields(refused(response, 400, "VALIDATION_ERROR")) == {"cursor"}


def test_a_cursor_tells_nothing_but_the_place(client: httpx.Client, api: Api) -> None:
    for _ in range(2):
        post(client)
    api.await_indexes()
    cursor = page(client, "limit=1")[1]["cursor"]
    damaged = cursor[:-2] + ("A" if cursor[-2] != "A" else "B") + cursor[-1]
    assert fields(refused(client.get(f"/dispatch?cursor={damaged}"), 400, "VALIDATION_ERROR")) == {"cursor"}
