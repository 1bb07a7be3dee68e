"""The audit log of a deployed environment, with its roles and its key: what it proves, and that an attack is found."""

import json
from typing import Any

import boto3
import pytest
from typer.testing import CliRunner

from outpost.domain.ids import new_id
from outpost.names import audit_log_group
from outpost_client.cli.main import app
from outpost_local.environment import LocalEnvironment
from outpost_ops.cli.audit import records
from tests.e2e.conftest import Outpost
from tests.eventually import eventually


def verified(environment: LocalEnvironment, monkeypatch: pytest.MonkeyPatch) -> tuple[int, dict[str, Any]]:
    """Return exit code and report of `outpost audit verify`."""
    with monkeypatch.context() as patch:
        for name, value in environment.environ().items():
            patch.setenv(name, value)
        boto3.setup_default_session()
        result = CliRunner().invoke(app, ["audit", "verify", "--env", "local", "--since", "6h", "--json"])
    assert result.stdout, result.output
    report: dict[str, Any] = json.loads(result.stdout)
    return result.exit_code, report


def test_the_log_is_proved_and_a_deleted_stream_is_named(outpost: Outpost, monkeypatch: pytest.MonkeyPatch) -> None:
    dispatch = outpost.dispatch("echo on record")
    outpost.ends(dispatch.id)
    logs, group = outpost.environment.client("logs"), audit_log_group("local")

    def states() -> list[dict[str, Any]]:
        found = [each for each in records(logs, group, 0, {"dispatch": dispatch.id}) if each["audit"] == "state"]
        return found if any(each["status"] == "success" for each in found) else []

    found = eventually(states, within=60, what="the states of the dispatch are recorded")
    code, report = verified(outpost.environment, monkeypatch)
    assert (code, report["status"], report["findings"]) == (0, "pass", [])
    assert report["checkpoints"] >= 2  # of the service's start, and of the function's invocations
    assert {"calls", "states"} == {stream["logStreamName"].partition("/")[0] for stream in streams(logs, group)}

    chain = found[-1]["chain"]
    logs.delete_log_stream(logGroupName=group, logStreamName=f"states/{chain}")
    code, report = verified(outpost.environment, monkeypatch)
    assert (code, report["status"]) == (1, "fail"), report
    assert {(each["kind"], each["chain"]) for each in report["findings"]} == {("removed", chain)}


def test_the_client_is_who_the_load_balancer_saw(outpost: Outpost) -> None:
    logs, id_ = outpost.environment.client("logs"), new_id()
    outpost.http.get("/dispatch", headers={"X-Forwarded-For": "8.8.8.8", "X-Request-ID": id_})

    def found() -> list[dict[str, Any]]:
        return list(records(logs, audit_log_group("local"), 0, {"request_id": id_}))

    (record,) = eventually(found, within=60, what="the call is recorded")
    assert record["client"] == "127.0.0.1"


def streams(logs: Any, group: str) -> list[dict[str, Any]]:  # noqa: ANN401 - a boto3 client
    found: list[dict[str, Any]] = logs.describe_log_streams(logGroupName=group)["logStreams"]
    return found
