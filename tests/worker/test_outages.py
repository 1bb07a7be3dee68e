"""A worker while the broker, its queue or S3 is away: it continues, retries, and loses nothing that it has made."""

import os
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import boto3
import pytest
from botocore.config import Config

from outpost.aws import conditional_writes
from outpost.domain.artifacts import Artifact, LogSource, Summary
from outpost.domain.dispatch import Status, Usage
from outpost.domain.protocol import Assignment, ClaimRequest, ReportRequest
from outpost.domain.reasons import Reason, ReasonCode
from tests.eventually import eventually
from tests.worker.aws_endpoint import (
    DENIED,
    FAILED,
    HUNG_UP,
    LIVE,
    T0,
    THROTTLED,
    UNAVAILABLE,
    UNREADABLE,
    Endpoint,
    Payload,
    Response,
    VirtualTime,
    assignment,
    service_at,
)
from worker import logs
from worker import store as store_module
from worker.attempt_redactor import AttemptRedactor
from worker.broker import (
    FIRST_PAUSE,
    LONGEST_PAUSE,
    REFUSED_SECONDS,
    WAKE_UPS,
    BrokerClient,
    BrokerError,
    WakeUps,
    wait_for_work,
)
from worker.clock import Clock
from worker.isolation import UserIsolation
from worker.lease import HEARTBEAT_SECONDS, PROGRESS_LENGTH, RETRY_SECONDS, Fence, Heartbeat, send_heartbeats
from worker.lease_calls import GRANT_SECONDS, RESERVE_SECONDS, LeaseCalls
from worker.logs import RunLog
from worker.model_proxy.meter import GrantError
from worker.stop import Cause, Stopped, StopSignal
from worker.store import AttemptStore, UnconfirmedError, UploadError

FAILURES = {
    "throttled": THROTTLED,
    "unavailable": UNAVAILABLE,
    "failed": FAILED,
    "unreadable": UNREADABLE,
    "hung up": HUNG_UP,
    "denied": DENIED,
}
CLAIM = ClaimRequest(worker_id="w1", task_arn="arn:x/w1", agent="shell", revision=1)
LEASE_SECONDS = 30
IDLE_SECONDS = 90
"""After which the reconciler calls a worker silent, busy or idle."""


class Leased:
    """A lease at a broker of the test's, in virtual time."""

    def __init__(self, lifetime: timedelta = timedelta(hours=1)) -> None:
        self.time = VirtualTime()
        self.stop = StopSignal()
        self.assignment = assignment(lifetime)
        self.renewed: list[object] = []
        self.broker = BrokerClient("broker")
        self.fence = Fence(
            self.broker,
            self.assignment,
            self.stop,
            lambda credentials, _: self.renewed.append(credentials),
            self.time.clock,
        )
        self.heartbeat = Heartbeat(self.fence, lambda: "x" * 600)
        self.calls = LeaseCalls(self.fence, self.heartbeat)

    def report(self, seconds: float | None) -> None:
        request = ReportRequest(
            dispatch_id=self.assignment.dispatch_id,
            lease=self.assignment.lease,
            outcome=Status.SUCCESS,
            reason=Reason.of(ReasonCode.COMPLETED, "done"),
        )
        self.calls.report(request, seconds)


class Outage:
    """A broker that fails for as long as a test's clock says, and then responds that all is well."""

    def __init__(self, failure: Response = THROTTLED) -> None:
        self.failure = failure
        self.is_away: Callable[[], bool] = lambda: True

    def __call__(self, _: Payload) -> Payload | Response:
        return self.failure if self.is_away() else LIVE


@contextmanager
def _away(
    monkeypatch: pytest.MonkeyPatch, seconds: float, lifetime: float = 3_600
) -> Iterator[tuple[Leased, Endpoint]]:
    """Yield a lease whose broker is away for so long."""
    outage = Outage()
    with service_at(outage, monkeypatch) as endpoint:
        leased = Leased(timedelta(seconds=lifetime))
        outage.is_away = lambda: leased.time.seconds < seconds
        yield leased, endpoint


