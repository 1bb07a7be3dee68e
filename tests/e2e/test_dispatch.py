"""A dispatched task comes back with its patch, whatever its size, and every one is executed exactly once."""

import json
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from outpost_client import ApiError
from outpost_client.results import Status

Outpost = Any


@pytest.mark.full
def test_twenty_at_once_leave_twenty_distinct_patches_summaries_and_logs(outpost: Outpost, repository: str) -> None:
    def one(number: int) -> str:
        task = f"echo 'NUMBER = {number}' > src/number_{number}.py\necho 'this is task {number}'"
        return str(outpost.dispatch(task, repo=repository, tags={"number": str(number)}).id)

    with ThreadPoolExecutor(8) as pool:
        ids = list(pool.map(one, range(20)))
    ended = [outpost.ends(dispatch_id, within=120) for dispatch_id in ids]
    assert [(d.status, d.attempt, d.exit_code) for d in ended] == [(Status.SUCCESS, 1, 0)] * 20
    for number, dispatch_id in enumerate(ids):
        patch = outpost.artifact(dispatch_id, "changes.patch").decode()
        assert f"+NUMBER = {number}\n" in patch
        assert patch.count("diff --git") == 1
        summary = json.loads(outpost.artifact(dispatch_id, "summary.json"))
        assert (summary["dispatch_id"], summary["outcome"]) == (dispatch_id, "success")
        assert outpost.log(dispatch_id).count(f"this is task {number}") == 1


def test_a_patch_applies_to_the_commit_it_names(outpost: Outpost, repository: str, tmp_path: Path) -> None:
    dispatch = outpost.dispatch("sed -i 's/1/2/' src/widget.py\nprintf '\\0\\1' > blob", repo=repository)
    assert outpost.ends(dispatch.id).status is Status.SUCCESS
    (tmp_path / "p.patch").write_bytes(outpost.artifact(dispatch.id, "changes.patch"))
    base = json.loads(outpost.artifact(dispatch.id, "summary.json"))["commit_before"]
    url = f"{outpost.environment.git.url}/{repository}"
    clone = tmp_path / "clone"
    for argv in (
        ["clone", "--quiet", url, str(clone)],
        ["-C", str(clone), "checkout", "--quiet", base],
        ["-C", str(clone), "apply", str(tmp_path / "p.patch")],
    ):
        subprocess.run(["git", *argv], check=True, capture_output=True)  # noqa: S607 - the machine's git
    assert (clone / "src/widget.py").read_text() == "SIZE = 2\n"
    assert (clone / "blob").read_bytes() == b"\x00\x01"


def test_a_task_of_fifty_thousand_characters_works(outpost: Outpost) -> None:
    head = "wc -c < /dev/null > /dev/null\necho long\n# "
    dispatch = outpost.dispatch(head + "x" * (50_000 - len(head)))
    assert outpost.ends(dispatch.id).status is Status.SUCCESS
    assert "long" in outpost.log(dispatch.id)


def test_a_failing_task_says_with_which_code(outpost: Outpost) -> None:
    ended = outpost.ends(outpost.dispatch("echo about to fail\nexit 3").id)
    assert (ended.status, ended.exit_code, ended.reason.code) == (Status.FAILED, 3, "AGENT_EXIT_NONZERO")


@pytest.mark.full
def test_the_time_limit_ends_a_task_and_keeps_what_it_did(outpost: Outpost) -> None:
    ended = outpost.ends(outpost.dispatch("echo started; touch made; sleep 600", timeout_seconds=30).id, within=90)
    assert (ended.status, ended.reason.code) == (Status.TIMEOUT, "TIME_LIMIT")
    assert "started" in outpost.log(ended.id)
    assert b"made" in outpost.artifact(ended.id, "changes.patch")


def test_a_running_task_is_cancelled_at_its_next_heartbeat(outpost: Outpost) -> None:
    dispatch = outpost.dispatch("echo waiting; sleep 600")
    outpost.reaches(dispatch.id, Status.RUNNING, within=60)
    outpost.client.cancel(dispatch.id, "changed my mind")
    ended = outpost.ends(dispatch.id)
    assert (ended.status, ended.reason.message) == (Status.CANCELLED, "Cancelled: changed my mind")


def test_what_the_agent_prints_of_a_secret_is_redacted(outpost: Outpost) -> None:
    dispatch = outpost.dispatch("echo key ghp_0123456789abcdefghijABCDEFGHIJ456789")
    outpost.ends(dispatch.id)
    assert not [line for line in outpost.log(dispatch.id) if "0123456789abcdef" in line]


def test_an_unknown_branch_is_a_clone_failure(outpost: Outpost, repository: str) -> None:
    ended = outpost.ends(outpost.dispatch("echo never", repo=repository, branch="no-such-branch").id)
    assert (ended.status, ended.reason.code) == (Status.FAILED, "CLONE_FAILED")


def test_the_agent_sees_nothing_of_the_platforms_environment(outpost: Outpost) -> None:
    dispatch = outpost.dispatch("env | cut -d= -f1 | sort")
    outpost.ends(dispatch.id)
    names = set(outpost.log(dispatch.id)) - {"OUTPOST_CONTEXT"}  # the folder with the context's files
    assert not [name for name in names if name.startswith(("AWS_", "OUTPOST_", "ECS_"))]


@pytest.mark.parametrize(
    ("fields", "code", "field"),
    [
        ({"agent": "nobody"}, "VALIDATION_ERROR", "agent"),
        ({"timeoutSeconds": -1}, "VALIDATION_ERROR", "timeoutSeconds"),
        ({"branch": "--upload-pack=x", "repo": "a/b"}, "VALIDATION_ERROR", "branch"),
        ({"surprise": 1}, "VALIDATION_ERROR", "surprise"),
    ],
)
def test_bad_input_is_refused_with_the_field_through_the_load_balancer(
    outpost: Outpost, fields: dict[str, Any], code: str, field: str
) -> None:
    body = {"agent": "shell", "task": "echo hello world"} | fields
    answer = outpost.http.post("/dispatch", json=body)
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert error["code"] == code
    assert field in [detail["field"] for detail in error["details"]]


def test_malformed_json_an_oversize_body_and_a_foreign_key_get_the_contracts_errors(outpost: Outpost) -> None:
    http = outpost.http
    malformed = http.post("/dispatch", content=b"{", headers={"Content-Type": "application/json"})
    assert (malformed.status_code, malformed.json()["error"]["code"]) == (400, "VALIDATION_ERROR")
    oversize = http.post("/dispatch", json={"agent": "shell", "task": "x" * 1_100_000})
    assert (oversize.status_code, oversize.json()["error"]["code"]) == (413, "PAYLOAD_TOO_LARGE")
    foreign = http.post("/dispatch", json={}, headers={"Authorization": f"Bearer otp_{'0' * 64}"})
    assert (foreign.status_code, foreign.json()["error"]["code"]) == (401, "AUTHENTICATION_ERROR")


def test_an_unknown_dispatch_is_not_found(outpost: Outpost) -> None:
    with pytest.raises(ApiError) as refused:
        outpost.client.status("01ARZ3NDEKTSV4RRFFQ69G5FAV")
    assert refused.value.code == "NOT_FOUND"
