"""A result becomes a commit on a branch, and a pull request, without anything of the repository being run."""

from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest

from outpost.domain.artifacts import Artifact
from outpost.domain.dispatch import Dispatch, Status
from outpost.domain.ids import new_id
from outpost.domain.promotion import Promotion, Publication
from outpost.domain.reasons import ReasonCode
from outpost.names import Env
from outpost.store.artifacts import prefix_of
from outpost.store.database import Database
from outpost.store.tenants import Tenants
from tests.worker.conftest import Platform, broker_variables, create_broker
from tests.worker.forge_server import TOKEN, ForgeServer, serve_forge

WORDS = Publication(
    message="Grow the widget\n\nTwice as large.\n",
    author_name="Ada Lovelace",
    author_email="ada@example.com",
    pr_title="Grow the widget",
    pr_body="By an *agent*.",
)


@pytest.fixture(scope="module")
def forge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ForgeServer]:
    with serve_forge(tmp_path_factory.mktemp("forge")) as forge:
        yield forge


@pytest.fixture(scope="module")
def variables(platform: Platform, forge: ForgeServer) -> dict[str, str]:
    """What makes a worker use the forge, and a broker that has the forge's token."""
    name = f"forge-{new_id().lower()}"
    token = boto3.client("secretsmanager").create_secret(Name=name, SecretString=TOKEN)["ARN"]
    here: dict[str, str] = {Env.GIT_BASE_URL: forge.git_url, Env.FORGE_URL: forge.api_url}
    broker = create_broker(name, broker_variables() | here | {Env.FORGE_TOKEN_SECRET: token})
    Tenants(Database.from_environment()).change("acme", repositories=("owner/*",))
    return here | {Env.BROKER_FUNCTION: broker}


def work(platform: Platform, variables: dict[str, str], repo: str, task: str) -> Dispatch:
    row = platform.run(task, variables, repo=repo)
    assert row.status is Status.SUCCESS, row.reason
    return row


def promote(platform: Platform, variables: dict[str, str], source: Dispatch, branch: str, **more: object) -> Dispatch:
    """Promote a result as the API does, and wait for the end."""
    promotion = Promotion.model_validate(
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
    text = WORDS.model_dump_json()
    return platform.run(text, variables, kind="promote", repo=source.spec.repo, promotes=promotion)


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
