"""Private repositories: git in the harness has a token of the forge's app for one call, the agent never."""

from pathlib import Path

import boto3
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from outpost.domain.artifacts import Artifact
from outpost.domain.dispatch import Dispatch, Promotion, Publication, Status
from outpost.domain.ids import new_id
from outpost.domain.reasons import ReasonCode
from outpost.names import Env
from outpost.store.artifacts import prefix_of
from outpost.store.database import Database
from outpost.store.tenants import Tenants
from tests.worker.brokers import at_forge
from tests.worker.conftest import Platform
from tests.worker.forge_server import APP_ID, ForgeServer, Grant, serve_forge

READ = {"contents": "read"}
BASIC = "eC1hY2Nlc3MtdG9rZW46"
"""Base64 of `x-access-token:`, with which git's header begins."""


@pytest.fixture(scope="module")
def variables(platform: Platform, forge: ForgeServer) -> dict[str, str]:
    """What makes a worker use the forge, and a broker that has the app's key."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )
    forge.app_key = public.decode()
    name = f"app-{new_id().lower()}"
    secret = boto3.client("secretsmanager").create_secret(Name=name, SecretString=private.decode())["ARN"]
    return at_forge(forge, {Env.FORGE_APP_ID: APP_ID, Env.FORGE_APP_KEY_SECRET: secret})


def create_private(forge: ForgeServer, name: str, files: dict[str, str] | None = None) -> str:
    """Create a repository that only the app can read."""
    forge.create(name, files or {"a": "1\n"})
    forge.private.add(f"owner/{name}")
    forge.installed.add(f"owner/{name}")
    return f"owner/{name}"


def grants(forge: ForgeServer, repository: str) -> list[Grant]:
    return [grant for grant in forge.minted.values() if repository in grant.repositories]


def promote(platform: Platform, variables: dict[str, str], source: Dispatch, *, create_pr: bool) -> Dispatch:
    promotion = Promotion(
        dispatch_id=source.id,
        attempt=source.attempt,
        base_commit=platform.summary(source).commit_before or "",
        branch="outpost/two",
        create_pr=create_pr,
        committed_at=source.created_at,
        fingerprint="",
    )
    words = Publication(message="Two", author_name="A", author_email="a@b", pr_title="Two", pr_body="")
    return platform.run(words.model_dump_json(), variables, kind="promote", repo=source.spec.repo, promotes=promotion)


@pytest.mark.parametrize("mode", ["full", "minimal"])
def test_a_private_repository_is_cloned_with_a_token_that_can_only_read_it(
    platform: Platform, forge: ForgeServer, variables: dict[str, str], mode: str
) -> None:
    repo = create_private(forge, f"private-{mode}")
    row = platform.run("cat a; echo 2 > a", variables, repo=repo, workspace_init_mode=mode)
    assert row.status is Status.SUCCESS, row.reason
    assert platform.read(row, Artifact.OUTPUT) == b"1\n"
    assert grants(forge, repo) == [Grant([repo], READ)]


def test_each_call_of_git_for_a_promotion_has_a_token_of_its_own_that_can_write(
    platform: Platform, forge: ForgeServer, variables: dict[str, str]
) -> None:
    repo = create_private(forge, "promoted")
    source = platform.run("echo 2 > a", variables, repo=repo)
    pushed = promote(platform, variables, source, create_pr=False)
    assert pushed.status is Status.SUCCESS, pushed.reason
    proposed = promote(platform, variables, source, create_pr=True)
    assert proposed.status is Status.SUCCESS, proposed.reason
    writing = {"contents": "write"}
    assert [grant.permissions for grant in grants(forge, repo)] == [
        READ,
        *(writing, writing),  # fetched, pushed
        *(writing | {"pull_requests": "write"},) * 2,
    ]
    assert forge.git("promoted", "show", "outpost/two:a") == "2"
    assert [pull["head"] for pull in forge.pulls] == ["outpost/two"]


def test_a_renamed_private_repository_is_cloned_with_a_token_for_it_alone(
    platform: Platform, forge: ForgeServer, variables: dict[str, str]
) -> None:
    repo = create_private(forge, "renamed")
    forge.renamed["owner/before"] = repo
    row = platform.run("cat a", variables, repo="owner/before")
    assert row.status is Status.SUCCESS, row.reason
    assert grants(forge, repo) == [Grant([repo], READ)]


def test_a_repository_that_was_transferred_to_another_owner_gets_no_token(
    platform: Platform, forge: ForgeServer, variables: dict[str, str]
) -> None:
    forge.renamed["owner/transferred"] = "stranger/transferred"
    forge.installed.add("stranger/transferred")
    row = platform.run("true; exit 0", variables, repo="owner/transferred")
    assert row.status is Status.FAILED
    assert grants(forge, "stranger/transferred") == []


def test_a_token_for_one_repository_opens_no_other(
    platform: Platform, forge: ForgeServer, variables: dict[str, str]
) -> None:
    mine, other = create_private(forge, "mine"), create_private(forge, "other")
    assert platform.run("true; exit 0", variables, repo=mine).status is Status.SUCCESS
    token = next(token for token, grant in forge.minted.items() if mine in grant.repositories)
    assert forge.may(token, mine, "contents", "read")
    assert not forge.may(token, other, "contents", "read")
    assert not forge.may(token, mine, "contents", "write")


def test_without_the_app_public_repositories_are_read_and_private_ones_are_not(
    platform: Platform, forge: ForgeServer, variables: dict[str, str]
) -> None:
    forge.create("public", {"a": "1\n"})
    assert platform.run("cat a", variables, repo="owner/public").status is Status.SUCCESS
    forge.create("closed", {"a": "1\n"})
    forge.private.add("owner/closed")
    row = platform.run("cat a", variables, repo="owner/closed")
    assert row.reason is not None
    assert row.reason.code is ReasonCode.CLONE_FAILED


def test_a_promotion_to_where_the_app_is_not_installed_says_so(
    platform: Platform, forge: ForgeServer, variables: dict[str, str]
) -> None:
    forge.create("foreign", {"a": "1\n"})
    source = platform.run("echo 2 > a", variables, repo="owner/foreign")
    row = promote(platform, variables, source, create_pr=False)
    assert row.reason is not None
    assert row.reason.code is ReasonCode.FORGE_TOKEN_UNAVAILABLE
    assert "not installed on owner/foreign: install it there" in row.reason.message


def test_a_forge_that_fails_fails_the_dispatch_with_its_words_and_not_the_brokers_function(
    platform: Platform, forge: ForgeServer, variables: dict[str, str]
) -> None:
    repo = create_private(forge, "unlucky")
    asked = len(forge.seen)
    forge.broken = True
    try:
        row = platform.run("cat a", variables, repo=repo)
    finally:
        forge.broken = False
    assert row.reason is not None
    assert row.reason.code is ReasonCode.FORGE_TOKEN_UNAVAILABLE
    assert row.reason.message.startswith("the forge returned 403: Resource not accessible")
    assert len(forge.seen[asked:]) == 1  # a response is not repeated


def test_a_result_is_not_pushed_to_where_the_forge_has_no_repositories(
    platform: Platform, forge: ForgeServer, variables: dict[str, str]
) -> None:
    source = platform.run("echo 2 > a", variables, repo=create_private(forge, "shallow"))
    deep = source.spec.model_copy(update={"repo": f"{forge.git_url}/owner/group/deep"})
    row = promote(platform, variables, source.model_copy(update={"spec": deep}), create_pr=False)
    assert row.reason is not None
    assert row.reason.code is ReasonCode.FORGE_TOKEN_UNAVAILABLE
    assert f"is not owner/name below {forge.git_url}" in row.reason.message


def test_a_tenant_gets_no_token_for_a_repository_that_is_not_given_to_it(
    platform: Platform, forge: ForgeServer, variables: dict[str, str]
) -> None:
    repo = create_private(forge, "others")
    tenants = Tenants(Database.from_environment())
    tenants.change("acme", repositories=("owner/promoted", "another/*"))
    try:
        row = platform.run("cat a", variables, repo=repo)
        forge.private.remove(repo)
        source = platform.run("echo 2 > a", variables, repo=repo)
        promoted = promote(platform, variables, source, create_pr=False)
    finally:
        tenants.change("acme", repositories=("owner/*",))
    assert row.reason is not None
    assert row.reason.code is ReasonCode.CLONE_FAILED
    assert source.status is Status.SUCCESS
    assert promoted.reason is not None
    assert promoted.reason.code is ReasonCode.FORGE_TOKEN_UNAVAILABLE
    assert "outpost tenants set acme --repository owner/others" in promoted.reason.message
    assert grants(forge, repo) == []


def test_the_token_is_not_sent_after_a_redirect(
    platform: Platform, forge: ForgeServer, variables: dict[str, str], tmp_path: Path
) -> None:
    repo = create_private(forge, "moved")
    with serve_forge(tmp_path) as elsewhere:
        elsewhere.create("moved", {"a": "1\n"})
        forge.moved[repo] = elsewhere.git_url
        row = platform.run("true; exit 0", variables, repo=repo)
    assert row.reason is not None
    assert row.reason.code is ReasonCode.CLONE_FAILED
    assert elsewhere.seen == []
    assert grants(forge, repo)


def test_the_agent_and_what_is_kept_of_it_have_no_trace_of_the_token(
    platform: Platform, forge: ForgeServer, variables: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    repo = create_private(forge, "traced")
    search = f"""for place in ../ /proc/self/environ /proc/$PPID/environ /proc/$PPID/cmdline; do
    grep -rlaE --exclude=task 'gh[s]_|{BASIC[:-4]}' $place && echo "found in $place"
done
echo searched; git remote -v; git fetch 2>&1 | tail -1"""
    row = platform.run(search, variables, repo=repo)
    output = platform.read(row, Artifact.OUTPUT).decode()
    assert output.startswith("searched\n"), output
    assert "fatal: " in output  # the agent has no token to fetch with
    (token,) = [token for token, grant in forge.minted.items() if repo in grant.repositories]
    client = boto3.client("s3")
    kept = [
        client.get_object(Bucket=platform.bucket, Key=prefix_of(row) + key)["Body"].read() for key in platform.keys(row)
    ]
    logged = capsys.readouterr().out  # the worker's own log
    assert "reported" in logged
    assert not [content for content in [*kept, logged.encode()] if token.encode() in content]
    assert not [request for request in forge.seen if token in request]
    assert forge.authorized
