"""The audit log under outages and attacks, on real log streams, a locked bucket and a signing key."""

import asyncio
import json
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from threading import Event
from typing import Any

import boto3
import pytest
import structlog
from botocore.config import Config
from structlog.testing import CapturingLogger
from typer.testing import CliRunner

from control_plane import audit as module
from control_plane.audit import BATCH, STOP_SECONDS, WAITING, AuditLog, milliseconds
from outpost.domain.audit import CHECKPOINT_PERIOD
from outpost.domain.audit_checkpoint import CHECKPOINTS, Checkpoint, signing_input
from outpost.fleet.audit_writer import AuditClients, AuditPlace
from outpost.names import Env, Metric, Output, audit_log_group
from outpost_client.cli.main import app
from outpost_ops.verify.audit_chains import GRACE, Kind
from outpost_ops.verify.audit_log import AuditReport, Evidence, fetch_key, verify_log
from tests.contract.relay import Relay, fails, relay, waits

pytestmark = pytest.mark.usefixtures("environment")

UNAVAILABLE = fails("ServiceUnavailableException", 503)
REFUSED = fails("InvalidParameterException")
LATE = CHECKPOINT_PERIOD + GRACE + 1
"""Milliseconds after its last checkpoint from which a chain without an end is reported."""


@dataclass
class Clock:
    """The time in milliseconds, which a test moves."""

    at: int = field(default_factory=milliseconds)

    def __call__(self) -> int:
        return self.at


@dataclass
class Trail:
    """An audit log of its own, the way there, and what it holds."""

    place: AuditPlace
    way: Relay
    clock: Clock = field(default_factory=Clock)
    began: int = field(default_factory=lambda: milliseconds() - 1000)

    def log(self) -> AuditLog:
        """Return the log of a replica; the clients try once."""
        config = Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"})
        clients = AuditClients(
            boto3.client("logs", endpoint_url=self.way.url, config=config),
            boto3.client("s3", endpoint_url=self.way.url, config=config),
            boto3.client("kms", endpoint_url=self.way.url, config=config),
        )
        return AuditLog(self.place, clients, clock=self.clock)

    @property
    def evidence(self) -> Evidence:
        place = self.place
        return Evidence(boto3.client("logs"), boto3.client("s3"), place.environment, place.group, place.bucket)

    def verify(self, after: int = 0) -> AuditReport:
        key = fetch_key(boto3.Session(), self.place.key)
        return verify_log(self.evidence, key, since=self.began, now=self.clock.at + after)

    def kinds(self, after: int = 0) -> list[tuple[str, int | None, int | None]]:
        return [(each.kind.value, each.first, each.last) for each in self.verify(after).findings]

    def numbers(self) -> list[int]:
        """The numbers that callers recorded, as they are stored."""
        records = [json.loads(event.text) for event in self.evidence.events(self.began)]
        return sorted(record["n"] for record in records if record["audit"] == "call")


@pytest.fixture
def trail(deployed: dict[str, str], emulator: str) -> Iterator[Trail]:
    group = f"/audit-{uuid.uuid4().hex[:12]}/audit"
    boto3.client("logs").create_log_group(logGroupName=group)
    bucket = f"audit-{uuid.uuid4().hex[:12]}"
    boto3.client("s3").create_bucket(Bucket=bucket, ObjectLockEnabledForBucket=True)
    with relay(emulator) as way:
        yield Trail(AuditPlace("test", group, bucket, deployed[Env.AUDIT_KEY]), way)


@pytest.fixture
def metrics(monkeypatch: pytest.MonkeyPatch) -> Callable[[Metric], list[float]]:
    log = CapturingLogger()
    monkeypatch.setattr(structlog, "get_logger", lambda: log)
    return lambda metric: [call.kwargs[metric] for call in log.calls if metric in call.kwargs]


def record(log: AuditLog, numbers: range) -> None:
    for number in numbers:
        log.record(audit="call", time="2026-11-28T00:00:00+00:00", n=number)


def stopped(log: AuditLog) -> None:
    log.start()
    log.stop()


def test_a_replicas_life_is_proved_from_its_start_to_its_end(trail: Trail) -> None:
    log = trail.log()
    log.write()
    record(log, range(5))
    log.write()
    trail.clock.at += CHECKPOINT_PERIOD
    record(log, range(5, 8))
    log.write()
    stopped(log)
    report = trail.verify(after=LATE)
    assert (report.status, report.records, report.checkpoints, report.findings) == ("pass", 8, 3, [])


