"""A lease and the credentials that come with it, between a real broker function and a real bucket."""

import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta

import boto3
import pytest

from broker.credentials import AttemptCredentials
from outpost.domain.artifacts import Artifact, LogSource, Summary, stored_name
from outpost.domain.collection import Collection, LeftOut
from outpost.domain.dispatch import Dispatch, Status, Usage
from outpost.domain.findings import Findings
from outpost.domain.ids import new_id, now
from outpost.domain.lifecycle import Lose
from outpost.domain.protocol import Assignment, ClaimRequest, Credentials, SecretCredentials
from outpost.domain.reasons import Reason, ReasonCode
from outpost.fleet.recovery import Recovery
from outpost.names import Env
from tests.launched import claim_request, launch
from tests.loopback import Service, serving
from tests.worker.brokers import create_broker
from tests.worker.collecting import Run
from tests.worker.conftest import Platform
from worker import lease
from worker import store as store_module
from worker.agent_process import AgentEnd
from worker.attempt_redactor import AttemptRedactor
from worker.broker import BrokerClient, BrokerError
from worker.collect import Patch
from worker.lease import Fence, Heartbeat
from worker.logs import RunLog
from worker.outcome import Outcome
from worker.results import Results
from worker.stop import Cause, Stopped, StopSignal
from worker.store import AttemptStore, SecretError, UploadError

LOST = Reason.of(ReasonCode.WORKER_LOST, "lost")
FOUND = Findings(secrets={"NPM_TOKEN": 1}, withheld=(Artifact.PATCH,))
LEFT = Collection.of([LeftOut(path="pipe", reason="a named pipe")])
OUTCOME = Outcome(Status.SUCCESS, Reason.of(ReasonCode.COMPLETED, "done"), 0)


@dataclass(frozen=True)
class Claimed:
    """A dispatch that a test holds, as a worker does."""

    row: Dispatch
    assignment: Assignment
    broker: BrokerClient


@pytest.fixture
def claimed(platform: Platform) -> Claimed:
    platform.dispatch("echo hello")
    broker = BrokerClient(platform.environment[Env.BROKER_FUNCTION])
    assignment = broker.claim(claim_request(launch(platform.registry))).assignment
    assert assignment is not None
    row = platform.dispatches.get(assignment.dispatch_id)
    assert row is not None
    return Claimed(row, assignment, broker)


def _fence(claimed: Claimed, stop: StopSignal, taken: list[Credentials], **changes: object) -> Fence:
    credentials = claimed.assignment.credentials.model_copy(update=changes)
    assignment = claimed.assignment.model_copy(update={"credentials": credentials})
    return Fence(claimed.broker, assignment, stop, lambda credentials, _: taken.append(credentials))


def test_credentials_that_end_soon_are_renewed(claimed: Claimed) -> None:
    taken: list[Credentials] = []
    heartbeat = Heartbeat(_fence(claimed, StopSignal(), taken, expires_at=now() + timedelta(minutes=5)), lambda: None)
    heartbeat.beat()
    heartbeat.beat()
    assert len(taken) == 1
    assert taken[0].expires_at > now() + timedelta(minutes=30)


def test_nothing_is_written_under_a_lost_lease(
    claimed: Claimed, platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "TRUSTED_SECONDS", -1.0)
    stop = StopSignal()
    store = AttemptStore(claimed.assignment)
    store.check = _fence(claimed, stop, []).check
    store.put_chunk(1, b"in time\n")
    reason = Reason.of(ReasonCode.WORKER_LOST, "lost")
    platform.dispatches.change(claimed.row.id, Lose(claimed.assignment.lease, reason, now()))
    with pytest.raises(Stopped):
        store.put_chunk(2, b"too late\n")
    assert stop.cause is Cause.LOST
    assert platform.keys(platform.row(claimed.row)) == {"chunks/000001.jsonl"}


def test_what_is_stored_is_never_replaced(claimed: Claimed, platform: Platform) -> None:
    store = AttemptStore(claimed.assignment)
    store.put_chunk(1, b"first\n")
    store.put_chunk(1, b"first\n")
    with pytest.raises(UploadError, match="holds something else"):
        store.put_chunk(1, b"second\n")
    key = f"{claimed.assignment.prefix}chunks/000001.jsonl"
    assert boto3.client("s3").get_object(Bucket=platform.bucket, Key=key)["Body"].read() == b"first\n"


def test_a_summary_of_somebody_else_means_that_the_lease_is_lost(
    claimed: Claimed, platform: Platform, results: Results
) -> None:
    """What closes a dispatch without its worker stores a summary first."""
    key = f"{claimed.assignment.prefix}{Artifact.SUMMARY}"
    boto3.client("s3").put_object(Bucket=platform.bucket, Key=key, Body=b"{}")
    with pytest.raises(Stopped) as stopped:
        results.upload(OUTCOME, 10, lambda: results.summary(OUTCOME, Usage(), None))
    assert stopped.value.cause is Cause.LOST
    assert not results.stored
    assert boto3.client("s3").get_object(Bucket=platform.bucket, Key=key)["Body"].read() == b"{}"


