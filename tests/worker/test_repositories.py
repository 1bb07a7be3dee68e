"""Repositories in unusual states, from clone to promotion: empty, renamed, without HEAD, tags, SHA-256, LFS."""

import re
from pathlib import Path

import boto3
import pytest

from outpost.domain.dispatch import Dispatch, Promotion, Publication, Status
from outpost.domain.ids import new_id
from outpost.domain.reasons import ReasonCode
from outpost.names import Env
from tests.worker.brokers import at_forge
from tests.worker.collecting import Prepare, git, settings_at
from tests.worker.conftest import GitServer, Platform
from tests.worker.forge_server import TOKEN, ForgeServer, serve_forge
from worker.promotion import Publisher, PublishError

WORDS = Publication(message="Two", author_name="A", author_email="a@b", pr_title="Two", pr_body="")


@pytest.fixture(scope="module")
def variables(platform: Platform, forge: ForgeServer) -> dict[str, str]:
    """What makes a worker use the forge, and a broker that has the forge's token."""
    name = f"forge-{new_id().lower()}"
    token = boto3.client("secretsmanager").create_secret(Name=name, SecretString=TOKEN)["ARN"]
    return at_forge(forge, {Env.FORGE_TOKEN_SECRET: token})


def failure(row: Dispatch) -> tuple[ReasonCode, str]:
    assert (row.status, row.reason is not None) == (Status.FAILED, True), row.reason
    assert row.reason is not None
    return row.reason.code, row.reason.message


def work(platform: Platform, variables: dict[str, str], repo: str, task: str, **spec: object) -> Dispatch:
    row = platform.run(task, variables, repo=repo, **spec)
    assert row.status is Status.SUCCESS, row.reason
    return row


def promote(platform: Platform, variables: dict[str, str], source: Dispatch, branch: str, **more: object) -> Dispatch:
    promotion = Promotion.model_validate(
        {
            "dispatch_id": source.id,
            "attempt": source.attempt,
            "base_commit": platform.summary(source).commit_before,
            "branch": branch,
            "committed_at": source.ended_at,
            "fingerprint": "",
        }
        | more
    )
    spec = {"repo": source.spec.repo, "branch": source.spec.branch, "promotes": promotion}
    return platform.run(WORDS.model_dump_json(), variables, kind="promote", **spec)


def test_the_first_commit_of_an_empty_repository_is_promoted_to_any_branch(
    platform: Platform, forge: ForgeServer, variables: dict[str, str]
) -> None:
    name = "empty"
    (forge.folder / "owner" / name).mkdir(parents=True)
    forge.git(name, "init", "--quiet", "--bare", "--initial-branch=trunk")
    source = work(platform, variables, f"owner/{name}", "git symbolic-ref HEAD; echo 1 > a")
    assert platform.summary(source).commit_before is None

    done = promote(platform, variables, source, "trunk")

    assert done.status is Status.SUCCESS, done.reason
    assert forge.git(name, "log", "--format=%s %P", "trunk") == "Two"
    assert forge.git(name, "show", "trunk:a") == "1"


def test_a_result_of_a_sha256_repository_is_promoted(
    platform: Platform, forge: ForgeServer, variables: dict[str, str]
) -> None:
    path = forge.folder / "owner" / "sha256"
    path.mkdir(parents=True)
    forge.git("sha256", "init", "--quiet", "--object-format=sha256", "--initial-branch=main")
    (path / "a").write_text("1\n")
    forge.git("sha256", "add", "a")
    forge.git("sha256", "commit", "--quiet", "--message", "begin")
    source = work(platform, variables, "owner/sha256", "echo 2 > a; printf '\\0\\1' > blob")
    done = promote(platform, variables, source, "outpost/two")
    assert done.status is Status.SUCCESS, done.reason
    assert forge.git("sha256", "show", "outpost/two:a") == "2"


@pytest.mark.parametrize("mode", ["full", "minimal"])
def test_a_head_that_names_a_missing_branch_is_reported_with_the_branches_there_are(
    platform: Platform, forge: ForgeServer, variables: dict[str, str], mode: str
) -> None:
    name = f"dangling-{mode}"
    forge.create(name, {"a": "1\n"})
    forge.git(name, "branch", "next")
    forge.git(name, "symbolic-ref", "HEAD", "refs/heads/master")

    code, message = failure(platform.run("ls -A", variables, repo=f"owner/{name}", workspace_init_mode=mode))

    assert code is ReasonCode.CLONE_FAILED
    assert "HEAD names a branch that does not exist: give one as branch (main, next)" in message
    named = work(platform, variables, f"owner/{name}", "echo 2 > a", branch="main", workspace_init_mode=mode)
    assert platform.summary(named).files_changed == 1


