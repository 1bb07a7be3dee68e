"""GET /usage and `outpost usage`: a tenant sees its own counters, an operator all, at a bounded cost."""

import csv
import io
import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner

import outpost.store.usage
from outpost.domain.dispatch import Status, Usage
from outpost.domain.ids import now
from outpost.domain.lifecycle import Finish, Report, Start
from outpost.domain.reasons import Reason, ReasonCode
from outpost.domain.tenants import OPERATOR, Overrides, Scope, Tenant
from outpost_client.cli import connection
from outpost_client.cli.main import app
from tests.contract.running import TASK, Api, fields, refused

USED = Usage(
    duration_seconds=36,
    input_tokens=1_000,
    cached_input_tokens=150,
    output_tokens=400,
    model_calls=2,
    model_cost_usd=1.25,
    vcpu_seconds=72,
    gb_seconds=144,
)


def run(api: Api, client: httpx.Client, **spec: object) -> str:
    """Run a dispatch of claude to its end, and let it be counted."""
    id_ = str(client.post("/dispatch", json=TASK | {"agent": "claude", **spec}).json()["data"]["id"])
    lease = api.claim(id_).lease
    assert lease is not None
    reason = Reason.of(ReasonCode.COMPLETED, "Done.")
    api.advance(
        id_,
        Start(lease, now()),
        Finish(lease, 0, now()),
        Report(lease, Status.SUCCESS, reason, now(), 0, USED),
    )
    assert api.services.usage.counters.count(id_)
    return id_


def usage(client: httpx.Client, **query: object) -> Any:  # noqa: ANN401 - JSON
    response = client.get("/usage", params=query)  # type: ignore[arg-type]
    assert response.status_code == 200, response.text
    return response.json()["data"]


@pytest.fixture
def rich(api: Api) -> Tenant:
    """A tenant with a budget of the month."""
    own = Overrides(daily=1_000, requests_per_minute=10_000, monthly_budget_usd=10)
    return api.tenant(overrides=own)


def test_usage_shows_tokens_cost_compute_and_the_budget(api: Api, rich: Tenant) -> None:
    with api.client(api.key(rich)) as client:
        run(api, client)
        run(api, client, modelId="fast")
        shown = usage(client)
    today = now().date()
    figures = {
        "dispatches": 2,
        "unpricedDispatches": 0,
        "inputTokens": 2_000,
        "cachedInputTokens": 300,
        "outputTokens": 800,
        "modelCalls": 4,
        "costUsd": 2.5,
        "durationSeconds": 72.0,
        "vcpuSeconds": 144.0,
        "gbSeconds": 288.0,
    }
    group = {"day": today.isoformat(), "tenant": None, "agent": None, "model": None, "tag": None}
    assert shown == {
        "since": today.replace(day=1).isoformat(),
        "until": today.isoformat(),
        "tenant": rich.id,
        "rows": [figures | group],
        "total": figures,
        "budget": {"month": f"{today:%Y-%m}", "limitUsd": 10.0, "committedUsd": 2.5, "chargedUsd": 2.5},
    }


def test_usage_is_grouped_as_the_request_says(api: Api, client: httpx.Client) -> None:
    for spec in ({"tags": {"team": "web"}}, {"tags": {"team": "web"}, "modelId": "fast"}, {"tags": {"team": "api"}}):
        run(api, client, **spec)

    def rows(*names: str, **query: object) -> list[tuple[object, ...]]:
        return [tuple(row[name] for name in (*names, "dispatches")) for row in usage(client, **query)["rows"]]

    assert rows("model", groupBy="model") == [("claude-haiku-5-5", 1), ("claude-opus-5-5", 2)]
    assert rows("agent", "model", groupBy=["agent", "model"])[0] == ("claude", "claude-haiku-5-5", 1)
    today = now().date().isoformat()
    assert rows("day", "tag", tag="team") == [(today, "api", 1), (today, "web", 2)]
    assert rows("model", "tag", tag="team", groupBy="model")[0] == ("claude-haiku-5-5", "web", 1)
    assert rows("day", tag="colour") == []
    assert rows("day", until=(now().date() - timedelta(days=1)).isoformat(), since="2026-01-01") == []


def test_a_tenant_sees_its_own_usage_and_no_other(
    api: Api, tenant: Tenant, client: httpx.Client, stranger: httpx.Client, operator: httpx.Client
) -> None:
    run(api, client)
    assert usage(stranger)["rows"] == []
    for name in (tenant.id, "no-such-tenant", "*"):
        refused(stranger.get("/usage", params={"tenant": name}), 403, "AUTHORIZATION_ERROR")
        refused(stranger.get("/usage.csv", params={"tenant": name}), 403, "AUTHORIZATION_ERROR")
    for key in (api.key(OPERATOR, Scope.LIST), api.key(api.tenant(), Scope.ADMIN)):
        with api.client(key) as reader:
            refused(reader.get("/usage", params={"tenant": tenant.id}), 403, "AUTHORIZATION_ERROR")
    with api.client(api.key(tenant, Scope.DISPATCH)) as unlisted:
        refused(unlisted.get("/usage"), 403, "AUTHORIZATION_ERROR")
    assert usage(operator, tenant=tenant.id)["total"]["dispatches"] == 1
    everyone = usage(operator, tenant="*", groupBy="tenant")
    assert [row["dispatches"] for row in everyone["rows"] if row["tenant"] == tenant.id] == [1]
    assert everyone["total"]["dispatches"] == sum(row["dispatches"] for row in everyone["rows"])


