"""POST /dispatch/{id}/promote: what it accepts, what it makes, and that it makes it once."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import anyio
import httpx
import httpx2
import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from typer.testing import CliRunner

from outpost.domain.artifacts import Artifact, attempt_prefix
from outpost.domain.dispatch import Dispatch, Publication, Status
from outpost.domain.ids import new_id, now
from outpost.domain.lifecycle import Report, Start
from outpost.domain.reasons import Reason, ReasonCode
from outpost.domain.tenants import Scope, Tenant
from outpost_client.cli.main import app
from tests.contract.running import TASK, Api, fields, refused, summary_of

BASE = "4" * 40


@pytest.fixture
def promoter(api: Api, tenant: Tenant) -> Iterator[httpx.Client]:
    with api.client(api.key(tenant, Scope.DISPATCH, Scope.STATUS, Scope.PROMOTE)) as client:
        yield client


def succeed(
    api: Api, client: httpx.Client, *, patch_bytes: int = 10, commit_before: str | None = BASE, **body: object
) -> Dispatch:
    """A dispatch that ended well, with what its worker left."""
    made = client.post("/dispatch", json=TASK | {"repo": "acme/website", "branch": "next"} | body).json()["data"]["id"]
    row = api.claim(made)
    assert row.lease
    row = api.end(api.advance(made, Start(row.lease, now())))
    summary = summary_of(row, commit_before=commit_before, patch_bytes=patch_bytes)
    prefix = attempt_prefix(row.tenant_id, row.id, row.attempt)
    api.store_object(prefix + Artifact.SUMMARY, summary.model_dump_json())
    return row


def promote(client: httpx.Client, source: Dispatch, **body: object) -> httpx.Response:
    return client.post(f"/dispatch/{source.id}/promote", json={"branch": "outpost/x"} | body)


def fail(api: Api, dispatch_id: str) -> None:
    lease = api.claim(dispatch_id).lease
    assert lease
    api.advance(dispatch_id, Report(lease, Status.FAILED, Reason.of(ReasonCode.PUSH_FAILED, "No."), now()))


def test_a_promotion_is_a_dispatch_that_names_its_source(api: Api, promoter: httpx.Client) -> None:
    source = succeed(api, promoter)
    response = promote(promoter, source, createPr=True)
    assert response.status_code == 202
    shown = response.json()["data"]
    assert (shown["kind"], shown["status"], shown["repo"], shown["branch"]) == (
        "promote",
        "pending",
        "acme/website",
        "next",
    )
    assert shown["promotes"] == {
        "dispatchId": source.id,
        "branch": "outpost/x",
        "baseCommit": BASE,
        "createPr": True,
        "toDefault": False,
        "findings": None,
    }
    assert promoter.get(f"/dispatch/{shown['id']}").json()["data"]["promotes"] == shown["promotes"]
    row = api.row(shown["id"])
    assert row.spec.promotes
    assert (row.spec.promotes.attempt, row.spec.promotes.committed_at) == (1, source.ended_at)
    assert row.spec.agent is source.spec.agent


def test_the_words_are_the_tenants_and_have_defaults(api: Api, promoter: httpx.Client) -> None:
    source = succeed(api, promoter)

    def words(**body: object) -> Publication:
        made = promote(promoter, source, createPr=True, branch=f"outpost/{new_id()}", **body).json()["data"]["id"]
        return Publication.model_validate_json(api.stores.dispatches.task(made))

    own = {"message": "One\n\nTwo", "authorName": "Ada", "authorEmail": "a@b.c", "prTitle": "T", "prBody": "B"}
    assert words(**own) == Publication(
        message="One\n\nTwo", author_name="Ada", author_email="a@b.c", pr_title="T", pr_body="B"
    )
    assert words(message="One\n\nTwo").pr_title == "One"
    default = words()
    assert source.id in default.message
    assert source.id in default.pr_body
    assert default.author_name == "Outpost"


def test_the_same_promotion_again_is_the_same_dispatch(api: Api, promoter: httpx.Client) -> None:
    source = succeed(api, promoter)
    with ThreadPoolExecutor(8) as pool:
        responses = list(pool.map(lambda _: promote(promoter, source), range(8)))
    assert {response.status_code for response in responses} == {202}
    (first,) = {response.json()["data"]["id"] for response in responses}
    assert [response.headers.get("Idempotent-Replay") for response in responses].count(None) == 1
    lease = api.claim(first).lease
    assert lease
    api.end(api.advance(first, Start(lease, now())))
    again = promote(promoter, source)
    assert (again.json()["data"]["id"], again.headers["Idempotent-Replay"]) == (first, "true")
    assert promote(promoter, source, branch="outpost/y").json()["data"]["id"] != first


def test_other_options_for_the_same_branch_are_a_conflict(api: Api, promoter: httpx.Client) -> None:
    source = succeed(api, promoter)
    first = promote(promoter, source).json()["data"]["id"]
    error = refused(promote(promoter, source, createPr=True), 409, "CONFLICT")
    assert first in error["message"]


def test_a_branch_named_in_full_is_the_branch(api: Api, promoter: httpx.Client) -> None:
    source = succeed(api, promoter, branch="refs/heads/next")
    assert source.spec.branch == "next"
    first = promote(promoter, source, branch="refs/heads/fix").json()["data"]
    assert first["promotes"]["branch"] == "fix"
    assert promote(promoter, source, branch="fix").json()["data"]["id"] == first["id"]


def test_the_first_result_of_an_empty_repository_has_no_base(api: Api, promoter: httpx.Client) -> None:
    source = succeed(api, promoter, commit_before=None)
    error = refused(promote(promoter, source, createPr=True), 409, "CONFLICT")
    assert "nothing to merge into: leave createPr out" in error["message"]
    shown = promote(promoter, source, toDefault=True).json()["data"]["promotes"]
    assert (shown["baseCommit"], shown["toDefault"]) == (None, True)


def test_a_result_that_did_not_begin_with_the_repository_is_not_promoted(api: Api, promoter: httpx.Client) -> None:
    source = succeed(api, promoter, commit_before=None, workspaceInitMode="none")
    error = refused(promote(promoter, source), 409, "CONFLICT")
    assert "did not begin with the repository" in error["message"]


def test_a_failed_promotion_is_tried_anew_and_that_once(api: Api, promoter: httpx.Client) -> None:
    source = succeed(api, promoter)
    first = promote(promoter, source).json()["data"]["id"]
    fail(api, first)
    second = promote(promoter, source, createPr=True).json()["data"]["id"]
    assert second != first
    assert promote(promoter, source, createPr=True).json()["data"]["id"] == second


def test_only_a_result_can_be_promoted(api: Api, promoter: httpx.Client) -> None:
    pending = promoter.post("/dispatch", json=TASK | {"repo": "a/b"}).json()["data"]["id"]
    error = refused(promote(promoter, api.row(pending)), 409, "CONFLICT")
    assert "is pending" in error["message"]
    error = refused(promote(promoter, succeed(api, promoter, patch_bytes=0)), 409, "CONFLICT")
    assert "changed nothing" in error["message"]
    error = refused(promote(promoter, succeed(api, promoter, repo=None, branch=None)), 409, "CONFLICT")
    assert "no repository" in error["message"]
    source = succeed(api, promoter)
    promotion = api.row(promote(promoter, source).json()["data"]["id"])
    error = refused(promote(promoter, promotion), 409, "CONFLICT")
    assert source.id in error["message"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"branch": ""}, "branch"),
        ({"branch": "--force"}, "branch"),
        ({"branch": "a..b"}, "branch"),
        ({"branch": "x" * 256}, "branch"),
        ({"branch": "refs/tags/v1"}, "branch"),
        ({"branch": "refs/heads/"}, "branch"),
        ({"toDefault": "yes"}, "toDefault"),
        ({"createPr": "yes"}, "createPr"),
        ({"prTitle": "t"}, "prTitle"),
        ({"prBody": "b"}, "prBody"),
        ({"createPr": True, "prTitle": "x" * 257}, "prTitle"),
        ({"message": ""}, "message"),
        ({"message": "a\x00b"}, "message"),
        ({"authorName": "Ada <x>"}, "authorName"),
        ({"authorName": "Ada\nEve"}, "authorName"),
        ({"authorEmail": "nobody"}, "authorEmail"),
        ({"force": True}, "force"),
    ],
)
def test_a_bad_field_is_named(api: Api, promoter: httpx.Client, body: dict[str, Any], field: str) -> None:
    source = succeed(api, promoter)
    assert fields(refused(promote(promoter, source, **body), 400, "VALIDATION_ERROR")) == {field}


def test_a_stranger_finds_nothing_and_a_key_without_the_scope_may_not(
    api: Api, tenant: Tenant, promoter: httpx.Client
) -> None:
    source = succeed(api, promoter)
    with api.client(api.key(api.tenant(), Scope.PROMOTE)) as stranger:
        refused(promote(stranger, source), 404, "NOT_FOUND")
    with api.client(api.key(tenant, Scope.DISPATCH)) as lesser:
        refused(promote(lesser, source), 403, "AUTHORIZATION_ERROR")


def test_the_command_line_and_the_tool_promote_as_well(api: Api, tenant: Tenant, promoter: httpx.Client) -> None:
    source, key = succeed(api, promoter), api.key(tenant, Scope.PROMOTE)
    words = ["--title", "T", "--body", "B", "--message", "M", "--author-name", "Ada", "--author-email", "a@b.c"]
    environment = {"OUTPOST_URL": api.url, "OUTPOST_API_KEY": key}
    done = CliRunner().invoke(
        app, ["promote", source.id, "outpost/cli", "--pr", "--to-default", *words], env=environment
    )
    assert done.exit_code == 0, done.output
    made = done.stdout.strip()
    assert Publication.model_validate_json(api.stores.dispatches.task(made)) == Publication(
        message="M", author_name="Ada", author_email="a@b.c", pr_title="T", pr_body="B"
    )

    async def tool() -> dict[str, Any]:
        headers = {"X-API-Key": key}
        async with (
            httpx2.AsyncClient(headers=headers, timeout=120) as http,
            Client(streamable_http_client(f"{api.url}/mcp", http_client=http)) as client,
        ):
            wanted = {"dispatch_id": source.id, "branch": "outpost/cli", "create_pr": True, "pr_title": "T"}
            wanted |= {"to_default": True}
            own = {"pr_body": "B", "message": "M", "author_name": "Ada", "author_email": "a@b.c"}
            result = await client.call_tool("outpost_promote", wanted | own)
            assert not result.is_error, result.content
            return dict(result.structured_content)

    found = anyio.run(tool)
    assert (found["id"], found["promotes"]["dispatch_id"]) == (made, source.id)
