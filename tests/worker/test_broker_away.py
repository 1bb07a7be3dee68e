"""Whole runs, on real services, whose broker is away at some point: what the agent made is not lost."""

import json
import signal
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

import boto3
import pytest
from botocore.config import Config

from outpost.domain.artifacts import Artifact
from outpost.domain.dispatch import Status
from outpost.domain.ids import new_id, now
from outpost.domain.lifecycle import Cancel
from outpost.domain.reasons import Reason, ReasonCode
from outpost.domain.workspaces import QUOTAS
from outpost.fleet.recovery import Recovery
from outpost.names import Env
from outpost.store.database import Database
from outpost.store.workspaces import Workspaces
from tests.eventually import eventually
from tests.loopback import serving
from tests.worker.aws_endpoint import FAILED, HUNG_UP, THROTTLED, Endpoint, Payload, Response
from tests.worker.conftest import Platform
from tests.worker.test_workspaces import accept

LOST = Reason.of(ReasonCode.WORKER_LOST, "lost")
_MAIN = "import sys; from worker.__main__ import main; sys.exit(main())"
IMPATIENT = ("-c", f"import worker.steps; worker.steps.REPORT_SECONDS = 1.0; {_MAIN}")
"""A worker that reports for a second."""
BROKEN_REPORT = (
    "-c",
    f"""
from worker.lease_calls import LeaseCalls

report = LeaseCalls.report

def broken(*_):
    LeaseCalls.report = report
    raise RuntimeError("broken")

LeaseCalls.report = broken
{_MAIN}""",
)
"""A worker whose first report fails by an error of its own."""

UNCONFIRMED = (
    "-c",
    f"""
from worker.store import AttemptStore, UnconfirmedError

put_summary = AttemptStore.put_summary

def unconfirmed(*arguments):
    put_summary(*arguments)
    raise UnconfirmedError("no response")

AttemptStore.put_summary = unconfirmed
{_MAIN}""",
)
"""A worker whose summary is stored, and that gets no response to it."""

REFUSED = (
    "-c",
    f"""
from botocore.exceptions import ClientError
from worker import store

put = store.put_conditionally

def refuse(client, bucket, key, *arguments):
    if key.endswith("summary.json"):
        response = {{"Error": {{"Code": "AccessDenied"}}, "ResponseMetadata": {{"HTTPStatusCode": 403}}}}
        raise ClientError(response, "PutObject")
    return put(client, bucket, key, *arguments)

store.put_conditionally = refuse
{_MAIN}""",
)
"""A worker whose summary S3 refuses."""


@contextmanager
def broker_behind(platform: Platform, fails: Callable[[Payload], Response | None]) -> Iterator[dict[str, str]]:
    """Yield the variables of workers whose requests reach the real broker, except where `fails` returns a response."""
    client = boto3.client("lambda", config=Config(retries={"total_max_attempts": 4}))
    function = platform.environment[Env.BROKER_FUNCTION]

    def respond(request: Payload) -> Response:
        if failure := fails(request):
            return failure
        response = client.invoke(FunctionName=function, Payload=json.dumps(request))
        failed = {"X-Amz-Function-Error": response["FunctionError"]} if "FunctionError" in response else {}
        return Response(200, headers=failed, body=response["Payload"].read())

    with serving(Endpoint(respond)) as endpoint:
        yield {"AWS_ENDPOINT_URL_LAMBDA": f"http://127.0.0.1:{endpoint.server_port}"}


def test_a_run_succeeds_although_every_kind_of_request_fails_at_first(platform: Platform) -> None:
    seen: Counter[str] = Counter()
    failures = {
        "claim": THROTTLED,
        "started": FAILED,
        "ended": HUNG_UP,
        "reserve": FAILED,
        "saved": THROTTLED,
        "report": FAILED,
    }

    def first(request: Payload) -> Response | None:
        seen[request["op"]] += 1
        return failures.get(request["op"], HUNG_UP) if seen[request["op"]] == 1 else None

    workspaces, id_ = Workspaces(Database.from_environment()), new_id()
    row = accept(platform, workspaces, "echo kept > file", id_)
    with broker_behind(platform, first) as variables:
        assert platform.finish(platform.start_worker(variables)) == 0
    ended, workspace = platform.row(row), workspaces.get("acme", id_)
    assert ended.status is Status.SUCCESS, ended.reason
    assert ended.attempt == 1
    assert ended.completing_at
    assert workspace
    assert workspace.size_bytes > 0
    assert failures.keys() <= seen.keys()


