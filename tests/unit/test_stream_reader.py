"""The reader of the stream: what each record makes of those who follow, over HTTP, and that none disturbs another."""

import json
from base64 import urlsafe_b64decode
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any, NamedTuple

import pytest
from aws_lambda_powertools.utilities.typing import LambdaContext

from dispatch_changes import handler as module
from dispatch_changes.handler import handler
from outpost.domain.audit import digest
from outpost.domain.audit_checkpoint import Checkpoint
from outpost.domain.dispatch import Dispatch
from outpost.domain.ids import new_id, now
from outpost.domain.lifecycle import Cancel, Claim, apply
from outpost.fleet.audit_writer import UndeliveredError
from outpost.names import Env
from outpost.store.rows import items_of
from tests.conftest import CREDENTIALS
from tests.loopback import Service, serving

ACCEPTED = b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n"
FAILED = b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 2\r\n\r\n{}"
DONE = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
STORED = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
SIGNED = b'HTTP/1.1 200 OK\r\nContent-Length: 21\r\n\r\n{"Signature": "c2ln"}'
SENT = b'HTTP/1.1 200 OK\r\nContent-Length: 18\r\n\r\n{"MessageId": "m"}'
TRIES = 3
AUDIT_TRIES = 2


def row(**fields: object) -> Dispatch:
    at = now()
    plain = {"id": new_id(), "tenant_id": "acme", "created_by": "otp_00000000", "spec": {"agent": "shell"}}
    return Dispatch.model_validate(plain | {"expires_at": 1, "created_at": at, "queued_at": at} | fields)


def record(new: Dispatch, old: Dispatch | None = None) -> dict[str, Any]:
    change = {"NewImage": items_of(new)[0], "ApproximateCreationDateTime": 1_763_000_000.0, "SequenceNumber": new_id()}
    return {"eventID": new_id(), "dynamodb": change | ({"OldImage": items_of(old)[0]} if old else {})}


class Endpoints(NamedTuple):
    """What the function calls, on loopback."""

    functions: Service
    queues: Service
    logs: Service
    bucket: Service
    keys: Service

    def invoked(self) -> list[dict[str, Any]]:
        return [json.loads(body) for _, body in self.functions.asked]

    def recorded(self) -> list[dict[str, Any]]:
        """Return the audit records that CloudWatch Logs was sent."""
        calls = [json.loads(body) for _, body in self.logs.asked]
        return [json.loads(event["message"]) for call in calls for event in call.get("logEvents", [])]


class Context(LambdaContext):
    """What the logger reads of an invocation."""

    _function_name = "dispatch_changes"
    _memory_limit_in_mb = 512
    _invoked_function_arn = "arn"
    _aws_request_id = "1"


@pytest.fixture
def endpoints(monkeypatch: pytest.MonkeyPatch) -> Iterator[Endpoints]:
    cached = (module._functions, module._queues, module._audit)
    services = {
        "LAMBDA": [ACCEPTED] * 9,
        "SQS": [SENT] * 2,
        "CLOUDWATCH_LOGS": [DONE] * 9,
        "S3": [STORED] * 9,
        "KMS": [SIGNED] * 9,
    }
    for each in cached:
        each.cache_clear()
    with ExitStack() as stack:
        running = {name: stack.enter_context(serving(Service(*responses))) for name, responses in services.items()}
        urls = {f"AWS_ENDPOINT_URL_{name}": f"http://127.0.0.1:{each.server_port}" for name, each in running.items()}
        variables = {
            Env.ENVIRONMENT: "test",
            Env.PLANNER_FUNCTION: "planner",
            Env.USAGE_EVENTS_FUNCTION: "usage",
            Env.DEAD_LETTERS: f"{urls['AWS_ENDPOINT_URL_SQS']}/0/dead",
            Env.AUDIT_LOG_GROUP: "audit",
            Env.AUDIT_BUCKET: "audit",
            Env.AUDIT_KEY: "arn:aws:kms:us-east-1:000000000000:key/1",
        }
        for name, value in (CREDENTIALS | urls | variables).items():
            monkeypatch.setenv(name, value)
        yield Endpoints(*running.values())
    for each in cached:
        each.cache_clear()


def ended() -> tuple[Dispatch, Dispatch]:
    """A pending row, and what becomes of it when it is cancelled."""
    pending = row(spec={"agent": "shell", "tags": {f"{number:064d}": "v" * 256 for number in range(20)}})
    return apply(pending, Cancel(None, now())), pending


def states(records: list[dict[str, Any]]) -> list[str]:
    return [each["status"] for each in records]


def test_a_batch_is_recorded_and_each_follower_gets_its_part(endpoints: Endpoints) -> None:
    pending = row()
    claimed = apply(pending, Claim("w", 0, now()))
    progress = claimed.model_copy(update={"progress": "half"})
    cancelled, before = ended()
    records = [record(pending), record(claimed, pending), record(progress, claimed), record(cancelled, before)]
    assert handler({"Records": records}, Context()) == {"batchItemFailures": []}
    assert states(endpoints.recorded()) == ["pending", "provisioning", "cancelled"]
    planner, usage = endpoints.invoked()
    assert [figure[0] for figure in planner["figures"]] == ["ClaimLatency", "Outcomes"]
    # Tags that are too long for the row are read by who gets the event.
    assert [(one["id"], one["tags"]) for one in usage["ended"]] == [(cancelled.id, None)]
    assert all(headers["x-amz-invocation-type"] == "Event" for headers, _ in endpoints.functions.asked)