@pytest.fixture
def region(monkeypatch: pytest.MonkeyPatch) -> None:
    """What clients need to be made."""
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")


# Heartbeats


@pytest.mark.parametrize("failure", FAILURES.values(), ids=FAILURES)
def test_a_failed_heartbeat_is_one_request_repeated_after_a_second_and_stops_nothing(
    failure: Response, monkeypatch: pytest.MonkeyPatch
) -> None:
    with service_at(lambda _: failure, monkeypatch) as endpoint:
        leased = Leased()
        assert leased.heartbeat.beat() == RETRY_SECONDS == 1
        leased.fence.check()
    assert endpoint.ops == ["renew"]
    assert endpoint.requests[0]["progress"] == "x" * PROGRESS_LENGTH
    assert leased.stop.cause is None


@pytest.mark.usefixtures("region")
def test_a_broker_that_hangs_leaves_time_for_three_heartbeats_within_the_lease() -> None:
    config = BrokerClient("broker")._heartbeat_client.meta.config
    tries = config.connect_timeout + config.read_timeout + RETRY_SECONDS  # type: ignore[attr-defined]
    assert HEARTBEAT_SECONDS + 2 * tries + 0.5 < LEASE_SECONDS
    assert config.retries["total_max_attempts"] == 1  # type: ignore[attr-defined]


SLOW: dict[str, Callable[[Leased], object]] = {
    "started": lambda leased: leased.calls.started(),
    "grant": lambda leased: leased.calls.grant(1),
    "forge_token": lambda leased: leased.calls.forge_token(),
    "report": lambda leased: leased.report(None),
    "ended": lambda leased: leased.heartbeat.ended(0),
    "reserve": lambda leased: leased.calls.reserve(1),
    "saved": lambda leased: leased.heartbeat.saved(1),
}


@pytest.mark.parametrize("op", SLOW)
def test_a_slow_request_delays_no_heartbeat(op: str, monkeypatch: pytest.MonkeyPatch) -> None:
    reached, released = threading.Event(), threading.Event()

    def respond(request: Payload) -> Payload:
        if request["op"] == op:
            reached.set()
            released.wait(20)
        return LIVE

    with service_at(respond, monkeypatch) as endpoint:
        leased = Leased()
        slow = threading.Thread(target=SLOW[op], args=(leased,))
        slow.start()
        assert reached.wait(20)
        began = time.monotonic()
        leased.fence.confirm()
        assert time.monotonic() - began < 5
        assert endpoint.ops[-1] == "renew"
        released.set()
        slow.join()


def test_the_first_heartbeat_is_sent_at_once_and_each_next_when_it_is_due() -> None:
    """At once: the claim may be old, when its first response was lost."""
    waits: list[float] = []
    beats = iter([10.0, 1.0, 9.5])

    def wait(seconds: float) -> bool:
        waits.append(seconds)
        return len(waits) == 4

    send_heartbeats(wait, lambda: next(beats))
    assert waits == [0.0, 10.0, 1.0, 9.5]


def test_heartbeats_keep_their_rate_however_long_each_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    with service_at(lambda _: LIVE, monkeypatch) as endpoint:
        leased = Leased()
        assert leased.heartbeat.beat() == HEARTBEAT_SECONDS

        def slow(_: Payload) -> Payload:
            leased.time.seconds += 4
            return LIVE

        endpoint.respond = slow
        assert leased.heartbeat.beat() == HEARTBEAT_SECONDS - 4


def test_workers_that_an_outage_made_beat_together_drift_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    with service_at(lambda _: LIVE, monkeypatch):
        leased = Leased()
        leased.time.chance = 0.5
        assert leased.heartbeat.beat() == 9.5


