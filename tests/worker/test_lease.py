"""A lease and the credentials that come with it, between a real broker function and a real bucket."""

import json
from dataclasses import dataclass
from datetime import timedelta

import boto3
import pytest

from outpost.domain.dispatch import Dispatch
from outpost.domain.ids import new_id, now
from outpost.domain.lifecycle import Lose
from outpost.domain.protocol import Assignment, ClaimRequest, Credentials, SecretCredentials
from outpost.domain.reasons import Reason, ReasonCode
from outpost.names import Env
from outpost.store.credentials import AttemptCredentials
from tests.loopback import Service, serving
from tests.worker.brokers import create_broker
from tests.worker.conftest import Platform
from worker import lease as lease_module
from worker.broker import Broker, BrokerError
from worker.lease import Lease
from worker.stop import Cause, Stopped, StopSignal
from worker.store import AttemptStore, SecretError, UploadError


@dataclass(frozen=True)
class Claimed:
    """A dispatch that a test holds, as a worker does."""

    row: Dispatch
    assignment: Assignment
    broker: Broker


@pytest.fixture
def claimed(platform: Platform) -> Claimed:
    platform.dispatch("echo hello")
    broker = Broker(boto3.client("lambda"), platform.environment[Env.BROKER_FUNCTION])
    worker_id = new_id()
    request = ClaimRequest(worker_id=worker_id, task_arn=f"arn:x/{worker_id}", agent="shell", revision=1)
    assignment = broker.claim(request).assignment
    assert assignment is not None
    row = platform.dispatches.get(assignment.dispatch_id)
    assert row is not None
    return Claimed(row, assignment, broker)


def _lease(claimed: Claimed, stop: StopSignal, taken: list[Credentials], **changes: object) -> Lease:
    credentials = claimed.assignment.credentials.model_copy(update=changes)
    assignment = claimed.assignment.model_copy(update={"credentials": credentials})
    return Lease(claimed.broker, assignment, stop, lambda credentials, _: taken.append(credentials))


def test_credentials_that_end_soon_are_renewed(claimed: Claimed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease_module, "TRUSTED_SECONDS", -1.0)
    taken: list[Credentials] = []
    lease = _lease(claimed, StopSignal(), taken, expires_at=now() + timedelta(minutes=5))
    lease.check()
    lease.check()
    assert len(taken) == 1
    assert taken[0].expires_at > now() + timedelta(minutes=30)


def test_nothing_is_written_under_a_lost_lease(
    claimed: Claimed, platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease_module, "TRUSTED_SECONDS", -1.0)
    stop = StopSignal()
    store = AttemptStore(claimed.assignment)
    store.check = _lease(claimed, stop, []).check
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
    broker = Broker(boto3.client("lambda"), function)
    with pytest.raises(BrokerError, match=r"failed: .*DISPATCHES_TABLE"):
        broker.claim(ClaimRequest(worker_id="w", task_arn="arn:x/w", agent="shell", revision=1))