def test_ten_minutes_without_cloudwatch_logs_lose_nothing(
    trail: Trail, metrics: Callable[[Metric], list[float]]
) -> None:
    log = trail.log()
    record(log, range(10))
    log.write()
    trail.way.faults = {"PutLogEvents": UNAVAILABLE, "CreateLogStream": UNAVAILABLE}
    for minute in range(10):
        trail.clock.at += 60_000
        record(log, range(10 + minute * 50, 60 + minute * 50))
        log.write()
    trail.way.faults = {}
    record(log, range(510, 520))
    log.write()
    stopped(log)
    assert trail.numbers() == list(range(520))
    assert trail.kinds() == []
    assert sum(metrics(Metric.AUDIT_SET_ASIDE)) == 500
    assert metrics(Metric.AUDIT_LOST) == []


def test_a_stop_without_cloudwatch_logs_loses_nothing(trail: Trail) -> None:
    log = trail.log()
    log.write()
    trail.way.faults = {"PutLogEvents": UNAVAILABLE, "CreateLogStream": UNAVAILABLE}
    record(log, range(BATCH * 3))
    stopped(log)
    assert trail.numbers() == list(range(BATCH * 3))
    report = trail.verify(after=LATE)
    assert (report.set_aside, report.findings) == (BATCH * 3, [])
    assert trail.way.made["PutLogEvents"] + trail.way.made["CreateLogStream"] == 1  # a stop does not try again


def test_a_batch_that_is_refused_is_set_aside_and_counted_and_the_next_one_is_written(
    trail: Trail, metrics: Callable[[Metric], list[float]]
) -> None:
    log = trail.log()
    trail.way.faults = {"PutLogEvents": REFUSED}
    record(log, range(3))
    log.write()
    trail.way.faults = {}
    record(log, range(3, 5))
    log.write()
    assert trail.way.made["PutLogEvents"] == 2
    assert metrics(Metric.AUDIT_SET_ASIDE) == [3]
    assert len(list(trail.evidence.set_aside(trail.began))) == 3
    stopped(log)
    assert (trail.numbers(), trail.kinds()) == (list(range(5)), [])


def test_records_that_cloudwatch_logs_leaves_out_of_a_batch_are_set_aside(trail: Trail) -> None:
    """Its clock is 3 hours behind ours for some of them: `tooNewLogEventStartIndex`."""
    log = trail.log()
    record(log, range(3))
    trail.clock.at += 3 * 3_600_000
    record(log, range(3, 5))
    stopped(log)
    aside = [json.loads(line)["n"] for line in trail.evidence.set_aside(trail.began)]
    assert (aside, trail.numbers(), trail.kinds()) == ([3, 4], list(range(5)), [])


def test_records_of_a_replica_whose_clock_is_a_day_ahead_are_read(trail: Trail) -> None:
    trail.clock.at += 24 * 3_600_000
    log = trail.log()
    record(log, range(3))
    stopped(log)
    assert (len(list(trail.evidence.set_aside(trail.began))), trail.kinds()) == (3, [])


def test_a_log_stream_that_was_deleted_is_made_again_and_its_records_are_missed(trail: Trail) -> None:
    log = trail.log()
    record(log, range(3))
    log.write()
    boto3.client("logs").delete_log_stream(logGroupName=trail.place.group, logStreamName=log._writer.chain.stream)
    for number in range(3, 6):
        record(log, range(number, number + 1))
        log.write()
    stopped(log)
    assert trail.numbers() == [3, 4, 5]
    assert trail.kinds() == [("removed", 1, 3)]