@pytest.mark.parametrize(
    ("response", "cause"), [({"live": False}, Cause.LOST), ({"live": True, "cancel": True}, Cause.CANCELLED)]
)
def test_only_a_response_stops_the_run(response: Payload, cause: Cause, monkeypatch: pytest.MonkeyPatch) -> None:
    with service_at(lambda _: response, monkeypatch):
        leased = Leased()
        leased.heartbeat.beat()
    assert leased.stop.cause is cause


def test_an_error_of_ours_ends_no_heartbeat(monkeypatch: pytest.MonkeyPatch) -> None:
    credentials = assignment().credentials.model_dump(mode="json")
    with service_at(lambda _: LIVE | {"credentials": credentials}, monkeypatch):
        leased = Leased()

        def broken(*_: object) -> None:
            raise RuntimeError("no session")

        monkeypatch.setattr(leased.fence, "_on_credentials", broken)
        assert leased.heartbeat.beat() == RETRY_SECONDS


def test_credentials_that_cannot_be_renewed_fail_no_heartbeat_and_are_asked_for_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The plain heartbeat comes first: what STS takes or refuses is no concern of the lease."""
    renewed = assignment(timedelta(hours=2)).credentials.model_dump(mode="json")

    def without_sts(request: Payload) -> Payload | Response:
        return FAILED if request["want_credentials"] else LIVE

    with service_at(without_sts, monkeypatch) as endpoint:
        leased = Leased(timedelta(minutes=14))
        assert leased.heartbeat.beat() == HEARTBEAT_SECONDS
        assert [request["want_credentials"] for request in endpoint.requests] == [False, True]
        endpoint.respond = lambda request: LIVE | ({"credentials": renewed} if request["want_credentials"] else {})
        leased.heartbeat.beat()
        leased.heartbeat.beat()
    assert len(leased.renewed) == 1


# What needs a response


@pytest.mark.parametrize("seconds", [20, 300])
def test_the_agents_start_waits_for_the_broker(seconds: int, monkeypatch: pytest.MonkeyPatch) -> None:
    with _away(monkeypatch, seconds) as (leased, endpoint):
        leased.calls.started()
    assert seconds <= leased.time.seconds <= seconds + 10
    assert set(endpoint.ops) == {"started"}


@pytest.mark.parametrize("request_", [SLOW["started"], SLOW["report"]], ids=["started", "report"])
def test_requests_are_repeated_until_the_attempts_credentials_end(
    request_: Callable[[Leased], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    with _away(monkeypatch, 7_200) as (leased, _):
        with pytest.raises(BrokerError):
            request_(leased)
        assert 3_600 <= leased.time.seconds <= 3_610


def test_a_start_that_waits_ends_with_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    with _away(monkeypatch, 300) as (leased, _):
        leased.stop.request(Cause.TERMINATED)
        with pytest.raises(Stopped):
            leased.calls.started()
        assert leased.time.seconds < 10


def test_git_waits_for_its_token(monkeypatch: pytest.MonkeyPatch) -> None:
    with _away(monkeypatch, 300) as (leased, endpoint):
        endpoint.respond = lambda _: THROTTLED if leased.time.seconds < 300 else {"live": True, "token": "a-token"}
        assert leased.calls.forge_token() == "a-token"


def test_a_model_call_waits_for_its_grant_and_then_fails_as_one_that_may_be_repeated(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with _away(monkeypatch, 100) as (leased, _):
        assert leased.calls.grant(5).live
    with _away(monkeypatch, 300) as (leased, _):
        with pytest.raises(GrantError):
            leased.calls.grant(5)
        assert GRANT_SECONDS <= leased.time.seconds <= GRANT_SECONDS + 10


def test_the_rest_of_a_grant_is_given_back_in_one_try_of_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that is being stopped has 120 s for everything."""
    with _away(monkeypatch, 300) as (leased, endpoint), pytest.raises(BrokerError):
        leased.calls.give_back(5)
    assert endpoint.ops == ["grant"]
    assert leased.time.seconds == 0


# The end


