"""A worker runs a dispatch: what comes back is what the agent did, and why it ended."""

import os
from pathlib import Path

import boto3
import pytest

from outpost.domain.artifacts import Artifact, LogSource
from outpost.domain.dispatch import Status
from outpost.domain.ids import now
from outpost.domain.reasons import ReasonCode
from outpost.domain.secrets import TenantSecret
from outpost.store.artifacts import prefix_of
from outpost.store.database import Database
from outpost.store.tenants import Tenants
from tests.contract.relay import relay
from tests.eventually import eventually
from tests.worker.conftest import GitServer, Platform

ENVIRONMENT_OF_AN_AGENT = {
    *("PATH", "HOME", "TMPDIR", "USER", "LANG", "TERM", "GIT_TERMINAL_PROMPT", "OUTPOST_CONTEXT"),
    *("GIT_AUTHOR_NAME", "GIT_AUTHOR_EMAIL", "GIT_COMMITTER_NAME", "GIT_COMMITTER_EMAIL", "NO_PROXY", "no_proxy"),
}


def test_a_task_comes_back_with_its_patch_log_and_summary(platform: Platform, git_server: GitServer) -> None:
    repo = git_server.create("simple", {"README.md": b"hello\n"})
    row = platform.run("echo working; echo more >> README.md", repo=repo)
    assert row.status is Status.SUCCESS
    assert row.reason is not None
    assert row.reason.code is ReasonCode.COMPLETED
    assert row.exit_code == 0
    assert b"+more" in platform.read(row, Artifact.PATCH)
    assert platform.read(row, Artifact.OUTPUT) == b"working\n"
    assert [line.message for line in platform.log(row) if line.source is LogSource.AGENT] == ["working"]
    assert f"cloning {repo}" in [line.message for line in platform.log(row) if line.source is LogSource.EXECUTOR]
    summary = platform.summary(row)
    assert (summary.outcome, summary.attempt, summary.files_changed) == (Status.SUCCESS, 1, 1)
    assert summary.commit_before == git_server.git("simple", "rev-parse", "HEAD")
    assert row.usage is not None
    assert summary.usage == row.usage


def test_a_secret_does_not_replace_a_variable_of_the_platform(platform: Platform) -> None:
    secrets = {"NO_PROXY": "nothing-is-direct", "OWN_SETTING": "is-still-given"}
    for name, value in secrets.items():
        arn = boto3.client("secretsmanager").create_secret(Name=f"{name}-{platform.bucket}", SecretString=value)["ARN"]
        secret = TenantSecret(name=name, arn=arn, updated_at=now())
        Tenants(Database.from_environment()).add_secret("acme", secret)
    row = platform.run('echo "$NO_PROXY ${#OWN_SETTING}"', additional_secrets=list(secrets))
    assert row.status is Status.SUCCESS
    assert platform.read(row, Artifact.OUTPUT) == b"127.0.0.1,localhost 14\n"


def test_status_summary_and_log_name_what_is_not_in_the_patch_and_what_is_kept_beside_it(
    platform: Platform, git_server: GitServer
) -> None:
    repo = git_server.create("beside", {".gitignore": b"dist/\n"})
    task = """set -e
mkdir dist __pycache__; echo built > dist/app.whl; echo no > dist/app.log; touch __pycache__/a.pyc; mkfifo pipe
git checkout -qb fix; echo x > x; git add x; git commit -qm 'a fix'; git checkout -q main"""
    row = platform.run(task, repo=repo, collect=["dist/*.whl"])
    assert row.status is Status.SUCCESS, row.reason
    assert row.collection is not None
    assert [(item.path, item.reason) for item in row.collection.left_out] == [
        ("pipe", "a named pipe"),
        ("dist/", "ignored by the repository; the requested files below it are in collected.tar.gz"),
        ("__pycache__/", "Python byte code"),
    ]
    assert [(ref.name, ref.subject) for ref in row.collection.refs] == [("refs/heads/fix", "a fix")]
    assert platform.summary(row).collection == row.collection
    log = platform.messages(row)
    assert "left out: pipe (a named pipe)" in log
    assert any(line.startswith("kept in commits.bundle: refs/heads/fix at ") for line in log)
    assert {Artifact.COMMITS, Artifact.COLLECTED} <= platform.keys(row)


