"""Context for the agent: from the repository's commit and the tenant's prefix, within the budget, without secrets."""

import json

import boto3
import pytest

from outpost.domain.artifacts import Artifact
from outpost.domain.dispatch import Status
from tests.worker.conftest import GitServer, Platform

TOKEN = "ghp_0123456789abcdefghijABCDEFGHIJ456789"
SHOW = 'cat "$OUTPOST_CONTEXT"; exit 0'


@pytest.fixture
def tenant_note(platform: Platform) -> str:
    key = "context/acme/00-tenant.md"
    boto3.client("s3").put_object(Bucket=platform.bucket, Key=key, Body=b"The tenant prefers tabs.\n")
    return key


def test_the_agent_is_given_the_notes_of_its_repository_then_of_its_tenant(
    platform: Platform, git_server: GitServer, tenant_note: str
) -> None:
    repo = git_server.create(
        "noted", {".outpost/context/10-a.md": b"Run make test.\n", ".outpost/context/x.txt": b"no"}
    )
    row = platform.run(SHOW, repo=repo)
    messages = platform.messages(row)
    assert row.status is Status.SUCCESS
    assert messages.index("Run make test.") < messages.index("The tenant prefers tabs.")
    assert "no" not in messages
    record = json.loads(platform.read(row, Artifact.CONTEXT))
    assert [(note["origin"], note["name"]) for note in record["notes"]] == [
        ("repository", "10-a.md"),
        ("tenant", "00-tenant.md"),
    ]
    assert record["budget_tokens"] == 1_200


@pytest.mark.parametrize(("level", "budget"), [("minimal", 600), ("standard", 1_200), ("full", 1_800)])
def test_a_level_bounds_what_the_agent_is_given(
    platform: Platform, git_server: GitServer, level: str, budget: int
) -> None:
    repo = git_server.create(f"long-{level}", {".outpost/context/a.md": b"ten chars.\n" * 5_000})
    row = platform.run('wc -c < "$OUTPOST_CONTEXT"; exit 0', repo=repo, context=level)
    (size,) = (int(line) for line in platform.messages(row) if line.strip().isdigit())
    assert budget * 3 - 60 < size <= budget * 3


def test_a_secret_in_a_note_does_not_reach_the_agent(platform: Platform, git_server: GitServer) -> None:
    notes = f"key: {TOKEN}\n-----BEGIN RSA PRIVATE KEY-----\n" + "MIIEpAIBAAKCAQEA0123456789abcdef\n" * 500
    repo = git_server.create(
        "leaky-notes", {".outpost/context/a.md": notes.encode(), f".outpost/context/{TOKEN}.md": b""}
    )
    row = platform.run(
        'grep -c -e ghp_ -e MIIEp "$OUTPOST_CONTEXT"; grep -o REDACTED "$OUTPOST_CONTEXT" | head -1', repo=repo
    )
    assert {"0", "REDACTED"} <= set(platform.messages(row))
    assert TOKEN not in platform.read(row, Artifact.CONTEXT).decode()


def test_a_link_among_the_notes_is_not_followed(platform: Platform, git_server: GitServer) -> None:
    repo = git_server.create("linked-notes", {".outpost/context/a.md": b"a note\n"})
    path = git_server.folder / "owner" / "linked-notes"
    (path / ".outpost/context/b.md").symlink_to("/etc/passwd")
    git_server.git("linked-notes", "add", "--all")
    git_server.git("linked-notes", "commit", "--quiet", "--message", "a link")
    row = platform.run(SHOW, repo=repo)
    assert not any("root:" in line for line in platform.messages(row))
    assert next(note["name"] for note in json.loads(platform.read(row, Artifact.CONTEXT))["notes"]) == "a.md"


def test_notes_do_not_get_into_the_patch(platform: Platform, git_server: GitServer, tenant_note: str) -> None:
    repo = git_server.create("patch-notes", {".outpost/context/10-a.md": b"Run make test.\n"})
    assert platform.read(platform.run("true; exit 0", repo=repo), Artifact.PATCH) == b""