def test_a_workspace_waits_for_the_brokers_consent_and_not_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is the run's work: an outage does not throw it away."""
    with _away(monkeypatch, 10) as (leased, endpoint):
        assert leased.calls.reserve(17) is None
        assert set(endpoint.ops) == {"reserve"}
    with _away(monkeypatch, 300) as (leased, _):
        assert leased.calls.reserve(17) is None
        assert leased.time.seconds == RESERVE_SECONDS


def test_a_broker_that_hangs_delays_a_workspace_by_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a time limit the harness has 120 s for all that follows."""
    with service_at(lambda _: HUNG_UP, monkeypatch) as endpoint:
        leased = Leased()
        config = leased.broker._heartbeat_client.meta.config
        longest = config.connect_timeout + config.read_timeout  # type: ignore[attr-defined]

        def hang(_: Payload) -> Response:
            leased.time.seconds += longest
            return HUNG_UP

        endpoint.respond = hang
        monkeypatch.setattr(leased.broker, "_client", None)  # it would wait longer for a response
        assert leased.calls.reserve(17) is None
        assert len(endpoint.ops) > 1
        assert leased.time.seconds <= RESERVE_SECONDS + longest <= 20


def test_a_workspace_that_is_too_large_gets_its_room_and_a_lost_lease_none(monkeypatch: pytest.MonkeyPatch) -> None:
    with service_at(lambda _: {"live": True, "room": 5}, monkeypatch):
        assert Leased().calls.reserve(17) == 5
    with service_at(lambda _: {"live": False}, monkeypatch), pytest.raises(Stopped):
        Leased().calls.reserve(17)


def test_the_end_is_sent_once_broker_or_heartbeat_allow_and_before_the_report(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with _away(monkeypatch, 300) as (leased, endpoint):
        leased.heartbeat.ended(0)
        leased.heartbeat.saved(17)
        assert leased.time.seconds == 0  # nobody waited
        assert not leased.heartbeat.is_up_to_date
        leased.report(None)
        assert endpoint.ops[-3:] == ["ended", "saved", "report"]
        assert leased.heartbeat.is_up_to_date
        leased.heartbeat.beat()
        assert endpoint.ops[-1] == "renew"


def test_a_heartbeat_brings_the_end_along(monkeypatch: pytest.MonkeyPatch) -> None:
    with _away(monkeypatch, 20) as (leased, endpoint):
        leased.heartbeat.ended(3)
        leased.time.seconds = 20
        leased.heartbeat.beat()
    assert endpoint.ops[-2:] == ["renew", "ended"]
    assert endpoint.requests[-1]["exit_code"] == 3


def test_an_end_that_always_fails_delays_neither_heartbeats_nor_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    renewed = assignment(timedelta(hours=2)).credentials.model_dump(mode="json")

    def respond(request: Payload) -> Payload | Response:
        if request["op"] == "ended":
            return FAILED
        return LIVE | ({"credentials": renewed} if request["want_credentials"] else {})

    with service_at(respond, monkeypatch):
        leased = Leased(timedelta(minutes=14))
        leased.heartbeat.ended(0)
        assert leased.heartbeat.beat() == HEARTBEAT_SECONDS
        assert leased.renewed


def test_an_outcome_that_is_stored_is_reported_for_as_long_as_was_given(monkeypatch: pytest.MonkeyPatch) -> None:
    with _away(monkeypatch, 300) as (leased, _):
        with pytest.raises(BrokerError):
            leased.report(120)
        assert 120 <= leased.time.seconds <= 130


def test_a_cancelled_run_reports_for_as_long_as_others(monkeypatch: pytest.MonkeyPatch) -> None:
    with _away(monkeypatch, 20) as (leased, endpoint):
        leased.stop.request(Cause.CANCELLED)
        leased.report(120)
        assert endpoint.ops[-1] == "report"
        assert len(endpoint.ops) < 10  # it waited between its tries


# Writing


def test_a_worker_that_was_paused_asks_before_it_writes_and_writes_when_nobody_responds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with service_at(lambda _: THROTTLED, monkeypatch) as endpoint:
        leased = Leased()
        leased.fence.check()
        assert endpoint.ops == []
        leased.time.seconds = 60
        leased.fence.check()
        leased.fence.check()
        assert endpoint.ops == ["renew"]  # once: a log of many chunks does not wait for each
        leased.time.seconds = 120
        endpoint.respond = lambda _: {"live": False}
        with pytest.raises(Stopped):
            leased.fence.check()
    assert leased.stop.cause is Cause.LOST


def test_what_nothing_else_fences_waits_for_a_confirmation(monkeypatch: pytest.MonkeyPatch) -> None:
    with _away(monkeypatch, 300) as (leased, _):
        leased.calls.require()
        assert leased.time.seconds == 0  # it was claimed just now
        leased.time.seconds = 60
        leased.calls.require()
        assert leased.time.seconds >= 300


EXPIRED = Response(400, body=b"<Error><Code>ExpiredToken</Code></Error>")
STORED = Response(200, body=b"")
SUMMARY = Summary(
    dispatch_id=assignment().dispatch_id,
    tenant_id="acme",
    attempt=1,
    worker_id="w1",
    agent="shell",
    model_id=None,
    repo=None,
    outcome=Status.SUCCESS,
    reason=Reason.of(ReasonCode.COMPLETED, "done"),
    exit_code=0,
    started_at=None,
    ended_at=T0,
    usage=Usage(),
)
FORBIDDEN = Response(403, body=b"<Error><Code>AccessDenied</Code></Error>")


@contextmanager
def _store(
    respond: Callable[[Payload, VirtualTime], Payload | Response], monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[AttemptStore, VirtualTime, Endpoint]]:
    """Yield a store whose S3 is on loopback; botocore makes one try a request."""
    config = Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"})
    monkeypatch.setattr(store_module, "_RETRIES", config)
    time_ = VirtualTime()
    with service_at(lambda request: respond(request, time_), monkeypatch, "S3") as endpoint:
        yield AttemptStore(assignment(), time_.clock), time_, endpoint


def test_results_wait_for_s3(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "patch").write_text("patch!")
    with _store(lambda _, time_: UNAVAILABLE if time_.seconds < 600 else STORED, monkeypatch) as (store, time_, _):
        store.persist(1_700)
        store.put_file(Artifact.PATCH, tmp_path / "patch")
        assert 600 <= time_.seconds <= 610


def test_results_wait_for_new_credentials_where_theirs_have_ended(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "patch").write_text("patch!")
    renewed = assignment().credentials.model_copy(update={"session_token": "renewed"})

    def respond(request: Payload, time_: VirtualTime) -> Payload | Response:
        if time_.seconds >= 5_000:
            store.use(renewed)
        return STORED if request["token"] == "renewed" else EXPIRED

    with _store(respond, monkeypatch) as (store, time_, _):
        store.persist(7_200)
        store.put_file(Artifact.PATCH, tmp_path / "patch")
        assert 5_000 <= time_.seconds <= 5_020


def test_results_wait_neither_for_what_is_refused_nor_longer_than_they_may(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "patch").write_text("patch!")
    with _store(lambda *_: FORBIDDEN, monkeypatch) as (store, time_, endpoint):
        store.persist(1_700)
        with pytest.raises(UploadError):
            store.put_file(Artifact.PATCH, tmp_path / "patch")
        assert (time_.seconds, len(endpoint.requests)) == (0, 1)
    with _store(lambda *_: UNAVAILABLE, monkeypatch) as (store, time_, _):
        store.persist(120)
        with pytest.raises(UploadError):
            store.put_file(Artifact.PATCH, tmp_path / "patch")
        assert 120 <= time_.seconds <= 130


def test_results_wait_for_s3_while_it_accepts_no_connection(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "patch").write_text("patch!")
    with _store(lambda *_: STORED, monkeypatch) as (store, time_, endpoint):
        pass  # from here on nobody listens
    store.persist(120)
    with pytest.raises(UploadError):
        store.put_file(Artifact.PATCH, tmp_path / "patch")
    assert 120 <= time_.seconds <= 130
    assert endpoint.requests == []


def test_a_summary_that_is_perhaps_stored_is_neither_a_success_nor_a_failed_upload(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """S3 says that there is one, and what it holds cannot be read."""
    refusal = Response(412, body=b"<Error><Code>PreconditionFailed</Code></Error>")

    def respond(request: Payload, _: VirtualTime) -> Response:
        return refusal if request["op"] == "put" else UNAVAILABLE

    with _store(respond, monkeypatch) as (store, time_, endpoint):
        store.persist(120)
        with pytest.raises(UnconfirmedError):
            store.put_summary(SUMMARY)
        assert 120 <= time_.seconds <= 130
        assert endpoint.ops[:2] == ["put", "head"]


def test_a_summary_that_s3_refuses_is_a_failed_upload(monkeypatch: pytest.MonkeyPatch) -> None:
    with _store(lambda *_: FORBIDDEN, monkeypatch) as (store, time_, endpoint):
        store.persist(120)
        with pytest.raises(UploadError):
            store.put_summary(SUMMARY)
        assert (time_.seconds, endpoint.ops) == (0, ["put"])


def test_a_summary_that_expired_credentials_never_stored_is_a_failed_upload(monkeypatch: pytest.MonkeyPatch) -> None:
    with _store(lambda *_: EXPIRED, monkeypatch) as (store, _, endpoint):
        store.persist(120)
        with pytest.raises(UploadError):
            store.put_summary(SUMMARY)
        assert len(endpoint.ops) > 1


@pytest.mark.parametrize("first", [UNAVAILABLE, HUNG_UP], ids=["failed", "hung up"])
@pytest.mark.parametrize("repeats", ["the worker", "botocore"])
def test_a_summary_that_an_earlier_try_may_have_stored_is_no_failed_upload(
    first: Response, repeats: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    responses = iter([first])
    with _store(lambda *_: next(responses, FORBIDDEN), monkeypatch) as (store, _, endpoint):
        if repeats == "botocore":
            two = Config(retries={"mode": "standard", "total_max_attempts": 2}, s3={"addressing_style": "path"})
            monkeypatch.setattr(store_module, "_RETRIES", two)
            store.use(assignment().credentials)
        store.persist(120)
        with pytest.raises(UnconfirmedError):
            store.put_summary(SUMMARY)
        assert endpoint.ops == ["put", "put"]


CONFLICT = Response(409, body=b"<Error><Code>ConditionalRequestConflict</Code></Error>")


@pytest.mark.parametrize("responses", [[CONFLICT, CONFLICT], [CONFLICT, FORBIDDEN]], ids=["again", "then refused"])
def test_a_summary_that_another_write_may_have_stored_is_no_failed_upload(
    responses: list[Response], monkeypatch: pytest.MonkeyPatch
) -> None:
    """S3 still handles another write of the key, which may be an earlier try."""
    monkeypatch.setattr(conditional_writes, "_CONFLICT_PAUSES", (0.0,))
    pending = iter(responses)
    with _store(lambda *_: next(pending), monkeypatch) as (store, _, endpoint):
        with pytest.raises(UnconfirmedError):
            store.put_summary(SUMMARY)
        assert endpoint.ops == ["put", "put"]


def test_a_summary_that_exists_and_may_not_be_read_is_no_failed_upload(monkeypatch: pytest.MonkeyPatch) -> None:
    exists = Response(412, body=b"<Error><Code>PreconditionFailed</Code></Error>")
    with _store(lambda request, _: exists if request["op"] == "put" else FORBIDDEN, monkeypatch) as (
        store,
        _,
        endpoint,
    ):
        with pytest.raises(UnconfirmedError):
            store.put_summary(SUMMARY)
        assert endpoint.ops == ["put", "head"]


def test_results_wait_no_longer_than_the_lease_lives(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "patch").write_text("patch!")
    with _store(lambda *_: UNAVAILABLE, monkeypatch) as (store, time_, _):

        def check() -> None:
            if time_.seconds >= 60:
                raise Stopped(Cause.LOST)

        store.check = check
        store.persist(1_700)
        with pytest.raises(Stopped):
            store.put_file(Artifact.PATCH, tmp_path / "patch")


def test_a_log_chunk_is_tried_once_as_its_thread_repeats_it(monkeypatch: pytest.MonkeyPatch) -> None:
    with _store(lambda *_: UNAVAILABLE, monkeypatch) as (store, time_, endpoint):
        store.persist(1_700)
        with pytest.raises(UploadError):
            store.put_chunk(1, b"line")
        assert (time_.seconds, len(endpoint.requests)) == (0, 1)


def test_what_a_run_begins_with_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    with _store(lambda _, time_: UNAVAILABLE if time_.seconds < 200 else {}, monkeypatch) as (store, time_, _):
        assert store.read_beginning("tenants/acme/context/a.md", 10) == b"{}"
        assert time_.seconds >= 200


@pytest.mark.parametrize("away", [True, False], ids=["away", "slow after it was away"])
def test_the_agent_prints_on_while_its_log_cannot_be_stored(
    away: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Where S3 takes the log, however slowly, the agent waits for it, as memory is bounded."""
    monkeypatch.setattr(logs, "BACKLOG_BYTES", 1_000)
    monkeypatch.setattr(logs, "CHUNK_SECONDS", 0.01)
    released = threading.Event()

    def put(*_: object) -> Response:
        if len(endpoint.requests) > 2 and not away:
            released.wait(20)
        return STORED if len(endpoint.requests) == 2 and not away else UNAVAILABLE

    with _store(put, monkeypatch) as (store, _, endpoint):
        log = RunLog(store, tmp_path / "output.log", AttemptRedactor())
        log.write(LogSource.AGENT, ["begin"])
        eventually(lambda: len(endpoint.requests) >= 2)
        log.write(LogSource.AGENT, ["second"])
        eventually(lambda: len(endpoint.requests) >= 3)
        agent = threading.Thread(target=log.write, args=(LogSource.AGENT, ["line"] * 100))
        agent.start()
        agent.join(20 if away else 0.5)
        assert agent.is_alive() is not away
        log.abandon()
        released.set()
        agent.join()
        with suppress(UploadError):
            log.close(5)