def test_a_branch_is_checked_out(platform: Platform, git_server: GitServer) -> None:
    repo = git_server.create("branches", {"file": b"on main\n"})
    git_server.git("branches", "switch", "--quiet", "--create", "feature/x")
    (git_server.folder / repo / "file").write_text("on the branch\n")
    git_server.git("branches", "commit", "--quiet", "--all", "--message", "second")
    git_server.git("branches", "switch", "--quiet", "main")
    row = platform.run(
        "cat file; git log --oneline | wc -l", repo=repo, branch="feature/x", workspace_init_mode="minimal"
    )
    assert platform.read(row, Artifact.OUTPUT) == b"on the branch\n1\n"


def test_init_mode_minimal_begins_with_the_root_folders_files_and_the_rest_is_at_hand(
    platform: Platform, git_server: GitServer
) -> None:
    repo = git_server.create(
        "large", {"README.md": b"x\n", "lib/deep/a": b"a\n", "docs/b": b"b\n", ".outpost/context/n.md": b"note\n"}
    )
    script = """set -e
ls -A; cat $OUTPOST_CONTEXT
git remote set-url origin git://127.0.0.1:1/nothing.git
git sparse-checkout add lib; cat lib/deep/a
echo more >> lib/deep/a; mkdir tests; echo test > tests/new"""
    row = platform.run(script, repo=repo, workspace_init_mode="minimal")
    assert row.status is Status.SUCCESS, row.reason
    output = platform.read(row, Artifact.OUTPUT).decode()
    assert output.startswith(".git\nREADME.md\n")
    assert "\nnote\n" in output  # from the commit itself
    assert output.endswith("\na\n")
    patch = platform.read(row, Artifact.PATCH).decode()
    changed = [line.split(" b/")[1] for line in patch.splitlines() if line.startswith("diff --git")]
    assert changed == ["lib/deep/a", "tests/new"]


def test_init_mode_none_begins_with_an_empty_repository(platform: Platform, git_server: GitServer) -> None:
    repo = git_server.create("unused", {"file": b"x\n"})
    row = platform.run("ls; git status --short; echo made > new", repo=repo, workspace_init_mode="none")
    assert platform.read(row, Artifact.OUTPUT) == b""
    assert b"+++ b/new\n" in platform.read(row, Artifact.PATCH)
    assert platform.summary(row).commit_before is None


def test_a_nonzero_exit_is_a_failure_and_keeps_its_patch(platform: Platform) -> None:
    row = platform.run("echo half > done; exit 7")
    assert (row.status, row.exit_code) == (Status.FAILED, 7)
    assert row.reason is not None
    assert row.reason.code is ReasonCode.AGENT_EXIT_NONZERO
    assert b"+half" in platform.read(row, Artifact.PATCH)
    assert platform.summary(row).outcome is Status.FAILED


def test_a_task_of_50000_characters_runs_whole(platform: Platform) -> None:
    end = "echo the end"
    row = platform.run("#" * (50_000 - len(end) - 1) + "\n" + end)
    assert platform.read(row, Artifact.OUTPUT) == b"the end\n"


@pytest.mark.parametrize(("repo", "branch"), [("owner/missing", None), ("owner/present", "no-such-branch")])
def test_what_cannot_be_cloned_fails_with_gits_reason(
    platform: Platform, git_server: GitServer, repo: str, branch: str | None
) -> None:
    if repo == "owner/present":
        git_server.create("present", {"file": b"x\n"})
    row = platform.run("echo never", repo=repo, branch=branch)
    assert row.status is Status.FAILED
    assert row.reason is not None
    assert row.reason.code is ReasonCode.CLONE_FAILED
    assert "fatal: " in row.reason.message
    assert row.running_at is None
    assert platform.summary(row).reason == row.reason
    assert "echo never" not in platform.messages(row)