def test_a_renamed_repository_is_cloned_and_promoted_under_its_new_name(
    platform: Platform, forge: ForgeServer, variables: dict[str, str]
) -> None:
    forge.create("new-name", {"a": "1\n"})
    forge.private.add("owner/new-name")
    forge.renamed["owner/old-name"] = "owner/new-name"

    source = work(platform, variables, "owner/old-name", "echo 2 > a")
    done = promote(platform, variables, source, "outpost/renamed", create_pr=True)

    assert "the repository is now owner/new-name" in platform.messages(source)
    assert done.status is Status.SUCCESS, done.reason
    assert forge.git("new-name", "show", "outpost/renamed:a") == "2"
    (pull,) = [pull for pull in forge.pulls if pull["html_url"] == platform.summary(done).pull_request]
    assert "/repos/owner/new-name/pulls/" in pull["html_url"]


def test_a_repository_that_another_owner_has_now_is_not_followed(
    platform: Platform, forge: ForgeServer, variables: dict[str, str]
) -> None:
    forge.renamed["owner/given-away"] = "stranger/given-away"
    code, message = failure(platform.run("true; exit 0", variables, repo="owner/given-away"))
    assert code is ReasonCode.CLONE_FAILED
    assert f"the repository has moved to {forge.git_url}/stranger/given-away: dispatch with that one" in message
    assert not [request for request in forge.seen if "/stranger/" in request]


def test_a_redirect_to_another_host_is_named_and_not_followed(
    platform: Platform, forge: ForgeServer, variables: dict[str, str], tmp_path: Path
) -> None:
    with serve_forge(tmp_path) as elsewhere:
        forge.moved["owner/abroad"] = elsewhere.git_url
        code, message = failure(platform.run("true; exit 0", variables, repo="owner/abroad"))
        assert elsewhere.seen == []
    assert code is ReasonCode.CLONE_FAILED
    assert f"has moved to {elsewhere.git_url}/owner/abroad" in message


def test_redirects_in_a_circle_end(platform: Platform, forge: ForgeServer, variables: dict[str, str]) -> None:
    forge.renamed |= {"owner/one": "owner/two", "owner/two": "owner/one"}
    code, message = failure(platform.run("true; exit 0", variables, repo="owner/one"))
    assert code is ReasonCode.CLONE_FAILED
    assert "redirects more than" in message


def test_the_default_branch_is_pushed_only_by_a_promotion_that_says_so(
    platform: Platform, forge: ForgeServer, variables: dict[str, str]
) -> None:
    base = forge.create("guarded", {"a": "1\n"})
    forge.git("guarded", "config", "receive.denyCurrentBranch", "ignore")
    source = work(platform, variables, "owner/guarded", "echo 2 > a")

    code, message = failure(promote(platform, variables, source, "main"))
    assert code is ReasonCode.DEFAULT_BRANCH
    assert "main is the repository's default branch" in message
    assert forge.git("guarded", "rev-parse", "main") == base

    done = promote(platform, variables, source, "main", to_default=True)
    assert done.status is Status.SUCCESS, done.reason
    assert forge.git("guarded", "show", "main:a") == "2"


def test_the_guard_knows_the_default_branch_also_when_the_dispatch_names_another(
    platform: Platform, forge: ForgeServer, variables: dict[str, str]
) -> None:
    forge.create("two-branches", {"a": "1\n"})
    forge.git("two-branches", "branch", "next")
    source = work(platform, variables, "owner/two-branches", "echo 2 > a", branch="next")
    assert failure(promote(platform, variables, source, "main"))[0] is ReasonCode.DEFAULT_BRANCH
    assert promote(platform, variables, source, "next").status is Status.SUCCESS


