"""A result with the value of a known secret is kept as the agent made it, and can be fetched by nobody's mistake."""

import signal
from pathlib import Path

import boto3
import pytest

from outpost.domain.artifacts import Artifact, stored_name
from outpost.domain.dispatch import Status
from outpost.domain.findings import Finding, Findings
from outpost.domain.ids import now
from outpost.domain.reasons import Reason, ReasonCode
from outpost.domain.secrets import TenantSecret
from outpost.fleet.recovery import Recovery
from outpost.names import Env
from outpost.store.artifacts import Stored, prefix_of
from outpost.store.database import Database
from outpost.store.tenants import Tenants
from tests.eventually import eventually
from tests.worker.conftest import Platform

VALUE = "Xq7-vault-Zp93kd"
WITHHELD = stored_name(Artifact.PATCH, withheld=True)
FOUND = Findings(
    secrets={"NPM_TOKEN": 1},
    places=(Finding(artifact=Artifact.PATCH, path=".npmrc", line=2, kind="NPM_TOKEN", known=True),),
    withheld=(Artifact.PATCH,),
)
TASK = 'printf "fund=false\\n//registry/:_authToken=%s\\n" "$NPM_TOKEN" > .npmrc; echo "$NPM_TOKEN"'


@pytest.fixture(scope="module", autouse=True)
def secret(platform: Platform) -> None:
    arn = boto3.client("secretsmanager").create_secret(Name=f"npm-{platform.bucket}", SecretString=VALUE)["ARN"]
    secret = TenantSecret(name="NPM_TOKEN", arn=arn, updated_at=now())
    Tenants(Database.from_environment()).add_secret("acme", secret)


def test_a_run_succeeds_and_its_patch_is_withheld_with_file_and_line(platform: Platform) -> None:
    row = platform.run(TASK, additional_secrets=["NPM_TOKEN"])
    assert row.status is Status.SUCCESS
    assert row.reason
    assert row.reason.code is ReasonCode.SECRET_IN_OUTPUT
    assert "changes.patch withheld until released: secret NPM_TOKEN at .npmrc:2" in row.reason.message
    assert (row.findings, row.withheld) == (FOUND, True)
    summary = platform.summary(row)
    assert (summary.findings, summary.reason) == (FOUND, row.reason)
    names = {name for name in platform.keys(row) if "chunks/" not in name}
    assert names == {WITHHELD, "findings.json", "output.log", "summary.json"}
    patch = boto3.client("s3").get_object(Bucket=platform.bucket, Key=prefix_of(row) + WITHHELD)["Body"].read()
    assert f"+//registry/:_authToken={VALUE}\n".encode() in patch
    assert summary.patch_bytes == len(patch)
    assert Stored(Artifact.PATCH, len(patch), withheld=True) in platform.artifacts.listing(row)
    assert platform.artifacts.findings(row) == FOUND
    warnings = [(line.level, line.message) for line in platform.log(row) if "withheld" in line.message]
    assert warnings == [("warning", "changes.patch withheld until released: secret NPM_TOKEN at .npmrc:2")]
    assert VALUE not in str(platform.messages(row)) + summary.model_dump_json() + row.model_dump_json()


def test_a_common_word_is_no_secret_to_search_for_and_the_log_notes_it(platform: Platform) -> None:
    arn = boto3.client("secretsmanager").create_secret(Name=f"db-{platform.bucket}", SecretString="postgres")["ARN"]
    secret = TenantSecret(name="DB_PASSWORD", arn=arn, updated_at=now())
    Tenants(Database.from_environment()).add_secret("acme", secret)
    row = platform.run("echo postgres | tee compose.yaml", additional_secrets=["DB_PASSWORD"])
    assert (row.status, row.findings) == (Status.SUCCESS, None)
    assert b"+postgres\n" in platform.read(row, Artifact.PATCH)
    assert platform.read(row, Artifact.OUTPUT) == b"postgres\n"
    assert any(
        "not searched for the value of DB_PASSWORD: it is a common word" in line for line in platform.messages(row)
    )


def test_a_failure_keeps_its_own_reason(platform: Platform) -> None:
    row = platform.run(f"{TASK}; exit 3", additional_secrets=["NPM_TOKEN"])
    assert row.reason
    assert (row.status, row.reason.code) == (Status.FAILED, ReasonCode.AGENT_EXIT_NONZERO)
    assert row.withheld
    assert WITHHELD in platform.keys(row)


def test_the_checkpoint_of_a_worker_that_was_stopped_is_withheld_too(platform: Platform, tmp_path: Path) -> None:
    task = f"{TASK}; mkfifo pipe; touch {tmp_path}/begun; sleep 1000"
    row = platform.dispatch(task, additional_secrets=["NPM_TOKEN"])
    worker = platform.start_worker({Env.AGENT: "shell"})
    platform.wait_for(row, "agent started")
    eventually((tmp_path / "begun").exists)
    worker.send_signal(signal.SIGTERM)
    assert platform.finish(worker) == 143
    row = platform.row(row)
    assert WITHHELD in platform.keys(row)
    assert Artifact.PATCH not in platform.keys(row)
    lost = Reason.of(ReasonCode.WORKER_LOST, "The worker stopped.")
    Recovery(platform.dispatches, platform.artifacts).close(row, lost)
    ended = platform.row(row)
    assert (ended.status, ended.findings, ended.withheld) == (Status.FAILED, FOUND, True)
    assert ended.collection
    assert [(item.path, item.reason) for item in ended.collection.left_out] == [("pipe", "a named pipe")]
    assert "left out: pipe (a named pipe)" in platform.messages(row)


def test_what_a_lost_attempt_withheld_is_forgotten_once_the_next_one_ends_without_it(
    platform: Platform, tmp_path: Path
) -> None:
    begun = tmp_path / "begun"
    task = f"if test -e {begun}; then echo clean > result; else {TASK}; touch {begun}; sleep 1000; fi"
    row = platform.dispatch(task, additional_secrets=["NPM_TOKEN"], retryable=True)
    worker = platform.start_worker({Env.AGENT: "shell"})
    eventually(begun.exists)
    worker.send_signal(signal.SIGTERM)
    assert platform.finish(worker) == 143
    waiting = Recovery(platform.dispatches, platform.artifacts).close(
        platform.row(row), Reason.of(ReasonCode.WORKER_LOST, "The worker stopped.")
    )
    assert waiting
    assert (waiting.status, waiting.withheld, waiting.findings) == (Status.PENDING, True, FOUND)
    assert [each.withheld for each in platform.artifacts.listing(waiting) if each.artifact is Artifact.PATCH] == [True]
    assert platform.finish(platform.start_worker({Env.AGENT: "shell"})) == 0
    ended = platform.row(row)
    assert (ended.status, ended.attempt, ended.withheld, ended.findings) == (Status.SUCCESS, 2, False, None)
    assert (ended.log_tail, platform.summary(ended).findings) == (None, None)
    assert b"+clean" in platform.read(ended, Artifact.PATCH)
    assert WITHHELD not in platform.keys(ended)
    assert WITHHELD in platform.keys(waiting)