def test_what_cannot_be_stored_is_an_error_with_its_name(claimed: Claimed) -> None:
    store = AttemptStore(claimed.assignment.model_copy(update={"bucket": "no-such-bucket-here"}))
    with pytest.raises(UploadError, match=r"chunks/000001\.jsonl was not stored"):
        store.put_chunk(1, b"line\n")


def test_secrets_are_read_with_the_attempts_credentials_and_a_missing_one_is_named(
    claimed: Claimed, platform: Platform
) -> None:
    name = f"secret-{new_id()}"
    arn = boto3.client("secretsmanager").create_secret(Name=name, SecretString=json.dumps("value"))["ARN"]
    store = AttemptStore(claimed.assignment)
    store.use(AttemptCredentials.from_environment().mint(claimed.row, [arn]))
    assert store.read_secrets({"TOKEN": arn}) == {"TOKEN": '"value"'}
    with pytest.raises(SecretError, match="OTHER"):
        store.read_secrets({"OTHER": arn.replace(name, "missing")})


def test_secrets_with_credentials_of_their_own_are_read_with_those(
    claimed: Claimed, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = b'{"SecretString": "value"}'
    response = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
    own = claimed.assignment.credentials.model_copy(update={"access_key_id": "AKIDOFTHEOTHERS"})
    more = (SecretCredentials(arns=("arn:b", "arn:c"), credentials=own),)
    with serving(Service(response, response, response)) as service:
        monkeypatch.setenv("AWS_ENDPOINT_URL_SECRETS_MANAGER", f"http://127.0.0.1:{service.server_port}")
        store = AttemptStore(claimed.assignment.model_copy(update={"secret_credentials": more}))
        assert store.read_secrets({"A": "arn:a", "B": "arn:b", "C": "arn:c"}) == dict.fromkeys("ABC", "value")
    keys = [headers["authorization"].partition("Credential=")[2].partition("/")[0] for headers, _ in service.asked]
    assert keys == [claimed.assignment.credentials.access_key_id, *["AKIDOFTHEOTHERS"] * 2]


@pytest.mark.usefixtures("environment")
def test_an_error_of_the_broker_function_surfaces() -> None:
    function = create_broker(f"broken-{new_id().lower()}", variables={})  # it misses the names of its tables
    broker = BrokerClient(function)
    with pytest.raises(BrokerError, match=r"failed: .*DISPATCHES_TABLE"):
        broker.claim(ClaimRequest(worker_id="w", task_arn="arn:x/w", agent="shell", revision=1))


@pytest.fixture
def results(claimed: Claimed, run: Run) -> Iterator[Results]:
    """The results of an attempt that ended: a patch with a secret, something left out, and an output."""
    store = AttemptStore(claimed.assignment)
    redactor = AttemptRedactor()
    log = RunLog(store, run.workspace.private / "output.log", redactor)
    results = Results(claimed.assignment, run.workspace, store, log, redactor)
    patch = run.workspace.private / Artifact.PATCH
    patch.write_text("patch!")
    results.end = AgentEnd(0, 1.0)
    results.patch = Patch(patch, 1, {}, LEFT, FOUND, None)
    log.write(LogSource.AGENT, ["a long line of output"])
    yield results
    log.abandon()
    with suppress(UploadError):
        log.close(1)


def test_a_patch_with_a_secret_is_not_stored_once_the_dispatch_was_closed(
    claimed: Claimed, platform: Platform, results: Results
) -> None:
    """What closed it could not know of the findings: the patch could be released by nobody."""
    fence = _fence(claimed, StopSignal(), [])
    results.store.check = fence.check
    results.store.confirm = fence.confirm
    fence.check()
    platform.dispatches.change(claimed.row.id, Lose(claimed.assignment.lease, LOST, now()))
    with pytest.raises(Stopped):
        results.upload(OUTCOME, 10, None)
    assert stored_name(Artifact.PATCH, withheld=True) not in platform.keys(platform.row(claimed.row))


def test_a_worker_killed_before_its_summary_leaves_all_that_the_status_says(
    claimed: Claimed, platform: Platform, results: Results
) -> None:
    def killed() -> Summary:
        raise SystemExit

    with pytest.raises(SystemExit):
        results.upload(OUTCOME, 10, killed)
    ended = Recovery(platform.dispatches, platform.artifacts).close(platform.row(claimed.row), LOST)
    assert ended
    assert (ended.findings, ended.collection) == (FOUND, LEFT)


def test_an_output_too_large_to_be_stored_costs_no_patch(
    claimed: Claimed, platform: Platform, results: Results, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "MAX_ARTIFACT_BYTES", 10)
    outcome = results.upload(OUTCOME, 10, None)
    assert outcome.reason.code is ReasonCode.ARTIFACT_TOO_LARGE
    assert stored_name(Artifact.PATCH, withheld=True) in platform.keys(platform.row(claimed.row))
