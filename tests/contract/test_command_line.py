"""The command line and its client against the real service."""

import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from outpost.domain.artifacts import attempt_prefix
from outpost.domain.dispatch import Lease, Status
from outpost.domain.ids import now
from outpost.domain.lifecycle import Finish, Lose, Report, Start
from outpost.domain.reasons import Reason, ReasonCode
from outpost.domain.tenants import OPERATOR, Scope, Tenant
from outpost_client import Client
from outpost_client.cli import connection
from outpost_client.cli.main import app
from outpost_client.models import Dispatch, DispatchRequest, LogLine
from tests.contract.running import Api

TASK = DispatchRequest(agent="shell", task="echo hello, world", retryable=True)
Outpost = Callable[..., Result]


@pytest.fixture
def outpost(api: Api, tenant: Tenant, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Outpost:
    """The command line with a key of the tenant; `admin=True` takes one of the operator."""
    monkeypatch.setattr(connection, "LOCAL_PROFILE", tmp_path / "none.json")
    monkeypatch.setattr(connection, "USER_PROFILE", tmp_path / "none.json")
    keys = {False: api.key(tenant), True: api.key(OPERATOR, Scope.ADMIN)}

    def run(*arguments: str, admin: bool = False, text: str | None = None) -> Result:
        environment = {"OUTPOST_URL": api.url, "OUTPOST_API_KEY": keys[admin]}
        return CliRunner().invoke(app, arguments, input=text, env=environment)

    return run


@pytest.fixture
def session(api: Api, tenant: Tenant) -> Iterator[Client]:
    with Client(api.url, api.key(tenant)) as session:
        yield session


def end(api: Api, dispatch_id: str, outcome: Status) -> None:
    """Let a dispatch run and end."""
    row = api.claim(dispatch_id)
    lease = Lease(worker_id="worker-1", token=row.attempt)
    reason = Reason.of(ReasonCode.COMPLETED, "As the test wants it.")
    finish = [Finish(lease, 0, now())] if outcome is Status.SUCCESS else []
    api.advance(dispatch_id, Start(lease, now()), *finish, Report(lease, outcome, reason, now()))


def test_every_option_of_dispatch_reaches_the_service(api: Api, outpost: Outpost) -> None:
    options = (
        "--repo acme/website --branch main --timeout 77 --queue-timeout 88 --context full --model fast "
        "--workspace-init-mode minimal --workspace-mode ephemeral --tag team:web --tag url:http://x "
        "--collect dist/*.whl --collect reports --retryable --idempotency-key k-1 --max-cost-usd 2.5"
    )
    done = outpost("dispatch", "claude", "--file", "-", *options.split(), text="Fix the login page.\nThen stop.\n")
    assert done.exit_code == 0, done.output
    spec = api.row(done.stdout.strip()).spec
    assert spec.model_dump(exclude={"kind", "model_id", "workspace_id", "promotes"}) == {
        "agent": "claude",
        "repo": "acme/website",
        "branch": "main",
        "context": "full",
        "collect": ("dist/*.whl", "reports"),
        "workspace_mode": "ephemeral",
        "workspace_init_mode": "minimal",
        "timeout_seconds": 77,
        "queue_timeout_seconds": 88,
        "additional_secrets": (),
        "tags": {"team": "web", "url": "http://x"},
        "retryable": True,
        "max_cost_usd": 2.5,
    }
    assert spec.model_id == "claude-haiku-5-5"
    assert api.stores.dispatches.task(done.stdout.strip()) == "Fix the login page.\nThen stop.\n"
    again = outpost("dispatch", "claude", "--file", "-", *options.split(), text="Fix the login page.\nThen stop.\n")
    assert again.stdout == done.stdout


def test_a_followed_dispatch_tells_each_state_and_line_once_through_a_retry(api: Api, session: Client) -> None:
    dispatch_id = session.dispatch(TASK).id

    def start_first() -> None:
        row = api.claim(dispatch_id)
        api.chunk(row, 1, "first attempt")
        lease = Lease(worker_id="worker-1", token=1)
        api.advance(dispatch_id, Start(lease, now()))

    def start_second() -> None:
        lease = Lease(worker_id="worker-1", token=1)
        api.advance(dispatch_id, Lose(lease, Reason.of(ReasonCode.WORKER_LOST, "Gone."), now()))
        api.chunk(api.claim(dispatch_id, "worker-2"), 1, "second attempt", "goes on")

    def finish() -> None:
        lease = Lease(worker_id="worker-2", token=2)
        api.advance(dispatch_id, Start(lease, now()))
        api.chunk(api.row(dispatch_id), 2, "and ends")
        completed = Reason.of(ReasonCode.COMPLETED, "Done.")
        api.advance(dispatch_id, Finish(lease, 0, now()), Report(lease, Status.SUCCESS, completed, now()))

    steps = iter([start_first, start_second, finish])
    events = list(session.follow(dispatch_id, pause=lambda _: next(steps)()))
    assert [event.message for event in events if isinstance(event, LogLine)] == [
        "first attempt",
        "second attempt",
        "goes on",
        "and ends",
    ]
    states = [event.status.value for event in events if isinstance(event, Dispatch)]
    assert states == ["pending", "running", "provisioning", "success"]


@pytest.mark.parametrize(
    ("outcome", "code"), [(Status.SUCCESS, 0), (Status.FAILED, 1), (Status.TIMEOUT, 124), (Status.CANCELLED, 130)]
)
def test_following_ends_with_the_exit_code_of_the_outcome(
    api: Api, outpost: Outpost, session: Client, outcome: Status, code: int
) -> None:
    dispatch_id = session.dispatch(TASK).id
    end(api, dispatch_id, outcome)
    followed = outpost("logs", "-f", dispatch_id, "--json")
    assert followed.exit_code == code
    last = json.loads(followed.stdout.splitlines()[-1])
    assert (last["type"], last["data"]["status"]) == ("dispatch", outcome)
    assert f"{outcome}" in outpost("status", dispatch_id).stdout


def test_logs_without_follow_print_all_pages_in_order(api: Api, outpost: Outpost, session: Client) -> None:
    dispatch_id = session.dispatch(TASK).id
    row = api.claim(dispatch_id)
    for number in (1, 2, 3):
        api.chunk(row, number, *(f"line {number}-{index}" for index in range(500)))
    lines = [json.loads(line)["message"] for line in outpost("logs", dispatch_id, "--json").stdout.splitlines()]
    assert lines == [f"line {number}-{index}" for number in (1, 2, 3) for index in range(500)]


def test_the_list_can_be_filtered_and_continued(api: Api, outpost: Outpost, session: Client) -> None:
    ids = [session.dispatch(TASK.model_copy(update={"tags": {"batch": "a"}})).id for _ in range(3)]
    session.dispatch(TASK)
    api.await_indexes()
    first = json.loads(outpost("list", "--tag", "batch:a", "--limit", "2", "--json").stdout)
    rest = json.loads(outpost("list", "--tag", "batch:a", "--limit", "2", "--cursor", first["cursor"], "--json").stdout)
    assert [item["id"] for item in first["items"] + rest["items"]] == ids[::-1]
    since = (now() + timedelta(hours=1)).isoformat()
    assert json.loads(outpost("list", "--since", since, "--json").stdout)["items"] == []
    shown = outpost("list", "--status", "pending", "--agent", "shell").stdout
    assert all(dispatch_id in shown for dispatch_id in ids)


def test_a_waiting_dispatch_is_cancelled_at_once_and_only_once(api: Api, outpost: Outpost, session: Client) -> None:
    dispatch_id = session.dispatch(TASK).id
    assert outpost("cancel", dispatch_id, "--reason", "no need").exit_code == 0
    assert "no need" in (reason.message if (reason := api.row(dispatch_id).reason) else "")
    again = outpost("cancel", dispatch_id)
    assert again.exit_code == 2
    assert "CONFLICT" in again.stderr


def test_artifacts_are_downloaded_whole(api: Api, outpost: Outpost, session: Client, tmp_path: Path) -> None:
    dispatch_id = session.dispatch(TASK).id
    assert "has left nothing" in outpost("artifacts", dispatch_id).stderr
    end(api, dispatch_id, Status.SUCCESS)
    row = api.row(dispatch_id)
    prefix = attempt_prefix(row.tenant_id, row.id, row.attempt)
    for name in ("output.log", "changes.patch", "summary.json"):
        api.store_object(f"{prefix}{name}", f"This is {name}.\n")
    done = outpost("artifacts", dispatch_id, "--download", str(tmp_path / "results"), "--json")
    assert done.exit_code == 0, done.output
    assert {item["name"] for item in json.loads(done.stdout)["artifacts"]} == {
        path.name for path in (tmp_path / "results").iterdir()
    }
    assert (tmp_path / "results" / "changes.patch").read_text() == "This is changes.patch.\n"
    refused = outpost("artifacts", dispatch_id, "--download", str(tmp_path / "results" / "changes.patch"))
    assert refused.exit_code == 2
    assert "cannot be written to" in refused.stderr


def test_the_operator_admits_a_tenant_and_shuts_it_out_again(api: Api, outpost: Outpost) -> None:
    name = api.tenant().id.replace("t-", "cli-")
    budget = ("--monthly-budget-usd", "12.50", "--json")
    created = json.loads(outpost("tenants", "create", name, "--tier", "pro", *budget, admin=True).stdout)
    assert created["ownLimits"]["monthlyBudgetUsd"] == created["limits"]["monthlyBudgetUsd"] == 12.5
    api.await_indexes()
    assert name in outpost("tenants", "list", admin=True).stdout
    issued = json.loads(outpost("keys", "create", name, "--name", "ci", "--scope", "list", "--json", admin=True).stdout)
    with Client(api.url, issued["key"]) as session:
        assert session.dispatches({}).items == []
    api.await_indexes()
    listed = outpost("keys", "list", name, admin=True).stdout
    assert issued["id"] in listed
    assert issued["key"] not in listed
    assert "suspended" in outpost("tenants", "suspend", name, "--cancel-running", admin=True).stdout
    assert "active" in outpost("tenants", "resume", name, admin=True).stdout
    assert "revoked" in outpost("keys", "revoke", issued["id"], admin=True).stdout


def test_the_operator_changes_limits_rotates_keys_and_keeps_secrets(api: Api, outpost: Outpost) -> None:
    name = api.tenant(overrides=None).id
    shown = json.loads(outpost("tenants", "set", name, "--daily", "7", "--json", admin=True).stdout)
    assert shown["limits"]["daily"] == 7
    again = outpost("tenants", "set", name, "--tier", "pro", "--concurrent", "3", "--json", admin=True).stdout
    assert json.loads(again)["ownLimits"] == {"concurrent": 3, "daily": 7} | dict.fromkeys(
        ("timeoutSeconds", "requestsPerMinute", "monthlyBudgetUsd")
    )
    budget = ("--monthly-budget-usd", "9.5", "--unset", "daily", "--json")
    assert json.loads(outpost("tenants", "set", name, *budget, admin=True).stdout)["ownLimits"] == {
        "concurrent": 3,
        "monthlyBudgetUsd": 9.5,
    } | dict.fromkeys(("daily", "timeoutSeconds", "requestsPerMinute"))
    for limits in (("--unset", "monthly-budget-usd"), ("--unset", "concurrent")):
        shown = json.loads(outpost("tenants", "set", name, *limits, "--json", admin=True).stdout)
        assert shown["ownLimits"]["concurrent"] == (3 if "concurrent" not in limits else None)
        assert shown["limits"]["monthlyBudgetUsd"] is None
    assert "monthly-budget-usd" in outpost("tenants", "set", name, "--unset", "budget", admin=True).stderr
    assert "500" in outpost("tenants", "set", name, "--reset", admin=True).stdout
    given = outpost("tenants", "set", name, "--repository", "acme/*", "--repository", "other/one", admin=True).stdout
    assert "acme/*, other/one" in given
    assert "acme/*, other/one, two/*" in outpost("tenants", "set", name, "--repository", "two/*", admin=True).stdout
    changed = ("--no-repository", "Other/One", "--no-repository", "two/*", "--repository", "ACME/*", "--json")
    assert json.loads(outpost("tenants", "set", name, *changed, admin=True).stdout)["repositories"] == ["ACME/*"]
    refused = outpost("tenants", "set", name, "--no-repository", "acme/app", admin=True)
    assert "acme/app is none of the tenant's repositories; it has ACME/*" in refused.stderr
    assert "public ones" in outpost("tenants", "set", name, "--no-repository", "acme/*", admin=True).stdout
    limited = outpost("tenants", "set", name, "--provider", "bedrock", "--provider", "xai", admin=True).stdout
    assert "bedrock, xai" in limited
    unclear = outpost("tenants", "set", name, "--provider", "bedrock", "--any-provider", admin=True)
    assert "give one of the two" in unclear.stderr
    ended = json.loads(outpost("tenants", "set", name, "--any-provider", "--json", admin=True).stdout)
    assert ended["providers"] == []
    assert "pro" in outpost("tenants", "show", name, admin=True).stdout
    issued = json.loads(outpost("keys", "create", name, "--days", "9", "--json", admin=True).stdout)
    assert not {"release", "admin"} & set(issued["scopes"])
    rotated = json.loads(outpost("keys", "rotate", issued["id"], "--overlap", "0", "--json", admin=True).stdout)
    api.await_indexes()
    assert "expired" in outpost("keys", "list", name, admin=True).stdout
    with Client(api.url, rotated["key"]) as session:
        assert session.dispatches({}).items == []
    common = outpost("secrets", "set", name, "NPM_TOKEN", admin=True, text="postgres\n")
    assert "not searched for: it is a common word" in common.stderr
    assert outpost("secrets", "list", name, admin=True).stdout.split()[-1] == "no"
    done = outpost("secrets", "set", name, "NPM_TOKEN", admin=True, text="the value\n")
    assert done.exit_code == 0, done.output
    assert "the value" not in done.output
    assert "NPM_TOKEN" in outpost("secrets", "list", name, admin=True).stdout
    assert outpost("secrets", "delete", name, "NPM_TOKEN", admin=True).exit_code == 0
    assert json.loads(outpost("secrets", "list", name, "--json", admin=True).stdout)["items"] == []


def test_a_refusal_is_told_with_its_field_and_an_exit_code_of_its_own(outpost: Outpost, tmp_path: Path) -> None:
    refused = outpost("dispatch", "shell", "echo hello, world", "--timeout", "5")
    assert refused.exit_code == 2
    assert "VALIDATION_ERROR" in refused.stderr
    assert "--timeout: is 5: give 30 or more" in refused.stderr
    unknown = outpost("dispatch", "shell", "echo hello, world", "--secret", "NPM_TOKEN", "--secret", "GH_TOKEN")
    assert "--secret: " in unknown.stderr
    assert "NPM_TOKEN, GH_TOKEN" in unknown.stderr
    script = tmp_path / "script.sh"
    script.write_text("echo one\0 echo two")
    with_nul = outpost("dispatch", "shell", "--file", str(script))
    assert with_nul.exit_code == 2
    assert "TASK: has a NUL character" in with_nul.stderr
    grouped = outpost("usage", "--by", "hour", "--since", "yesterday")
    assert "--by: is \"hour\": give 'day', " in grouped.stderr
    assert '--since: is "yesterday": give a day as YYYY-MM-DD' in grouped.stderr
    lacking = outpost("tenants", "list")
    assert lacking.exit_code == 2
    assert "outpost local operator-key" in lacking.stderr


def test_the_health_names_version_and_checks(api: Api) -> None:
    with Client(api.url) as session:
        health = session.health()
    assert health.version == "9.8.7"
    assert health.failing == ""
    assert {"dynamodb", "s3"} <= set(health.checks)