@pytest.mark.parametrize(
    ("query", "field", "message"),
    [
        ({"since": "2026-02-30"}, "since", 'is "2026-02-30": give a day as YYYY-MM-DD'),
        ({"until": "2999-01-01"}, "until", "2999-01-01 is after today, "),
        ({"since": "2026-03-02", "until": "2026-03-01"}, "since", "2026-03-02 is after until, 2026-03-01"),
        ({"since": "2024-01-01", "until": "2026-01-01"}, "since", "at most 400 are kept"),
        ({"groupBy": "colour"}, "groupBy.0", "is \"colour\": give 'day', "),
        ({"colour": "red"}, "colour", "not known"),
    ],
)
def test_what_cannot_be_shown_is_refused_with_the_field_and_the_remedy(
    client: httpx.Client, query: dict[str, str], field: str, message: str
) -> None:
    for path in ("/usage", "/usage.csv"):
        error = refused(client.get(path, params=query), 400, "VALIDATION_ERROR")
        assert fields(error) == {field}
        assert message in error["details"][0]["message"]


def test_a_tenant_that_does_not_exist_has_no_usage(operator: httpx.Client, client: httpx.Client) -> None:
    for path in ("/usage", "/usage.csv"):
        refused(operator.get(path, params={"tenant": "nobody"}), 404, "NOT_FOUND")
        refused(client.get(path, params={"tenant": "nobody"}), 403, "AUTHORIZATION_ERROR")


def test_tags_of_all_tenants_together_are_refused(operator: httpx.Client) -> None:
    error = refused(operator.get("/usage", params={"tenant": "*", "tag": "team"}), 400, "VALIDATION_ERROR")
    assert fields(error) == {"tag"}


def test_a_report_costs_a_query_a_month_however_many_dispatches_there_were(
    api: Api, client: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(3):
        run(api, client, tags={"n": "1"})
    usage(client)  # the key is known from now on
    before = api.calls.made.copy()
    usage(client, since=(now().date().replace(day=1) - timedelta(days=1)).isoformat())
    made = {name: n for name, n in (api.calls.made - before).items() if name.startswith("dynamodb.")}
    assert made == {"dynamodb.Query": 2, "dynamodb.GetItem": 2}
    monkeypatch.setattr(outpost.store.usage, "MOST_ITEMS", 0)
    error = refused(client.get("/usage"), 400, "VALIDATION_ERROR")
    assert "ask for a shorter period" in error["message"]


def test_csv_has_the_rows_and_no_cell_that_a_spreadsheet_takes_for_a_formula(api: Api, client: httpx.Client) -> None:
    values = ["=HYPERLINK(1)", "+1", "-1", "@SUM(1)", "\t=1", "\uff1d1", 'a,"b"\nc', "plain"]
    for value in values:
        run(api, client, tags={"t": value})
    response = client.get("/usage.csv", params={"tag": "t", "groupBy": "agent"})
    assert response.headers["content-type"] == "text/csv; charset=utf-8"
    assert response.headers["content-disposition"].startswith('attachment; filename="usage-20')
    head, *rows = csv.reader(io.StringIO(response.text, newline=""))
    assert head[:4] == ["agent", "tag", "dispatches", "unpricedDispatches"]
    assert {tuple(row[:3]) for row in rows} == {
        ("claude", value if value[0] in "ap" else f"'{value}", "1") for value in values
    }
    assert all(row[head.index("costUsd")] == "1.25" for row in rows)


def test_the_command_line_shows_usage_as_a_table_as_json_and_as_csv(
    api: Api, rich: Tenant, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "LOCAL_PROFILE", tmp_path / "none.json")
    monkeypatch.setattr(connection, "USER_PROFILE", tmp_path / "none.json")
    key = api.key(rich)
    with api.client(key) as client:
        run(api, client, tags={"team": "web"})

    def outpost_usage(*arguments: str, **variables: str) -> Any:  # noqa: ANN401 - Click's result
        environment = {"OUTPOST_URL": api.url, "OUTPOST_API_KEY": key, "COLUMNS": "200", **variables}
        return CliRunner().invoke(app, ["usage", *arguments], env=environment)

    table = outpost_usage("--by", "agent", "--by", "model", "--tag", "team").stdout
    assert "AGENT   MODEL" in table
    assert "claude  claude-opus-5-5  web  1" in " ".join(table.split("\n")).replace("   ", "  ")
    assert "1.25 USD of model calls are spent or reserved of a budget of 10.00 USD; 8.75 USD are left." in table
    assert json.loads(outpost_usage("--json").stdout)["total"]["costUsd"] == 1.25
    assert outpost_usage("--csv", "--by", "agent").stdout.splitlines()[1].startswith("claude,1,0,1000,150,400,2,1.25")
    wrong = outpost_usage("--by", "colour")
    assert wrong.exit_code == 2
    assert "--by: is" in wrong.output
    operators = outpost_usage("--tenant", rich.id, "--json", OUTPOST_API_KEY=api.key(OPERATOR, Scope.ADMIN)).stdout
    assert json.loads(operators)["total"]["dispatches"] == 1