def test_a_workspace_that_others_have_filled_meanwhile_is_refused_and_the_results_are_kept(platform: Platform) -> None:
    database = Database.from_environment()
    workspaces, other, id_ = Workspaces(database), new_id(), new_id()

    def fill(size: int) -> None:
        database.update(database.workspaces, "TENANT#acme", f"WORKSPACE#{other}", "SET size_bytes = :size", size=size)

    def others_save_first(request: Payload) -> Response | None:
        if request["op"] == "reserve":
            fill(QUOTAS["free"].size_bytes)
        return None

    platform.dispatches.change(accept(platform, workspaces, "echo other", other).id, Cancel(None, now()))
    row = accept(platform, workspaces, "echo made > file", id_)
    with broker_behind(platform, others_save_first) as variables:
        assert platform.finish(platform.start_worker(variables)) == 0
    fill(0)
    ended, workspace = platform.row(row), workspaces.get("acme", id_)
    assert (ended.status, ended.reason and ended.reason.code) == (Status.FAILED, ReasonCode.WORKSPACE_FULL)
    assert ended.reason
    assert "0 MiB that are left" in ended.reason.message
    assert "Delete other workspaces" in ended.reason.remedy
    assert "made" in platform.read(ended, Artifact.PATCH).decode()
    assert workspace
    assert workspace.size_bytes == 0


@pytest.mark.parametrize("comes_back", [True, False], ids=["reported once it is back", "recovered from the summary"])
def test_a_success_survives_a_broker_that_is_away_at_its_end(platform: Platform, comes_back: bool) -> None:
    away, back = threading.Event(), threading.Event()

    def fails(request: Payload) -> Response | None:
        if request["op"] == "ended":
            away.set()
        return THROTTLED if away.is_set() and not back.is_set() else None

    row = platform.dispatch("echo made > file")
    with broker_behind(platform, fails) as variables:
        worker = platform.start_worker(variables, IMPATIENT if not comes_back else ("-m", "worker"))
        eventually(lambda: platform.row(row).running_at and "summary.json" in platform.keys(platform.row(row)))
        if comes_back:
            assert platform.row(row).status is Status.RUNNING  # nobody could be asked
            back.set()
        assert platform.finish(worker) == (0 if comes_back else 1)
    if not comes_back:
        assert platform.row(row).status is Status.RUNNING
        Recovery(platform.dispatches, platform.artifacts).close(platform.row(row), LOST)
    ended = platform.row(row)
    assert ended.status is Status.SUCCESS, ended.reason
    assert ended.completing_at
    assert b"+made" in platform.read(ended, Artifact.PATCH)


@pytest.mark.parametrize("program", [BROKEN_REPORT, UNCONFIRMED], ids=["broken report", "unconfirmed summary"])
def test_a_failure_of_the_harness_changes_no_outcome_that_is_stored(
    platform: Platform, program: tuple[str, str]
) -> None:
    row = platform.dispatch("echo made > file")
    assert platform.finish(platform.start_worker(program=program)) == 1
    assert platform.row(row).status is Status.COMPLETING
    Recovery(platform.dispatches, platform.artifacts).close(platform.row(row), LOST)
    assert platform.row(row).status is Status.SUCCESS


def test_a_summary_that_s3_refuses_is_reported_as_a_failed_upload(platform: Platform) -> None:
    row = platform.dispatch("echo made > file")
    assert platform.finish(platform.start_worker(program=REFUSED)) == 0
    ended = platform.row(row)
    assert (ended.status, ended.reason and ended.reason.code) == (Status.FAILED, ReasonCode.UPLOAD_FAILED)
    assert b"+made" in platform.read(ended, Artifact.PATCH)


def test_a_worker_that_is_stopped_leaves_its_checkpoint_while_the_broker_hangs(platform: Platform) -> None:
    hangs, released = threading.Event(), threading.Event()

    def fails(_: Payload) -> Response | None:
        if hangs.is_set():
            released.wait(60)
            return HUNG_UP
        return None

    row = platform.dispatch("echo partial > file; echo ready; sleep 1000")
    with broker_behind(platform, fails) as variables:
        worker = platform.start_worker(variables)
        platform.wait_for(row, "ready")
        hangs.set()
        asked = now()
        worker.send_signal(signal.SIGTERM)
        assert platform.finish(worker) == 143
        assert now() - asked < timedelta(seconds=30)
        released.set()
    assert b"+partial" in platform.read(platform.row(row), Artifact.PATCH)
