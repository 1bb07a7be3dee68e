"""A result becomes a commit on a branch, and a pull request, without anything of the repository being run."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import boto3
import pytest

from outpost.domain.artifacts import Artifact, LogSource
from outpost.domain.dispatch import Dispatch, Promotion, Publication, Status
from outpost.domain.findings import Release
from outpost.domain.ids import new_id, now
from outpost.domain.lifecycle import Cancel, Lose, ReleaseWithheld
from outpost.domain.protocol import Assignment
from outpost.domain.reasons import Reason, ReasonCode
from outpost.domain.secrets import TenantSecret
from outpost.names import Env
from outpost.store.artifacts import prefix_of
from outpost.store.database import Database
from outpost.store.tenants import Tenants
from tests.launched import claim_request, launch
from tests.worker.brokers import at_forge
from tests.worker.conftest import GitServer, Platform
from tests.worker.forge_server import TOKEN, ForgeServer
from worker import lease
from worker.broker import BrokerClient
from worker.isolation import NoIsolation
from worker.promotion import clone_repository, publish_result
from worker.settings import Identity, read_settings
from worker.step_context import StepContext, Worker
from worker.stop import Cause, Stopped, StopSignal
from worker.store import UploadError

WORDS = Publication(
    message="Grow the widget\n\nTwice as large.\n",
    author_name="Ada Lovelace",
    author_email="ada@example.com",
    pr_title="Grow the widget",
    pr_body="By an *agent*.",
)


@pytest.fixture(scope="module")
def variables(platform: Platform, forge: ForgeServer) -> dict[str, str]:
    """What makes a worker use the forge, and a broker that has the forge's token."""
    name = f"forge-{new_id().lower()}"
    token = boto3.client("secretsmanager").create_secret(Name=name, SecretString=TOKEN)["ARN"]
    return at_forge(forge, {Env.FORGE_TOKEN_SECRET: token})


def work(platform: Platform, variables: dict[str, str], repo: str, task: str) -> Dispatch:
    row = platform.run(task, variables, repo=repo)
    assert row.status is Status.SUCCESS, row.reason
    return row


def promotion_of(platform: Platform, source: Dispatch, branch: str, **more: object) -> Promotion:
    return Promotion.model_validate(
        {
            "dispatch_id": source.id,
            "attempt": source.attempt,
            "base_commit": platform.summary(source).commit_before,
            "branch": branch,
            "committed_at": source.ended_at,
            "fingerprint": "",
        }
        | more,
    )


def promote(platform: Platform, variables: dict[str, str], source: Dispatch, branch: str, **more: object) -> Dispatch:
    """Promote a result as the API does, and wait for the end."""
    promotion = promotion_of(platform, source, branch, **more)
    text = WORDS.model_dump_json()
    return platform.run(text, variables, kind="promote", repo=source.spec.repo, promotes=promotion)


@dataclass(frozen=True)
class Begun:
    """A promotion that a test runs step by step, in place of a worker."""

    promotion: Promotion
    assignment: Assignment
    stop: StopSignal
    context: StepContext