def test_a_result_from_a_tag_is_proposed_to_the_default_branch(
    platform: Platform, forge: ForgeServer, variables: dict[str, str]
) -> None:
    forge.create("tagged", {"a": "1\n"})
    forge.git("tagged", "tag", "--annotate", "--message", "one", "v1")
    forge.git("tagged", "commit", "--quiet", "--allow-empty", "--message", "later")
    source = work(platform, variables, "owner/tagged", "cat a; echo 2 > a", branch="v1")
    assert platform.summary(source).commit_before == forge.git("tagged", "rev-parse", "v1^{commit}")

    done = promote(platform, variables, source, "outpost/from-tag", create_pr=True)

    assert done.status is Status.SUCCESS, done.reason
    (pull,) = [pull for pull in forge.pulls if pull["html_url"] == platform.summary(done).pull_request]
    assert pull["base"] == "main"


REFUSALS = {
    "GitHub": ("echo 'error: GH006: Protected branch update failed for refs/heads/release.' >&2", "GH006"),
    "GitLab": ("echo 'GitLab: You are not allowed to push code to protected branches on this project.' >&2", "GitLab"),
    "Forgejo": ("echo 'Forgejo: Not allowed to push to protected branch release' >&2", "Forgejo"),
    "Bitbucket": ("echo 'Branch refs/heads/release can only be modified through pull requests.' >&2", "pull requests"),
}


@pytest.mark.parametrize("kind", REFUSALS)
def test_the_refusal_of_a_protected_branch_is_reported_as_such_with_the_forges_reason(
    platform: Platform, forge: ForgeServer, variables: dict[str, str], kind: str
) -> None:
    name, (refuse, reason) = f"protected-{kind.lower()}", REFUSALS[kind]
    forge.create(name, {"a": "1\n"})
    hook(forge, name, f"{refuse}\nexit 1")
    source = work(platform, variables, f"owner/{name}", "echo 2 > a")
    code, message = failure(promote(platform, variables, source, "release"))
    assert code is ReasonCode.BRANCH_PROTECTED
    assert reason in message


def test_another_refusal_of_the_forge_is_reported_with_its_reason(
    platform: Platform, forge: ForgeServer, variables: dict[str, str]
) -> None:
    forge.create("scanned", {"a": "1\n"})
    hook(forge, "scanned", "echo 'error: GH013: Push cannot contain secrets' >&2\nexit 1")
    source = work(platform, variables, "owner/scanned", "echo 2 > a")
    code, message = failure(promote(platform, variables, source, "outpost/two"))
    assert code is ReasonCode.PUSH_FAILED
    assert "GH013: Push cannot contain secrets" in message


def hook(forge: ForgeServer, name: str, script: str) -> None:
    file = forge.folder / "owner" / name / ".git" / "hooks" / "pre-receive"
    file.parent.mkdir(exist_ok=True)
    file.write_text(f"#!/bin/sh\n{script}\n")
    file.chmod(0o755)


def test_files_in_git_lfs_are_reported(platform: Platform, forge: ForgeServer, variables: dict[str, str]) -> None:
    pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{'4' * 64}\nsize 12345\n"
    forge.create("large", {"deep/.gitattributes": "*.bin filter=lfs\n", "deep/a.bin": pointer, "b.txt": pointer[:20]})
    row = work(platform, variables, "owner/large", "cat deep/a.bin | head -1")
    expected = "1 files are in Git LFS and were not fetched, only their pointers: deep/a.bin"
    assert expected in platform.messages(row)
    assert platform.summary(row).files_changed == 0


@pytest.mark.parametrize(
    ("allowed", "remedy"),
    [("false", "git config daemon.receivepack true"), ("true", "git config receive.denyCurrentBranch updateInstead")],
)
def test_what_a_repository_must_allow_for_a_push_is_named(
    git_server: GitServer, prepare: Prepare, tmp_path: Path, allowed: str, remedy: str
) -> None:
    name = new_id()
    run = prepare("full", git_server.create(name, {"a": b"1\n"}))
    git_server.git(name, "config", "daemon.receivepack", allowed)
    commit = str(run.workspace.commit_before)
    identity = {f"GIT_{who}_{what}": "a@b" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    made = git(run.workspace.git_dir, "commit-tree", f"{commit}^{{tree}}", "-p", commit, "-m", "next", **identity)
    publisher = Publisher(run.workspace, settings_at(git_server, tmp_path))
    with pytest.raises(PublishError, match=re.escape(remedy)):
        publisher.push(made, "main", run.workspace.url, None)
