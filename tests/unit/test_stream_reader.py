"""The reader of the stream: what each record makes of those who follow, over HTTP, and that none disturbs another."""

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
from aws_lambda_powertools.utilities.typing import LambdaContext

from dispatch_changes import handler as module
from dispatch_changes.handler import handler
from outpost.domain.dispatch import Dispatch
from outpost.domain.ids import new_id, now
from outpost.domain.lifecycle import Cancel, Claim, apply
from outpost.domain.usage_event import DispatchEnded
from outpost.names import Env
from outpost.store.rows import item_of
from tests.conftest import CREDENTIALS
from tests.loopback import Service, serving

ACCEPTED = b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n"
FAILED = b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 2\r\n\r\n{}"
SENT = b'HTTP/1.1 200 OK\r\nContent-Length: 18\r\n\r\n{"MessageId": "m"}'
TRIES = 3


def row(**fields: object) -> Dispatch:
    at = now()
    plain = {"id": new_id(), "tenant_id": "acme", "created_by": "otp_00000000", "spec": {"agent": "shell"}}
    return Dispatch.model_validate(plain | {"expires_at": 1, "created_at": at, "queued_at": at} | fields)


def record(new: Dispatch, old: Dispatch | None = None) -> dict[str, Any]:
    change = {"NewImage": item_of(new), "ApproximateCreationDateTime": 1_763_000_000.0, "SequenceNumber": new_id()}
    return {"eventID": new_id(), "dynamodb": change | ({"OldImage": item_of(old)} if old else {})}


class Endpoints(NamedTuple):
    """Lambda and SQS, on loopback."""

    functions: Service
    queues: Service

    def invoked(self) -> list[dict[str, Any]]:
        return [json.loads(body) for _, body in self.functions.asked]


class Context(LambdaContext):
    """What the logger reads of an invocation."""

    _function_name = "dispatch_changes"
    _memory_limit_in_mb = 512
    _invoked_function_arn = "arn"
    _aws_request_id = "1"


@pytest.fixture
def endpoints(monkeypatch: pytest.MonkeyPatch) -> Iterator[Endpoints]:
    for cached in (module._functions, module._queues):
        cached.cache_clear()
    with serving(Service(*[ACCEPTED] * 9)) as functions, serving(Service(SENT, SENT)) as queues:
        variables = {
            "AWS_ENDPOINT_URL_LAMBDA": f"http://127.0.0.1:{functions.server_port}",
            "AWS_ENDPOINT_URL_SQS": f"http://127.0.0.1:{queues.server_port}",
            Env.ENVIRONMENT: "test",
            Env.PLANNER_FUNCTION: "planner",
            Env.USAGE_EVENTS_FUNCTION: "usage",
            Env.DEAD_LETTERS: f"http://127.0.0.1:{queues.server_port}/0/dead",
        }
        for name, value in (CREDENTIALS | variables).items():
            monkeypatch.setenv(name, value)
        yield Endpoints(functions, queues)
    for cached in (module._functions, module._queues):
        cached.cache_clear()


def ended() -> tuple[Dispatch, Dispatch]:
    """A pending row, and what becomes of it when it is cancelled."""
    pending = row(spec={"agent": "shell", "tags": {f"{number:064d}": "v" * 256 for number in range(20)}})
    return apply(pending, Cancel(None, now())), pending


def audited(capsys: pytest.CaptureFixture[str]) -> list[str]:
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    return [line["status"] for line in lines if line.get("audit") == "state"]


def test_a_batch_is_recorded_and_each_follower_gets_its_part(
    endpoints: Endpoints, capsys: pytest.CaptureFixture[str]
) -> None:
    pending = row()
    claimed = apply(pending, Claim("w", 0, now()))
    progress = claimed.model_copy(update={"progress": "half"})
    cancelled, before = ended()
    records = [record(pending), record(claimed, pending), record(progress, claimed), record(cancelled, before)]
    assert handler({"Records": records}, Context()) == {"batchItemFailures": []}
    assert audited(capsys) == ["pending", "provisioning", "cancelled"]
    planner, usage = endpoints.invoked()
    assert [figure[0] for figure in planner["figures"]] == ["ClaimLatency", "Outcomes"]
    assert [DispatchEnded.model_validate(one).id for one in usage["ended"]] == [cancelled.id]
    assert all(headers["x-amz-invocation-type"] == "Event" for headers, _ in endpoints.functions.asked)


def test_a_change_of_progress_starts_nobody(endpoints: Endpoints) -> None:
    claimed = apply(row(), Claim("w", 0, now()))
    handler({"Records": [record(claimed.model_copy(update={"progress": "half"}), claimed)]}, Context())
    assert endpoints.functions.asked == []


def test_a_follower_that_cannot_be_invoked_gets_a_dead_letter_and_the_others_their_part(
    endpoints: Endpoints, capsys: pytest.CaptureFixture[str]
) -> None:
    endpoints.functions.answers[:0] = [FAILED] * TRIES
    cancelled, before = ended()
    assert handler({"Records": [record(cancelled, before)]}, Context()) == {"batchItemFailures": []}
    assert "ended" in endpoints.invoked()[TRIES]
    ((_, letter),) = endpoints.queues.asked
    assert json.loads(json.loads(letter)["MessageBody"])["function"] == "planner"


def test_a_record_that_cannot_be_read_holds_up_only_what_follows_it(
    endpoints: Endpoints, capsys: pytest.CaptureFixture[str]
) -> None:
    poison = record(row())
    poison["dynamodb"]["NewImage"]["document"]["S"] = "{"
    result = handler({"Records": [record(row()), poison, record(row())]}, Context())
    assert result == {"batchItemFailures": [{"itemIdentifier": poison["dynamodb"]["SequenceNumber"]}]}
    assert audited(capsys) == ["pending"]
    assert len(endpoints.invoked()) == 1


def test_the_ends_of_a_whole_batch_fit_into_invocations_and_calls_of_the_bus(endpoints: Endpoints) -> None:
    handler({"Records": [record(*ended()) for _ in range(25)]}, Context())
    sizes = [len(payload["ended"]) for payload in endpoints.invoked() if "ended" in payload]
    assert sizes == [10, 10, 5]
    assert max(len(body) for _, body in endpoints.functions.asked) < 256 * 1024 / 2
