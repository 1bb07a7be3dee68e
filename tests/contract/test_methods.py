"""HTTP's own expectations: HEAD, OPTIONS, Allow, a final slash, the client's Host, and the headers of pages."""

import re

import httpx
import pytest

from outpost.domain.artifacts import attempt_prefix
from outpost.domain.dispatch import Dispatch
from outpost.domain.ids import is_id
from tests.contract.running import TASK, Api, refused

PAGES = ("/docs", "/openapi.json", "/docs/assets/swagger-ui.css")


def leave_patch(api: Api, row: Dispatch) -> None:
    api.store_object(attempt_prefix(row.tenant_id, row.id, row.attempt) + "changes.patch", "diff --git")


@pytest.mark.parametrize("path", ["/health/live", "/health", "/dispatch", "/workspaces", *PAGES])
def test_head_is_get_without_a_body(client: httpx.Client, path: str) -> None:
    full, head = client.get(path), client.head(path)
    assert (head.status_code, head.content) == (full.status_code, b"")
    assert head.headers["Content-Type"] == full.headers["Content-Type"]
    assert is_id(head.headers["X-Request-ID"])


def test_head_needs_a_key_where_get_does(api: Api) -> None:
    with api.client() as nobody:
        assert nobody.head("/dispatch").status_code == 401


def test_head_of_a_stream_ends_at_once(client: httpx.Client, running: Dispatch) -> None:
    head = client.head(f"/dispatch/{running.id}/events", timeout=120)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["Content-Type"].startswith("text/event-stream")
    assert client.get("/health/live").status_code == 200  # the connection is still good


def test_head_does_not_use_up_a_link(api: Api, client: httpx.Client, running: Dispatch) -> None:
    leave_patch(api, running)
    link = client.get(f"/artifacts/{running.id}").json()["data"]["artifacts"][0]["url"]
    with api.client() as nobody:
        head = nobody.head(link)
        assert (head.status_code, head.headers["Allow"]) == (405, "GET")
        assert nobody.get(link).status_code == 307


@pytest.mark.parametrize(
    ("path", "methods"),
    [
        ("/dispatch", "GET, HEAD, OPTIONS, POST"),
        ("/dispatch/01K9ZJ3J0X4T8WB6Q1V5N7M2CD", "DELETE, GET, HEAD, OPTIONS"),
        ("/tenants/acme/secrets/NAME", "DELETE, OPTIONS, PUT"),
        ("/mcp", "OPTIONS, POST"),
        ("/docs", "GET, HEAD, OPTIONS"),
        ("/docs/assets/swagger-ui.css", "GET, HEAD, OPTIONS"),
    ],
)
def test_options_and_a_refused_method_name_every_method_of_the_path(api: Api, path: str, methods: str) -> None:
    with api.client() as nobody:
        options, patched = nobody.options(path), nobody.patch(path)
    assert (options.status_code, options.content, options.headers["Allow"]) == (204, b"", methods)
    assert not [name for name in options.headers if name.startswith("access-control-")]
    refused(patched, 405, "METHOD_NOT_ALLOWED")
    assert patched.headers["Allow"] == methods


def test_options_of_no_route_is_not_found(client: httpx.Client) -> None:
    refused(client.options("/no/such/route"), 404, "NOT_FOUND")


@pytest.mark.parametrize("slashes", ["/", "//"])
def test_a_slash_at_the_end_changes_nothing(client: httpx.Client, slashes: str) -> None:
    made = client.post(f"/dispatch{slashes}", json=TASK)
    assert made.status_code == 201
    found = client.get(f"/dispatch/{made.json()['data']['id']}{slashes}")
    assert found.json()["data"]["id"] == made.json()["data"]["id"]
    with httpx.Client(base_url=client.base_url, timeout=120) as nobody:
        refused(nobody.get(f"/dispatch{slashes}"), 401, "AUTHENTICATION_ERROR")
        refused(nobody.get(f"/no/such/route{slashes}"), 404, "NOT_FOUND")


def test_the_page_with_a_slash_redirects_to_the_one_whose_addresses_work(client: httpx.Client) -> None:
    response = client.get("/docs/")
    assert (response.status_code, response.headers["Location"]) == (307, "../docs")
    assert client.get("/docs/", follow_redirects=True).status_code == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8443", "127.0.0.1.evil.example", "localhost@evil.example"]
)
def test_links_never_have_a_host_that_the_client_made_up(
    api: Api, client: httpx.Client, running: Dispatch, host: str
) -> None:
    leave_patch(api, running)
    listed = client.get(f"/artifacts/{running.id}", headers={"Host": host})
    if listed.status_code == 200:
        links = [each["url"] for each in listed.json()["data"]["artifacts"]]
        assert links
        assert "evil" not in "".join(links)
    else:
        assert listed.status_code == 400


def test_every_response_forbids_guessing_its_type(api: Api) -> None:
    with api.client() as nobody:
        for path in (*PAGES, "/dispatch", "/no/such/route"):
            assert nobody.get(path).headers["X-Content-Type-Options"] == "nosniff"


def test_the_page_allows_its_own_scripts_only_and_no_frame(client: httpx.Client) -> None:
    response = client.get("/docs")
    policy = response.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    (scripts,) = re.findall("script-src ([^;]+)", policy)
    assert re.fullmatch(r"'self' 'sha256-[A-Za-z0-9+/=]+'", scripts)
    assert response.headers["X-Frame-Options"] == "DENY"


@pytest.mark.parametrize("value", ["0.5", "1764300000", "1e9", "-1", "nan"])
@pytest.mark.parametrize("name", ["since", "until"])
def test_a_number_is_no_time(client: httpx.Client, name: str, value: str) -> None:
    (detail,) = refused(client.get("/dispatch", params={name: value}), 400, "VALIDATION_ERROR")["details"]
    assert detail["field"] == name
    assert value in detail["message"]
    assert "ISO 8601" in detail["message"]


def test_a_number_is_no_end_of_a_key(operator: httpx.Client, api: Api) -> None:
    body = {"name": "k", "scopes": ["status"], "expiresAt": 1_999_999_999}
    (detail,) = refused(operator.post(f"/tenants/{api.tenant().id}/keys", json=body), 400, "VALIDATION_ERROR")[
        "details"
    ]
    assert detail["field"] == "expiresAt"
    assert "ISO 8601" in detail["message"]