@pytest.fixture
def begin(
    platform: Platform, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[Dispatch, Mapping[str, str]], Begun]]:
    """Claim the promotion of a result to the branch `outpost/two`."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    begun: list[Begun] = []

    def begin(source: Dispatch, variables: Mapping[str, str]) -> Begun:
        promotion = promotion_of(platform, source, "outpost/two")
        platform.dispatch(WORDS.model_dump_json(), kind="promote", repo=source.spec.repo, promotes=promotion)
        environment = {**platform.environment, **variables}
        settings = read_settings(environment)
        request = claim_request(launch(platform.registry))
        identity = Identity(request.task_arn, revision=1, vcpu=0.25, memory_mib=512)
        broker = BrokerClient(settings.broker_function)
        assignment = broker.claim(request).assignment
        assert assignment is not None
        context = StepContext(assignment, Worker(settings, identity, broker, NoIsolation()))
        begun.append(Begun(promotion, assignment, context.stop, context))
        return begun[-1]

    yield begin
    for each in begun:
        with suppress(UploadError):  # what is left under a lost lease
            each.context.log.close(10)


def test_a_result_is_pushed_as_one_commit_in_the_tenants_words(
    platform: Platform, forge: ForgeServer, variables: dict[str, str]
) -> None:
    base = forge.create("widget", {"widget.py": "SIZE = 1\n", "old.txt": "old\n"})
    task = "sed -i s/1/2/ widget.py\nrm old.txt\nprintf '\\0\\1' > blob\nprintf '#!/bin/sh' > run; chmod +x run"
    source = work(platform, variables, "owner/widget", task)

    done = promote(platform, variables, source, "outpost/grow")

    assert done.status is Status.SUCCESS, done.reason
    commit = forge.git("widget", "rev-parse", "outpost/grow")
    assert done.reason
    assert done.reason.message == f"Pushed {commit} to outpost/grow."
    assert forge.git("widget", "rev-list", "outpost/grow").split() == [commit, base]
    assert forge.git("widget", "log", "-1", "--format=%an %ae%n%B", commit) == (
        "Ada Lovelace ada@example.com\nGrow the widget\n\nTwice as large."
    )
    assert forge.git("widget", "show", f"{commit}:widget.py") == "SIZE = 2"
    changes = forge.git("widget", "diff", "--name-status", "--no-renames", base, commit)
    assert changes.splitlines() == ["A\tblob", "D\told.txt", "A\trun", "M\twidget.py"]
    assert "create mode 100755 run" in forge.git("widget", "diff", "--summary", base, commit)
    summary = platform.summary(done)
    assert (summary.commit_before, summary.commit_after, summary.pull_request) == (base, commit, None)
    assert Artifact.PATCH not in platform.keys(done)


def test_a_pull_request_is_opened_once_however_often_it_is_asked_for(
    platform: Platform, forge: ForgeServer, variables: dict[str, str]
) -> None:
    forge.create("proposed", {"a": "1\n"})
    source = work(platform, variables, "owner/proposed", "echo 2 > a")

    first = promote(platform, variables, source, "outpost/two", create_pr=True)
    again = promote(platform, variables, source, "outpost/two", create_pr=True)

    (pull,) = [pull for pull in forge.pulls if pull["head"] == "outpost/two"]
    assert (pull["base"], pull["title"], pull["body"]) == ("main", "Grow the widget", "By an *agent*.")
    assert (first.status, again.status) == (Status.SUCCESS, Status.SUCCESS), (first.reason, again.reason)
    assert platform.summary(first).pull_request == platform.summary(again).pull_request == pull["html_url"]
    assert first.reason == again.reason  # the same commit, the same pull request


def test_a_released_result_is_pushed_byte_for_byte_and_cannot_be_before(
    platform: Platform, forge: ForgeServer, variables: dict[str, str]
) -> None:
    value = f"vault-{new_id()}"
    arn = boto3.client("secretsmanager").create_secret(Name=value, SecretString=value)["ARN"]
    secret = TenantSecret(name="REGISTRY_TOKEN", arn=arn, updated_at=now())
    Tenants(Database.from_environment()).add_secret("acme", secret)
    forge.create("released", {"a": "1\n"})
    task = 'printf "auth=%s\nurl=postgres://%%s:%%s@db" "$REGISTRY_TOKEN" > a'
    source = platform.run(task, variables, repo="owner/released", additional_secrets=["REGISTRY_TOKEN"])
    assert source.withheld

    early = promote(platform, variables, source, "outpost/early")
    assert early.reason
    assert (early.status, early.reason.code) == (Status.FAILED, ReasonCode.PATCH_FAILED)

    release = Release(by="otp_00000000", at=now(), reason="revoked")
    platform.dispatches.change(source.id, ReleaseWithheld(release))
    done = promote(platform, variables, source, "outpost/later", withheld=True, findings=source.findings)
    assert done.status is Status.SUCCESS, done.reason
    assert forge.git("released", "show", "outpost/later:a") == f"auth={value}\nurl=postgres://%s:%s@db"
    (warned,) = [line.message for line in platform.log(done) if line.level == "warning"]
    assert "in the result: secret REGISTRY_TOKEN at a:1" in warned


def test_others_commits_on_the_branch_are_never_lost(
    platform: Platform, forge: ForgeServer, variables: dict[str, str]
) -> None:
    forge.create("busy", {"a": "1\n"})
    forge.git("busy", "branch", "taken")
    forge.git("busy", "checkout", "--quiet", "taken")
    forge.git("busy", "commit", "--quiet", "--allow-empty", "--message", "somebody else's")
    theirs = forge.git("busy", "rev-parse", "taken")
    forge.git("busy", "checkout", "--quiet", "main")
    source = work(platform, variables, "owner/busy", "echo 2 > a")

    refused = promote(platform, variables, source, "taken")

    assert refused.reason
    assert (refused.status, refused.reason.code) == (Status.FAILED, ReasonCode.PUSH_FAILED)
    assert "rejected" in refused.reason.message
    assert forge.git("busy", "rev-parse", "taken") == theirs


@pytest.mark.parametrize("cause", Cause)
def test_a_promotion_that_is_stopped_after_its_clone_pushes_nothing(
    platform: Platform,
    git_server: GitServer,
    begin: Callable[[Dispatch, Mapping[str, str]], Begun],
    monkeypatch: pytest.MonkeyPatch,
    cause: Cause,
) -> None:
    """On a git server that takes whatever comes, without a token."""
    name = f"open-{cause.value}"
    repo = git_server.create(name, {"a": b"1\n"})
    git_server.git(name, "config", "daemon.receivepack", "true")
    run = begin(work(platform, {}, repo, "echo 2 > a"), {})
    assert not run.assignment.forge
    clone_repository(run.context)
    run.context.calls.started()

    monkeypatch.setattr(lease, "TRUSTED_SECONDS", -1.0)  # what the last response said is old
    match cause:
        case Cause.CANCELLED:
            platform.dispatches.change(run.assignment.dispatch_id, Cancel("changed my mind", now()))
        case Cause.LOST:
            lost = Reason.of(ReasonCode.WORKER_LOST, "The worker fell silent.")
            platform.dispatches.change(run.assignment.dispatch_id, Lose(run.assignment.lease, lost, now()))
        case Cause.TERMINATED:
            run.stop.request(cause)
    with pytest.raises(Stopped) as stopped:
        publish_result(run.context, run.promotion)

    assert stopped.value.cause is cause
    assert run.context.results.commit is not None  # all but the push was done
    assert git_server.git(name, "branch", "--list", "outpost/two") == ""


def test_every_token_that_was_used_stays_out_of_the_log(
    platform: Platform,
    forge: ForgeServer,
    variables: dict[str, str],
    begin: Callable[[Dispatch, Mapping[str, str]], Begun],
) -> None:
    forge.create("rotated", {"a": "1\n"})
    name = f"rotated-{new_id().lower()}"
    secrets = boto3.client("secretsmanager")
    arn = secrets.create_secret(Name=name, SecretString="the-token-of-the-clone")["ARN"]
    rotating = variables | at_forge(forge, {Env.FORGE_TOKEN_SECRET: arn})
    context = begin(work(platform, variables, "owner/rotated", "echo 2 > a"), rotating).context
    first = context.forge_token()
    secrets.put_secret_value(SecretId=arn, SecretString="the-token-of-the-push")
    second = context.forge_token()
    assert (first, second) == ("the-token-of-the-clone", "the-token-of-the-push")
    logged = context.log.write(LogSource.EXECUTOR, [f"{first} and {second}"])
    assert "the-token" not in logged[0]


def test_a_hostile_repository_runs_nothing_while_its_result_is_published(
    platform: Platform, forge: ForgeServer, variables: dict[str, str], tmp_path: Path
) -> None:
    trap = tmp_path / "sprung"
    attributes = "* filter=trap diff=trap merge=trap\n"
    forge.create(
        "hostile", {"a": "1\n", ".gitattributes": attributes, ".gitmodules": '[submodule "x"]\n\turl = ext::sh\n'}
    )
    source = work(platform, variables, "owner/hostile", f"echo 2 > a\ngit config filter.trap.clean 'touch {trap}'")

    done = promote(platform, variables, source, "outpost/safe")

    assert done.status is Status.SUCCESS, done.reason
    assert forge.git("hostile", "show", "outpost/safe:a") == "2"
    assert not trap.exists()


def test_a_pull_request_that_the_forge_refuses_leaves_the_branch_and_its_words(
    platform: Platform, forge: ForgeServer, variables: dict[str, str]
) -> None:
    forge.create("forbidden", {"a": "1\n"})
    source = work(platform, variables, "owner/forbidden", "echo 2 > a")
    forge.broken = True
    try:
        failed = promote(platform, variables, source, "outpost/two", create_pr=True)
    finally:
        forge.broken = False

    assert failed.reason
    assert (failed.status, failed.reason.code) == (Status.FAILED, ReasonCode.PULL_REQUEST_FAILED)
    assert "403: Resource not accessible by integration" in failed.reason.message
    assert forge.git("forbidden", "show", "outpost/two:a") == "2"


def test_a_commit_that_the_repository_lost_is_named(
    platform: Platform, forge: ForgeServer, variables: dict[str, str]
) -> None:
    forge.create("rewritten", {"a": "1\n"})
    source = work(platform, variables, "owner/rewritten", "echo 2 > a")

    failed = promote(platform, variables, source, "outpost/two", base_commit="1" * 40)

    assert failed.reason
    assert (failed.status, failed.reason.code) == (Status.FAILED, ReasonCode.PATCH_FAILED)
    assert "1" * 40 in failed.reason.message


def test_the_token_is_nowhere_but_in_the_forges_requests(
    platform: Platform, forge: ForgeServer, variables: dict[str, str]
) -> None:
    """An agent never runs beside it, and an agent's own dispatch is not given it."""
    forge.create("secretive", {"a": "1\n"})
    source = work(
        platform, variables, "owner/secretive", "env > environment; cat /proc/$PPID/environ >> environment || true"
    )
    done = promote(platform, variables, source, "outpost/two", create_pr=True)
    assert done.status is Status.SUCCESS, done.reason

    client = boto3.client("s3")
    for row in (source, done):
        for key in platform.keys(row):
            body = client.get_object(Bucket=platform.bucket, Key=prefix_of(row) + key)["Body"].read()
            assert TOKEN.encode() not in body, key
    assert not [request for request in forge.seen if TOKEN in request]
