"""Results with the value of a known secret: nobody fetches or promotes them before their release, which is audited."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import anyio
import httpx
import httpx2
import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from typer.testing import CliRunner, Result

from outpost.domain.artifacts import Artifact, attempt_prefix, stored_name
from outpost.domain.dispatch import Dispatch, Publication, Status, Usage
from outpost.domain.findings import Finding, Findings
from outpost.domain.ids import now
from outpost.domain.lifecycle import Finish, Report, Start
from outpost.domain.reasons import Reason, ReasonCode
from outpost.domain.tenants import Scope, Tenant
from outpost_client.cli.main import app
from tests.contract.running import TASK, Api, fields, refused, summary_of

BASE = "4" * 40
ALL = (Scope.DISPATCH, Scope.STATUS, Scope.LIST, Scope.CANCEL, Scope.PROMOTE)
KNOWN = Finding(artifact=Artifact.PATCH, path=".npmrc", line=2, kind="NPM_TOKEN", known=True)
WARNING = Finding(artifact=Artifact.PATCH, path="a.py", line=7, kind="github-token", known=False)
WITHHELD = Findings(
    secrets={"NPM_TOKEN": 1},
    formats={"github-token": 1},
    places=(KNOWN, WARNING),
    withheld=(Artifact.PATCH,),
)
SUSPECT = Findings(formats={"github-token": 1}, places=(WARNING,))
RELEASE = {"secrets": ["NPM_TOKEN"], "reason": "a test registry's, revoked"}


@pytest.fixture
def user(api: Api, tenant: Tenant) -> Iterator[httpx.Client]:
    """Who may do everything but release and administer."""
    with api.client(api.key(tenant, *ALL)) as client:
        yield client


@pytest.fixture
def releaser(api: Api, tenant: Tenant) -> Iterator[httpx.Client]:
    with api.client(api.key(tenant, Scope.RELEASE)) as client:
        yield client


def ended(
    api: Api,
    client: httpx.Client,
    findings: Findings = WITHHELD,
    status: Status = Status.SUCCESS,
    **body: object,
) -> Dispatch:
    """A dispatch that has ended, with what its worker left and reported."""
    made = client.post("/dispatch", json=TASK | {"repo": "acme/website"} | body).json()["data"]["id"]
    row = api.claim(made)
    assert row.lease
    reason = Reason.of(ReasonCode.SECRET_IN_OUTPUT, "The agent ended with exit code 0.")
    left = {"commit_before": BASE, "patch_bytes": 6, "findings": findings}
    summary = summary_of(row, outcome=status, reason=reason, **left)
    prefix = attempt_prefix(row.tenant_id, row.id, row.attempt)
    api.store_object(prefix + Artifact.SUMMARY, summary.model_dump_json())
    api.store_object(prefix + Artifact.FINDINGS, findings.model_dump_json())
    api.store_object(prefix + stored_name(Artifact.PATCH, withheld=bool(findings.withheld)), "patch!")
    report = Report(row.lease, status, reason, now(), 0, Usage(), findings=findings)
    return api.advance(made, Start(row.lease, now()), Finish(row.lease, 0, now()), report)


def artifacts(client: httpx.Client, row: Dispatch) -> dict[str, Any]:
    return dict(client.get(f"/artifacts/{row.id}").json()["data"])


def test_status_list_and_artifacts_say_what_is_withheld_and_where(api: Api, user: httpx.Client) -> None:
    row = ended(api, user)
    shown = user.get(f"/dispatch/{row.id}").json()["data"]
    assert (shown["status"], shown["withheld"], shown["released"]) == ("success", True, None)
    assert shown["findings"] == json.loads(WITHHELD.model_dump_json())
    assert "outpost release" in shown["reason"]["remedy"]
    api.await_indexes()
    (listed,) = user.get("/dispatch").json()["data"]
    assert (listed["withheld"], listed["findings"]) == (True, shown["findings"])
    left = artifacts(user, row)
    assert left["withheld"] == [{"name": "changes.patch", "type": "patch", "size": 6}]
    assert {each["name"] for each in left["artifacts"]} == {"summary.json", "findings.json"}


def test_a_withheld_patch_is_not_promoted_and_the_error_says_how_it_is_released(api: Api, user: httpx.Client) -> None:
    row = ended(api, user)
    response = user.post(f"/dispatch/{row.id}/promote", json={"branch": "outpost/x"})
    message = refused(response, 409, "CONFLICT")["message"]
    assert "secret NPM_TOKEN at .npmrc:2" in message
    assert f"POST /dispatch/{row.id}/release" in message


def test_once_released_it_is_fetched_and_promoted_like_any_other(
    api: Api, user: httpx.Client, releaser: httpx.Client
) -> None:
    row = ended(api, user)
    released = releaser.post(f"/dispatch/{row.id}/release", json=RELEASE).json()["data"]
    assert (released["withheld"], released["status"]) == (False, "success")
    assert released["released"]["reason"] == RELEASE["reason"]
    assert released["released"]["by"] == releaser.headers["X-API-Key"][:12]
    left = artifacts(user, row)
    assert left["withheld"] == []
    (patch,) = [each for each in left["artifacts"] if each["name"] == "changes.patch"]
    assert httpx.get(patch["url"], follow_redirects=True, timeout=120).text == "patch!"
    body = {"branch": "outpost/x", "createPr": True, "prBody": "Mine."}
    made = user.post(f"/dispatch/{row.id}/promote", json=body).json()["data"]
    promotes = api.row(made["id"]).spec.promotes
    assert promotes
    assert promotes.withheld
    words = Publication.model_validate_json(api.stores.dispatches.task(made["id"]))
    assert words.pr_body.startswith("Mine.\n")
    assert "- `secret NPM_TOKEN at .npmrc:2` (withheld at first; released by otp_" in words.pr_body


def test_the_format_of_a_secret_withholds_nothing_and_is_shown_with_the_promotion(api: Api, user: httpx.Client) -> None:
    row = ended(api, user, SUSPECT)
    shown = user.get(f"/dispatch/{row.id}").json()["data"]
    assert (shown["withheld"], shown["findings"]["formats"]) == (False, {"github-token": 1})
    assert "changes.patch" in {each["name"] for each in artifacts(user, row)["artifacts"]}
    made = user.post(f"/dispatch/{row.id}/promote", json={"branch": "outpost/x", "createPr": True}).json()["data"]
    assert made["promotes"]["findings"] == shown["findings"]
    words = Publication.model_validate_json(api.stores.dispatches.task(made["id"]))
    assert words.pr_body.endswith("\n- `github-token at a.py:7`")


def test_no_key_releases_without_the_scope(api: Api, tenant: Tenant, user: httpx.Client) -> None:
    row = ended(api, user)
    message = refused(user.post(f"/dispatch/{row.id}/release", json=RELEASE), 403, "AUTHORIZATION_ERROR")["message"]
    assert "lacks the scope release" in message
    with api.client(api.key(api.tenant(), Scope.RELEASE)) as stranger:
        refused(stranger.post(f"/dispatch/{row.id}/release", json=RELEASE), 404, "NOT_FOUND")
    assert api.row(row.id).withheld
    with api.client(api.key(tenant, Scope.ADMIN)) as admin:
        assert admin.post(f"/dispatch/{row.id}/release", json=RELEASE).is_success


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"secrets": ["NPM_TOKEN"]}, "reason"),
        ({"reason": "x"}, "secrets"),
        (RELEASE | {"reason": ""}, "reason"),
        (RELEASE | {"secrets": []}, "secrets"),
        (RELEASE | {"secrets": ["OTHER"]}, "secrets"),
        (RELEASE | {"secrets": ["NPM_TOKEN", "OTHER"]}, "secrets"),
        (RELEASE | {"secrets": ["github-token"]}, "secrets"),
        (RELEASE | {"force": True}, "force"),
    ],
)
def test_a_release_names_exactly_what_was_found_and_why(
    api: Api, user: httpx.Client, releaser: httpx.Client, body: dict[str, Any], field: str
) -> None:
    row = ended(api, user)
    error = refused(releaser.post(f"/dispatch/{row.id}/release", json=body), 400, "VALIDATION_ERROR")
    assert fields(error) == {field}
    assert api.row(row.id).withheld


def test_a_release_is_made_once_and_the_first_one_stays(api: Api, user: httpx.Client, releaser: httpx.Client) -> None:
    row = ended(api, user)

    def release(number: int) -> httpx.Response:
        return releaser.post(f"/dispatch/{row.id}/release", json=RELEASE | {"reason": f"reason {number}"})

    with ThreadPoolExecutor(8) as pool:
        responses = list(pool.map(release, range(8)))
    assert {response.status_code for response in responses} == {200}
    assert [response.headers.get("Idempotent-Replay") for response in responses].count(None) == 1
    assert len({response.json()["data"]["released"]["reason"] for response in responses}) == 1


def test_nothing_withheld_is_nothing_to_release(api: Api, user: httpx.Client, releaser: httpx.Client) -> None:
    made = user.post("/dispatch", json=TASK).json()["data"]["id"]
    error = refused(releaser.post(f"/dispatch/{made}/release", json=RELEASE), 409, "CONFLICT")
    assert "is pending" in error["message"]
    row = ended(api, user, SUSPECT)
    error = refused(releaser.post(f"/dispatch/{row.id}/release", json=RELEASE), 409, "CONFLICT")
    assert "withholds nothing" in error["message"]


def test_a_release_leaves_the_workspace_to_the_dispatch_that_holds_it_by_now(
    api: Api, user: httpx.Client, releaser: httpx.Client
) -> None:
    row = ended(api, user, workspaceMode="persistent")
    id_ = row.spec.workspace_id
    later = user.post("/dispatch", json=TASK | {"workspaceMode": "persistent", "workspaceId": id_}).json()["data"]
    assert releaser.post(f"/dispatch/{row.id}/release", json=RELEASE).is_success
    assert user.get(f"/workspaces/{id_}").json()["data"]["dispatchId"] == later["id"]


def test_a_failed_dispatch_is_released_too(api: Api, user: httpx.Client, releaser: httpx.Client) -> None:
    row = ended(api, user, status=Status.FAILED)
    assert artifacts(user, row)["withheld"]
    assert releaser.post(f"/dispatch/{row.id}/release", json=RELEASE).is_success
    assert artifacts(user, row)["withheld"] == []


def test_a_running_dispatch_shows_what_is_withheld_and_releases_nothing(
    api: Api, client: httpx.Client, running: Dispatch
) -> None:
    prefix = attempt_prefix(running.tenant_id, running.id, running.attempt)
    api.store_object(prefix + stored_name(Artifact.PATCH, withheld=True), "patch!")
    left = artifacts(client, running)
    assert ([each["name"] for each in left["withheld"]], left["artifacts"]) == (["changes.patch"], [])


def test_every_release_is_in_the_audit_log_refused_ones_too(
    api: Api, tenant: Tenant, user: httpx.Client, releaser: httpx.Client
) -> None:
    row = ended(api, user)
    user.post(f"/dispatch/{row.id}/release", json=RELEASE)
    releaser.post(f"/dispatch/{row.id}/release", json=RELEASE)
    written = api.records(tenant=tenant.id)[1:]
    assert [(each["route"], each["outcome"], each["what"]) for each in written] == [
        ("/dispatch/{dispatch_id}/release", outcome, {"dispatch_id": row.id}) for outcome in ("refused", "done")
    ]


def outpost(api: Api, key: str, *arguments: str) -> Result:
    return CliRunner().invoke(app, arguments, env={"OUTPOST_URL": api.url, "OUTPOST_API_KEY": key, "COLUMNS": "200"})


def test_the_command_line_says_what_is_withheld_and_releases_it(
    api: Api, tenant: Tenant, user: httpx.Client, tmp_path: Path
) -> None:
    row, key = ended(api, user), user.headers["X-API-Key"]
    shown = outpost(api, key, "status", row.id).output
    assert "success (withheld)" in shown
    assert f"\nRelease: outpost release {row.id} --secret NPM_TOKEN --reason WHY\n" in shown
    assert "secret NPM_TOKEN at .npmrc:2" in shown
    assert "github-token at a.py:7 (looks like one)" in shown
    api.await_indexes()
    assert "success (withheld)" in outpost(api, key, "list").output
    listed = outpost(api, key, "artifacts", row.id)
    assert listed.exit_code == 0
    assert "(withheld)" in listed.output
    fetched = outpost(api, key, "artifacts", row.id, "--download", str(tmp_path))
    assert fetched.exit_code == 2
    assert f"outpost status {row.id}" in fetched.stderr
    assert {path.name for path in tmp_path.iterdir()} == {"summary.json", "findings.json"}
    release = ["release", row.id, "--secret", "NPM_TOKEN", "--reason", "revoked"]
    lacking = outpost(api, key, *release).stderr
    assert "lacks the scope release" in lacking
    assert "outpost keys create TENANT --scope SCOPE" in lacking
    watched = outpost(api, key, "logs", "-f", row.id).stderr
    assert f"release: outpost release {row.id} --secret NPM_TOKEN --reason WHY" in watched
    done = outpost(api, api.key(tenant, Scope.RELEASE), *release)
    assert done.exit_code == 0, done.output
    assert outpost(api, key, "artifacts", row.id, "--download", str(tmp_path)).exit_code == 0
    assert (tmp_path / "changes.patch").read_text() == "patch!"
    assert ": revoked" in outpost(api, key, "status", row.id).output
    promoted = outpost(api, key, "promote", row.id, "outpost/x")
    assert "secret NPM_TOKEN at .npmrc:2" in promoted.stderr


def test_the_tools_say_what_is_withheld_and_release_it(api: Api, tenant: Tenant, user: httpx.Client) -> None:
    row = ended(api, user)

    async def call(key: str, tool: str, **arguments: object) -> Any:  # noqa: ANN401 - a result of MCP
        async with (
            httpx2.AsyncClient(headers={"X-API-Key": key}, timeout=120) as http,
            Client(streamable_http_client(f"{api.url}/mcp", http_client=http)) as client,
        ):
            return await client.call_tool(tool, {"dispatch_id": row.id} | arguments)

    def result(key: str, tool: str, **arguments: object) -> Any:  # noqa: ANN401 - a result of MCP
        return anyio.run(lambda: call(key, tool, **arguments))

    key = user.headers["X-API-Key"]
    status = result(key, "outpost_status").structured_content
    assert (status["withheld"], status["findings"]["places"][0]["path"]) == (True, ".npmrc")
    assert result(key, "outpost_get_artifacts").structured_content["withheld"][0]["name"] == "changes.patch"
    for tool, arguments in (("outpost_promote", {"branch": "outpost/x"}), ("outpost_release", RELEASE)):
        assert result(key, tool, **arguments).is_error
    released = result(api.key(tenant, Scope.RELEASE), "outpost_release", **RELEASE)
    assert not released.is_error, released.content
    assert released.structured_content["released"]["reason"] == RELEASE["reason"]
    assert result(key, "outpost_get_artifacts").structured_content["withheld"] == []