def test_beyond_the_bound_records_are_lost_counted_and_the_loss_is_on_record(
    trail: Trail, metrics: Callable[[Metric], list[float]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "WAITING", 20)
    log = trail.log()
    trail.way.faults = dict.fromkeys(("PutLogEvents", "CreateLogStream", "PUT"), UNAVAILABLE)
    record(log, range(5))
    log.write()
    trail.clock.at += 90_000
    record(log, range(5, 50))
    log.write()
    assert metrics(Metric.AUDIT_WAITING) == [0, 90]
    trail.way.faults = {}
    stopped(log)
    assert trail.numbers() == list(range(25))
    assert metrics(Metric.AUDIT_LOST) == [25]
    (finding,) = trail.verify().findings
    assert (finding.kind, "25 records" in finding.detail) == (Kind.LOST, True)


def test_a_stop_ends_in_time_when_nobody_takes_anything(trail: Trail, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "STOP_SECONDS", 0.5)
    trail.way.faults = dict.fromkeys(("PutLogEvents", "CreateLogStream", "PUT"), UNAVAILABLE)
    log, output = trail.log(), CapturingLogger()
    monkeypatch.setattr(module, "logger", output)
    record(log, range(7))
    stopped(log)
    assert [call.kwargs["records"] for call in output.calls if call.method_name == "error"] == [7]
    trail.way.faults = {}
    log._thread.join(STOP_SECONDS)


def test_a_replica_that_is_killed_leaves_an_unfinished_chain(trail: Trail) -> None:
    log = trail.log()
    log.write()
    record(log, range(5))
    log.write()
    record(log, range(5, 9))  # never written
    assert trail.kinds() == []
    (finding,) = trail.verify(after=LATE).findings
    assert finding.kind is Kind.UNFINISHED
    assert (finding.first, finding.last) == (1, 5)
    assert f"at most {WAITING + BATCH} were lost" in finding.detail


def test_a_checkpoint_that_could_not_be_signed_or_stored_is_signed_later(
    trail: Trail, metrics: Callable[[Metric], list[float]]
) -> None:
    log = trail.log()
    for fault in ("Sign", "PUT"):
        trail.way.faults = {fault: UNAVAILABLE}
        record(log, range(3))
        log.write()
        trail.clock.at += 59_999
        log.write()  # not tried again within the minute
        trail.way.faults = {}
        trail.clock.at += 1
        log.write()
        trail.clock.at += CHECKPOINT_PERIOD
    stopped(log)
    assert metrics(Metric.AUDIT_UNSIGNED) == [1, 1]
    assert trail.verify().findings == []


def test_the_commands_list_and_prove_records_that_were_set_aside(trail: Trail) -> None:
    trail.place = replace(trail.place, environment="dev", group=audit_log_group("dev"))
    boto3.client("logs").create_log_group(logGroupName=trail.place.group)
    outputs = {Output.AUDIT_BUCKET: trail.place.bucket, Output.AUDIT_KEY: trail.place.key}
    template = {
        "Resources": {"Queue": {"Type": "AWS::SQS::Queue"}},
        "Outputs": {name: {"Value": value} for name, value in outputs.items()},
    }
    boto3.client("cloudformation").create_stack(StackName="Outpost-dev-ControlPlane", TemplateBody=json.dumps(template))
    log = trail.log()
    record(log, range(2))
    log.write()
    trail.way.faults = {"PutLogEvents": REFUSED}
    record(log, range(2, 5))
    stopped(log)
    listed, verified = (
        CliRunner().invoke(app, ["audit", *words, "--env", "dev", "--json"]) for words in ([], ["verify"])
    )
    assert [json.loads(line)["n"] for line in listed.stdout.splitlines()] == list(range(5)), listed.output
    report = json.loads(verified.stdout)
    assert (verified.exit_code, report["records"], report["set_aside"], report["findings"]) == (0, 5, 3, [])


@dataclass
class Stored:
    """A finished chain in CloudWatch Logs, rewritten as an attacker with every right to the group would."""

    trail: Trail
    stream: str

    def events(self) -> list[dict[str, Any]]:
        response = boto3.client("logs").get_log_events(
            logGroupName=self.trail.place.group, logStreamName=self.stream, startFromHead=True
        )
        return [{"timestamp": event["timestamp"], "message": event["message"]} for event in response["events"]]

    def write(self, events: list[dict[str, Any]]) -> None:
        group = {"logGroupName": self.trail.place.group, "logStreamName": self.stream}
        client = boto3.client("logs")
        client.delete_log_stream(**group)
        client.create_log_stream(**group)
        if events:
            client.put_log_events(**group, logEvents=sorted(events, key=lambda event: event["timestamp"]))  # type: ignore[arg-type]


@pytest.fixture
def stored(trail: Trail) -> Stored:
    log = trail.log()
    log.write()
    for number in range(6):
        trail.clock.at += 10
        record(log, range(number, number + 1))
    stopped(log)
    return Stored(trail, log._writer.chain.stream)


def remove(events: list[dict[str, Any]]) -> None:
    del events[2]


def change(events: list[dict[str, Any]]) -> None:
    events[2]["message"] = events[2]["message"].replace('"n":2', '"n":7')


def add(events: list[dict[str, Any]]) -> None:
    events.append({**events[2], "message": events[2]["message"].replace('"n":2', '"n":7')})


def reorder(events: list[dict[str, Any]]) -> None:
    events[2]["message"], events[3]["message"] = events[3]["message"], events[2]["message"]


def cut(events: list[dict[str, Any]]) -> None:
    del events[4:]


def write_a_line(events: list[dict[str, Any]]) -> None:
    events.append({**events[2], "message": "nothing happened"})


@pytest.mark.parametrize(
    ("attack", "found"),
    [
        (lambda _: None, []),
        (remove, [("removed", 3, 3)]),
        (change, [("changed", 3, 3)]),
        (add, [("added", 3, 3)]),
        (reorder, [("moved", 4, 4), ("moved", 3, 3)]),
        (cut, [("removed", 5, 6)]),
        (list.clear, [("removed", 1, 6)]),
        (write_a_line, [("added", None, None)]),
    ],
)
def test_whoever_rewrites_the_log_group_is_found_out(
    stored: Stored, attack: Callable[[list[dict[str, Any]]], None], found: list[tuple[str, int | None, int | None]]
) -> None:
    events = stored.events()
    attack(events)
    stored.write(events)
    report = stored.trail.verify(after=LATE)
    assert sorted(stored.trail.kinds(LATE), key=str) == sorted(found, key=str)
    assert report.status == ("fail" if found else "pass")


def last_checkpoint(trail: Trail) -> tuple[str, str]:
    """Key and version of the last checkpoint's object."""
    found = boto3.client("s3").list_object_versions(Bucket=trail.place.bucket, Prefix=CHECKPOINTS)
    return max((version["Key"], version["VersionId"]) for version in found["Versions"])


def test_a_checkpoint_that_was_removed_is_missed(stored: Stored) -> None:
    """In a bucket with a default retention S3 refuses it; this one has none."""
    trail = stored.trail
    key, version = last_checkpoint(trail)
    s3 = boto3.client("s3")
    s3.delete_object(Bucket=trail.place.bucket, Key=key)
    assert trail.kinds(LATE) == []  # a delete marker hides nothing
    s3.delete_object(Bucket=trail.place.bucket, Key=key, VersionId=version)
    assert [kind for kind, *_ in trail.kinds(LATE)] == ["unfinished"]
    assert trail.verify(LATE).status == "inconclusive"


def test_a_checkpoint_that_was_replaced_or_made_with_another_key_is_forged(stored: Stored) -> None:
    trail = stored.trail
    key, _ = last_checkpoint(trail)
    s3 = boto3.client("s3")
    s3.put_object(Bucket=trail.place.bucket, Key=key, Body=signed_by_another(trail, key))
    assert [kind for kind, *_ in trail.kinds()] == ["forged"]
    s3.put_object(Bucket=trail.place.bucket, Key=key, Body=b"")
    assert [kind for kind, *_ in trail.kinds()] == ["forged", "forged"]


def signed_by_another(trail: Trail, key: str) -> bytes:
    kms = boto3.client("kms")
    other = kms.create_key(KeySpec="RSA_3072", KeyUsage="SIGN_VERIFY")["KeyMetadata"]["Arn"]
    way = trail.place
    forger = Trail(AuditPlace("test", way.group, way.bucket, other), trail.way, trail.clock)
    writer = forger.log()._writer
    checkpoint, text = writer._sign(trail.clock(), last=True)
    assert isinstance(checkpoint, Checkpoint)
    assert text.startswith(signing_input(checkpoint, other))
    return text.encode()


def test_the_event_loop_takes_records_while_every_call_hangs(trail: Trail) -> None:
    log, release = trail.log(), Event()

    async def serve() -> int:
        ticks = 0
        log.start()
        for number in range(200):
            record(log, range(number, number + 1))
            await asyncio.sleep(0)
            ticks += 1
        return ticks

    trail.way.faults = dict.fromkeys(("PutLogEvents", "CreateLogStream", "Sign"), waits(release))
    assert asyncio.run(serve()) == 200
    assert log.waiting == 200
    trail.way.faults = {}
    release.set()
    log.stop()
    assert trail.numbers() == list(range(200))