# Waiting for work


class Idle:
    """A worker without work, in virtual time; its queue is away, or has a message at each look."""

    def __init__(self, *, queue: Response | None = None) -> None:
        self.time = VirtualTime()
        self.claimed_at: list[float] = []
        self._queue = queue

    def run(self, respond: Callable[[float], Payload | Response], monkeypatch: pytest.MonkeyPatch) -> Assignment | None:
        """Wait for work; `respond` is the broker by the virtual time."""

        def broker(_: Payload) -> Payload | Response:
            self.claimed_at.append(self.time.seconds)
            return respond(self.time.seconds)

        def queue(_: Payload) -> Payload | Response:
            self.time.seconds += 1
            return self._queue or {"Messages": [{"ReceiptHandle": "r", "Body": "wake up", "MessageId": "m"}]}

        one_try = Config(retries={"total_max_attempts": 1})
        with service_at(broker, monkeypatch), service_at(queue, monkeypatch, "SQS") as endpoint:
            url = f"http://127.0.0.1:{endpoint.server_port}/0/queue"
            wake_ups = WakeUps(boto3.client("sqs", config=one_try), url, self.time.clock)
            return wait_for_work(BrokerClient("broker"), wake_ups, lambda: CLAIM, StopSignal(), self.time.clock)

    @property
    def longest_gap(self) -> float:
        """The longest time between two requests for work, in seconds."""
        return max(b - a for a, b in pairwise(self.claimed_at))