def test_a_change_of_progress_starts_nobody(endpoints: Endpoints) -> None:
    claimed = apply(row(), Claim("w", 0, now()))
    handler({"Records": [record(claimed.model_copy(update={"progress": "half"}), claimed)]}, Context())
    assert endpoints.functions.asked == []


def test_a_follower_that_cannot_be_invoked_gets_a_dead_letter_and_the_others_their_part(endpoints: Endpoints) -> None:
    endpoints.functions.responses[:0] = [FAILED] * TRIES
    cancelled, before = ended()
    assert handler({"Records": [record(cancelled, before)]}, Context()) == {"batchItemFailures": []}
    assert "ended" in endpoints.invoked()[TRIES]
    ((_, letter),) = endpoints.queues.asked
    assert json.loads(json.loads(letter)["MessageBody"])["function"] == "planner"


def test_a_record_that_cannot_be_read_holds_up_only_what_follows_it(endpoints: Endpoints) -> None:
    poison = record(row())
    poison["dynamodb"]["NewImage"]["document"]["S"] = "{"
    result = handler({"Records": [record(row()), poison, record(row())]}, Context())
    assert result == {"batchItemFailures": [{"itemIdentifier": poison["dynamodb"]["SequenceNumber"]}]}
    assert states(endpoints.recorded()) == ["pending"]
    assert len(endpoints.invoked()) == 1


def test_the_ends_of_a_whole_batch_fit_into_invocations_and_calls_of_the_bus(endpoints: Endpoints) -> None:
    handler({"Records": [record(*ended()) for _ in range(25)]}, Context())
    sizes = [len(payload["ended"]) for payload in endpoints.invoked() if "ended" in payload]
    assert sizes == [10, 10, 5]
    assert max(len(body) for _, body in endpoints.functions.asked) < 256 * 1024 / 2


def test_records_are_linked_from_invocation_to_invocation_and_each_signs_their_head(endpoints: Endpoints) -> None:
    handler({"Records": [record(row()), record(row())]}, Context())
    handler({"Records": [record(row())]}, Context())
    records = endpoints.recorded()
    assert [each["seq"] for each in records] == [1, 2, 3]
    assert len({each["chain"] for each in records}) == 1
    events = [event for _, body in endpoints.logs.asked for event in json.loads(body).get("logEvents", [])]
    assert [each["prev"] for each in records[1:]] == [digest(event["message"]) for event in events[:2]]
    heads = [signed(body) for _, body in endpoints.bucket.asked]
    assert [(each.number, each.head.seq, each.due) for each in heads] == [(0, 2, None), (1, 3, None)]


def signed(body: bytes) -> Checkpoint:
    payload = body.split(b".")[1]
    return Checkpoint.model_validate_json(urlsafe_b64decode(payload + b"=" * (-len(payload) % 4)))


def test_what_cloudwatch_logs_does_not_take_is_set_aside_in_the_audit_bucket(
    endpoints: Endpoints, capsys: pytest.CaptureFixture[str]
) -> None:
    endpoints.logs.responses[:0] = [FAILED] * AUDIT_TRIES
    assert handler({"Records": [record(row())]}, Context()) == {"batchItemFailures": []}
    aside, checkpoint = (body for _, body in endpoints.bucket.asked)
    assert states([json.loads(line) for line in aside.splitlines()]) == ["pending"]
    assert signed(checkpoint).head.seq == 1
    assert '"AuditSetAside":[1.0]' in capsys.readouterr().out.replace(" ", "")


def test_what_nobody_takes_makes_the_stream_deliver_again_and_is_written_first_then(endpoints: Endpoints) -> None:
    endpoints.logs.responses[:0] = [FAILED] * AUDIT_TRIES
    endpoints.bucket.responses[:0] = [FAILED] * AUDIT_TRIES
    batch = {"Records": [record(row())]}
    with pytest.raises(UndeliveredError):
        handler(batch, Context())
    assert len(endpoints.invoked()) == 1  # the others had their part
    handler(batch, Context())
    records = endpoints.recorded()[-2:]
    assert [each["seq"] for each in records] == [1, 2]
    assert records[0]["id"] == records[1]["id"]


def test_a_head_that_cannot_be_signed_repeats_nothing(endpoints: Endpoints, capsys: pytest.CaptureFixture[str]) -> None:
    endpoints.keys.responses[:0] = [FAILED] * AUDIT_TRIES
    assert handler({"Records": [record(row())]}, Context()) == {"batchItemFailures": []}
    assert '"AuditUnsigned":[1.0]' in capsys.readouterr().out.replace(" ", "")
    assert endpoints.bucket.asked == []
    handler({"Records": [record(row())]}, Context())
    assert signed(endpoints.bucket.asked[0][1]).head.seq == 2