def test_the_agent_inherits_nothing_from_the_harness(platform: Platform) -> None:
    row = platform.run("compgen -e; cat; pwd; echo $HOME")
    *names, directory, home = platform.read(row, Artifact.OUTPUT).decode().splitlines()
    assert set(names) - {"PWD", "SHLVL", "OLDPWD", "_"} == ENVIRONMENT_OF_AN_AGENT
    assert (Path(directory).name, Path(home).name) == ("workspace", "home")


def test_secrets_printed_by_the_agent_are_stored_nowhere(platform: Platform, git_server: GitServer) -> None:
    key = "sk-ant-api03-" + "Zx9" * 12
    pem = [
        "-----BEGIN PRIVATE KEY-----",
        "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQ",
        "-----END PRIVATE KEY-----",
    ]
    script = (
        f"echo 'key {key}'; echo 'key={key}' > config; printf '%s\\n' '{pem[0]}' '{pem[1]}' '{pem[2]}' | tee key.pem"
    )
    row = platform.run(script)
    assert row.status is Status.SUCCESS
    assert platform.read(row, Artifact.OUTPUT).splitlines()[0] == b"key [REDACTED:anthropic-key]"
    s3 = boto3.client("s3")
    for stored in s3.list_objects_v2(Bucket=platform.bucket, Prefix=prefix_of(row))["Contents"]:
        content = s3.get_object(Bucket=platform.bucket, Key=stored["Key"])["Body"].read()
        if not stored["Key"].endswith(Artifact.PATCH):
            assert key.encode() not in content
            assert pem[1].encode() not in content
    assert f"+key={key}\n".encode() in platform.read(row, Artifact.PATCH)
    assert row.findings
    assert row.findings.formats["anthropic-key"] == 1
    assert not row.withheld
    assert [line.message for line in platform.log(row) if line.level == "warning"] == [
        f"in the format of a secret: {row.findings.describe(known=False)}"
    ]


def test_output_that_is_not_text_is_cleaned(platform: Platform) -> None:
    row = platform.run(r"printf 'bad \xff\xfe byte\n\033[31mred\033[0m\a\n\0zero\nno end'")
    assert platform.read(row, Artifact.OUTPUT).decode() == "bad \ufffd\ufffd byte\nred\nzero\nno end\n"


def test_endless_output_is_bounded_and_the_agent_continues(platform: Platform) -> None:
    row = platform.run("head -c 70000000 /dev/zero | tr '\\0' 'x' | fold -w 8000; echo reached > marker")
    assert row.status is Status.SUCCESS
    output = platform.read(row, Artifact.OUTPUT)
    assert len(output) < 66 * 1024 * 1024
    assert output.splitlines()[-1].startswith(b"[output cut here")
    assert b"+reached" in platform.read(row, Artifact.PATCH)


def test_nothing_stays_on_disk_after_a_run(platform: Platform) -> None:
    row = platform.run("touch a-file")
    assert row.worker_id is not None
    assert list((platform.folder / row.worker_id).iterdir()) == []


def test_a_woken_worker_takes_the_work_and_the_wake_up(platform: Platform) -> None:
    boto3.client("sqs").purge_queue(QueueUrl=platform.queue_url)  # of tests whose workers needed no wake-up
    with relay(os.environ["AWS_ENDPOINT_URL"]) as way:
        worker = platform.start_worker({"AWS_ENDPOINT_URL_SQS": way.url})
        eventually(lambda: way.made["ReceiveMessage"], what="the worker found nothing, and waits")
        row = platform.dispatch("echo woken")
        assert platform.finish(worker) == 0
    assert platform.row(row).status is Status.SUCCESS
    assert wake_ups(platform) == 0


def wake_ups(platform: Platform) -> int:
    """How many wake-ups are in the queue, received ones as well."""
    sqs = boto3.client("sqs")
    attributes = sqs.get_queue_attributes(QueueUrl=platform.queue_url, AttributeNames=["All"])["Attributes"]
    return int(attributes["ApproximateNumberOfMessages"]) + int(attributes["ApproximateNumberOfMessagesNotVisible"])