WORK = {"assignment": assignment().model_dump(mode="json")}
NOTHING: Payload = {}


@pytest.mark.parametrize(
    ("failure", "seconds"),
    [(THROTTLED, 20), (THROTTLED, 7_200), (FAILED, 300), (HUNG_UP, 300)],
    ids=["throttled for a moment", "throttled for two hours", "failed", "hung up"],
)
def test_an_idle_worker_outlasts_an_outage_of_the_broker(
    failure: Response, seconds: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    idle = Idle()
    assert idle.run(lambda at: failure if at < seconds else WORK, monkeypatch)
    assert seconds <= idle.time.seconds <= seconds + 20
    assert idle.longest_gap <= 20
    assert len(idle.claimed_at) < seconds / 10 + 8  # it backs off


def test_idle_workers_do_not_ask_all_at_once_after_an_outage(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half of each pause is random."""
    clock = Clock(random=lambda: 0.999)
    pauses = clock.backoff(1, 20)
    assert [round(next(pauses)) for _ in range(7)] == [1, 1, 2, 4, 8, 10, 10]


def test_an_idle_worker_asks_without_a_queue(monkeypatch: pytest.MonkeyPatch) -> None:
    idle = Idle(queue=UNAVAILABLE)
    assert idle.run(lambda at: NOTHING if at < 1_000 else WORK, monkeypatch)
    assert idle.longest_gap <= 21
    assert idle.longest_gap < IDLE_SECONDS


def test_a_worker_that_may_not_invoke_the_broker_leaves_after_minutes(monkeypatch: pytest.MonkeyPatch) -> None:
    idle = Idle()
    with pytest.raises(BrokerError, match="AccessDenied"):
        idle.run(lambda _: DENIED, monkeypatch)
    assert REFUSED_SECONDS <= idle.time.seconds <= REFUSED_SECONDS + 20


@pytest.mark.parametrize("other", [THROTTLED, NOTHING], ids=["a throttle", "a response"])
def test_a_refusal_counts_from_the_last_other_response(
    other: Response | Payload, monkeypatch: pytest.MonkeyPatch
) -> None:
    idle = Idle()

    def respond(at: float) -> Response | Payload:
        if at >= 500:
            return WORK
        return other if 250 <= at < 275 else DENIED

    assert idle.run(respond, monkeypatch)


@pytest.mark.usefixtures("region")
def test_clients_of_an_idle_worker_never_hang_until_it_counts_as_silent() -> None:
    requests = BrokerClient("broker")._client.meta.config
    claim = requests.connect_timeout + requests.read_timeout  # type: ignore[attr-defined]
    queue = WAKE_UPS.connect_timeout + WAKE_UPS.read_timeout  # type: ignore[attr-defined]
    assert claim + queue + LONGEST_PAUSE < IDLE_SECONDS
    assert claim + FIRST_PAUSE < LEASE_SECONDS  # a claim whose response was lost is repeated in time
    for config in (requests, WAKE_UPS):
        assert config.retries["total_max_attempts"] == 1  # type: ignore[attr-defined]


# Signals and processes


def test_the_agents_processes_leave_the_processor_to_the_harness() -> None:
    """Below the launcher, which only the image has: there its own tests run the agent."""
    argv = UserIsolation(Path("launcher")).agent_command(["printf", "x"])
    behind = argv[argv.index("--no-new-privs") + 2 :]
    nice = subprocess.run([*behind[:3], "nice"], capture_output=True, check=True, text=True)
    assert int(nice.stdout) == min(os.nice(0) + 10, 19)


def test_a_signal_is_taken_wherever_it_meets_the_run() -> None:
    """The handler runs in the thread that it interrupts, which may hold any lock of the signal's."""
    stop = StopSignal()
    with stop._changed:
        stop.request(Cause.TERMINATED)
    assert stop.wait(0)
