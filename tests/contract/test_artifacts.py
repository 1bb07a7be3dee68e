"""What a dispatch left: the winning attempt's files, and links that open them for a while."""

from datetime import timedelta
from urllib.parse import urlsplit

import httpx
import pytest

from control_plane.services import artifacts
from outpost.domain.artifacts import attempt_prefix
from outpost.domain.dispatch import Dispatch
from outpost.domain.ids import now
from outpost.domain.tenants import Tenant
from tests.contract.running import TASK, Api, fields, refused


def left(api: Api, row: Dispatch, **files: str) -> None:
    for name, body in files.items():
        api.store_object(attempt_prefix(row.tenant_id, row.id, row.attempt) + name.replace("_", "."), body)


def test_artifacts_are_those_of_the_winning_attempt(api: Api, client: httpx.Client, running: Dispatch) -> None:
    left(api, running, output_log="log", changes_patch="patch!", summary_json="{}", stray_txt="no")
    left(api, running.model_copy(update={"attempt": 2}), workspace_tar="stale")
    api.chunk(running, 1, "line")
    api.end(running)
    listed = client.get(f"/artifacts/{running.id}").json()["data"]
    assert (listed["dispatchId"], listed["attempt"]) == (running.id, 1)
    assert {(a["name"], a["type"], a["size"]) for a in listed["artifacts"]} == {
        ("output.log", "output", 3),
        ("changes.patch", "patch", 6),
        ("summary.json", "metadata", 2),
    }


def test_a_dispatch_that_nobody_claimed_has_no_artifacts(client: httpx.Client, id_: str) -> None:
    assert client.get(f"/artifacts/{id_}").json()["data"]["artifacts"] == []


@pytest.fixture
def link(api: Api, client: httpx.Client, running: Dispatch) -> str:
    """A link to a patch."""
    left(api, running, changes_patch="diff --git")
    return str(client.get(f"/artifacts/{running.id}?expiresIn=60").json()["data"]["artifacts"][0]["url"])


def test_a_link_opens_the_file_without_a_key(api: Api, link: str) -> None:
    assert link.startswith(f"{api.url}/artifacts/")
    with api.client() as nobody:
        response = nobody.get(link)
        assert response.status_code == 307
        assert "X-Amz-Expires=60" in response.headers["Location"]
        file = nobody.get(response.headers["Location"])
        assert (file.text, file.headers["Content-Disposition"]) == (
            "diff --git",
            'attachment; filename="changes.patch"',
        )


def test_a_link_opens_once(api: Api, client: httpx.Client, running: Dispatch, link: str) -> None:
    """Its token stands in the load balancer's access log from then on."""
    with api.client() as nobody:
        assert nobody.get(link).status_code == 307
        assert "opened before" in refused(nobody.get(link), 401, "AUTHENTICATION_ERROR")["message"]
        another = client.get(f"/artifacts/{running.id}").json()["data"]["artifacts"][0]["url"]
        assert nobody.get(another).status_code == 307


def test_a_link_names_no_file(link: str, running: Dispatch) -> None:
    """Firewalls block the names of some, such as output.log."""
    assert urlsplit(link).path == f"/artifacts/{running.id}/download"


@pytest.mark.parametrize("name", ["api_key", "apiKey", "X-API-Key", "key", "token", "access_token", "authorization"])
def test_a_key_in_a_query_opens_nothing(api: Api, tenant: Tenant, running: Dispatch, name: str) -> None:
    """A query stands in access logs."""
    with api.client() as nobody:
        for path in ("/dispatch", f"/dispatch/{running.id}", f"/artifacts/{running.id}"):
            response = nobody.get(path, params={name: api.key(tenant)})
            refused(response, 401, "AUTHENTICATION_ERROR")


def test_a_link_ends_at_its_time(api: Api, link: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(artifacts, "now", lambda: now() + timedelta(seconds=61))
    with api.client() as nobody:
        refused(nobody.get(link), 401, "AUTHENTICATION_ERROR")


def test_a_link_opens_nothing_of_another_dispatch(api: Api, link: str, client: httpx.Client) -> None:
    other = client.post("/dispatch", json=TASK).json()["data"]["id"]
    path, token = urlsplit(link).path, urlsplit(link).query
    with api.client() as nobody:
        refused(nobody.get(f"/artifacts/{other}/download?{token}"), 401, "AUTHENTICATION_ERROR")
        refused(nobody.get(f"{path}?token=forged"), 401, "AUTHENTICATION_ERROR")
        assert fields(refused(nobody.get(path), 400, "VALIDATION_ERROR")) == {"token"}


def test_a_suspended_tenants_links_open_nothing(api: Api, link: str, tenant: Tenant, operator: httpx.Client) -> None:
    with api.client() as nobody:
        operator.post(f"/tenants/{tenant.id}/suspend")
        refused(nobody.get(link), 403, "AUTHORIZATION_ERROR")


@pytest.mark.parametrize("seconds", ["59", "3601"])
def test_links_live_from_a_minute_to_an_hour(client: httpx.Client, id_: str, seconds: str) -> None:
    response = client.get(f"/artifacts/{id_}?expiresIn={seconds}")
    assert fields(refused(response, 400, "VALIDATION_ERROR")) == {"expiresIn"}
