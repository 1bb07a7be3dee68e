"""What the audit log proves of a service that is killed: SIGKILL leaves it no time to sign how its chain ends."""

import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import boto3
import httpx
import pytest

from control_plane.audit import milliseconds
from outpost.domain.audit_checkpoint import Checkpoint
from outpost.names import Env
from outpost_ops.verify.audit_chains import GRACE, Finding, Kind
from outpost_ops.verify.audit_log import AuditReport, Evidence, fetch_key, verify_log
from tests.contract.relay import Relay, fails, relay
from tests.contract.test_process import ROOTS, operator_key
from tests.eventually import eventually

PERIOD = 500
"""Milliseconds between two checkpoints, so that the test waits for no five minutes."""
SERVICE = f"""
import runpy
from control_plane import audit
audit.CHECKPOINT_PERIOD = {PERIOD}
runpy.run_module("control_plane", run_name="__main__")
"""


@dataclass
class Replica:
    """The service as a process with an audit log of its own, and the way from it to AWS."""

    process: subprocess.Popen[bytes]
    client: httpx.Client
    way: Relay
    evidence: Evidence
    key: str
    began: int

    def call(self, count: int) -> None:
        for _ in range(count):
            assert self.client.get("/tenants").status_code == 200

    def stored(self) -> int:
        return len(list(self.evidence.events(self.began)))

    def checkpoints(self) -> list[Checkpoint]:
        found, forged = self.evidence.checkpoints(self.began, fetch_key(boto3.Session(), self.key))
        assert forged == []
        return sorted(found, key=lambda each: each.number)

    def verify(self, at: int) -> AuditReport:
        return verify_log(self.evidence, fetch_key(boto3.Session(), self.key), since=self.began, now=at)

    def stream(self) -> dict[str, str]:
        logs, group = self.evidence.logs, self.evidence.group
        (stream,) = logs.describe_log_streams(logGroupName=group)["logStreams"]
        return {"logGroupName": group, "logStreamName": stream["logStreamName"]}

    def rewrite(self, change: Callable[[list[dict[str, Any]]], list[dict[str, Any]]]) -> None:
        """Rewrite the log stream, as somebody with every right to the log group does."""
        logs, group = boto3.client("logs"), self.evidence.group
        (found,) = logs.describe_log_streams(logGroupName=group)["logStreams"]
        name = found["logStreamName"]
        events = logs.get_log_events(logGroupName=group, logStreamName=name, startFromHead=True)["events"]
        kept = change([{"timestamp": event["timestamp"], "message": event["message"]} for event in events])
        logs.delete_log_stream(logGroupName=group, logStreamName=name)
        logs.create_log_stream(logGroupName=group, logStreamName=name)
        logs.put_log_events(logGroupName=group, logStreamName=name, logEvents=kept)  # type: ignore[arg-type]


@pytest.fixture
def replica(
    environment: dict[str, str], emulator: str, unused_port: Callable[[], int], tmp_path: Path
) -> Iterator[Replica]:
    name, url = f"killed-{uuid.uuid4().hex[:12]}", f"http://127.0.0.1:{unused_port()}"
    group, began = f"/{name}/audit", milliseconds() - 1
    boto3.client("logs").create_log_group(logGroupName=group)
    boto3.client("s3").create_bucket(Bucket=name, ObjectLockEnabledForBucket=True)
    own = {Env.AUDIT_LOG_GROUP: group, Env.AUDIT_BUCKET: name, Env.BIND_HOST: "127.0.0.1"}
    with relay(emulator) as way, (tmp_path / "log").open("wb") as output:
        variables = os.environ | environment | own | {"AWS_ENDPOINT_URL": way.url, "PYTHONPATH": ROOTS}
        command = [sys.executable, "-c", SERVICE]
        port = url.rpartition(":")[2]
        process = subprocess.Popen(command, env=variables | {"PORT": port}, stdout=output, stderr=output)
        transport = httpx.HTTPTransport(retries=0)
        key = {"X-API-Key": operator_key(environment)}
        with httpx.Client(base_url=url, headers=key, transport=transport, timeout=120) as client:
            evidence = Evidence(boto3.client("logs"), boto3.client("s3"), environment[Env.ENVIRONMENT], group, name)
            running = Replica(process, client, way, evidence, environment[Env.AUDIT_KEY], began)
            eventually(lambda: _is_live(client), within=60, what="the service responds")
            yield running
        process.kill()
        process.wait(10)


def _is_live(client: httpx.Client) -> bool:
    try:
        return client.get("/health/live").status_code == 200
    except httpx.TransportError:
        return False


def test_a_killed_service_leaves_a_proved_beginning_and_a_tail_whose_bounds_are_reported(replica: Replica) -> None:
    replica.call(3)
    eventually(lambda: replica.checkpoints()[-1:] and replica.checkpoints()[-1].head.seq == 3, what="3 are signed")
    replica.way.faults = {"Sign": fails("KMSInternalException", 500)}
    replica.call(4)
    eventually(lambda: replica.stored() == 7, what="7 are stored")
    replica.process.send_signal(signal.SIGKILL)
    replica.process.wait(10)
    killed = milliseconds()

    last = replica.checkpoints()[-1]
    assert (last.head.seq, last.due) == (3, last.at + PERIOD)
    assert last.due is not None
    assert replica.verify(last.due + GRACE).findings == []  # the next checkpoint may only be late
    late = last.due + GRACE + 1
    report = replica.verify(late)
    assert (report.status, report.records) == ("inconclusive", 7)
    finding = unfinished(report)
    assert (finding.first, finding.last) == (4, 7)
    assert finding.begin == moment(last.at)
    assert finding.end == moment(last.due + GRACE)
    assert finding.begin <= moment(killed) <= finding.end

    replica.rewrite(lambda events: events[:-2])  # nobody has signed how many there were: the report says since when
    finding = unfinished(replica.verify(late))
    assert (finding.first, finding.last) == (4, 5)
    replica.rewrite(lambda events: [*events[:1], *events[2:]])
    assert {(each.kind, each.first) for each in replica.verify(late).findings} == {
        (Kind.UNFINISHED, 4),
        (Kind.REMOVED, 2),
    }


def unfinished(report: AuditReport) -> Finding:
    (finding,) = report.findings
    assert finding.kind is Kind.UNFINISHED
    return finding


def moment(at: int) -> datetime:
    return datetime.fromtimestamp(at / 1000, UTC)
