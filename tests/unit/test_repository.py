"""Repositories and branches: what git would refuse or misread never reaches it."""

import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from outpost.domain.repository import check_branch, check_grant, check_repo, clone_url, forge_repository

HOSTS = {"github.com", "git.example.org"}


@pytest.mark.parametrize(
    "repo",
    [
        "owner/name",
        "o/n.git",
        "some-org/repo_1.2",
        "https://github.com/owner/name",
        "https://git.example.org/a/b/c.git",
    ],
)
def test_an_ordinary_repository_is_accepted(repo: str) -> None:
    assert check_repo(repo, HOSTS) == repo


@pytest.mark.parametrize(
    "repo",
    [
        "",
        "name",
        "a/b/c",
        "-o/name",
        "owner/-name",
        "owner/..",
        "../name",
        "owner/.git",
        "owner/na me",
        "owner/name\n",
        "--upload-pack=x/y",
        "ext::sh -c id",
        "git@github.com:owner/name",
        "ssh://github.com/owner/name",
        "http://github.com/owner/name",
        "git://github.com/owner/name",
        "file:///etc/passwd",
        "https://evil.example/owner/name",
        "https://github.com.evil.example/owner/name",
        "https://github.com:8443/owner/name",
        "https://github.com:port/owner/name",
        "https://github.com/owner",
        "https://github.com/owner/../name",
        "https://github.com/-owner/name",
        "https://github.com/owner/name?x=y",
        "https://github.com/owner/name#x",
        "https://github.com/owner//name",
        "https://github.com\t/owner/name",
        "https://[::1/owner/name",
        "o/" + "n" * 600,
    ],
)
def test_what_git_could_misread_or_fetch_from_elsewhere_is_refused_by_name(repo: str) -> None:
    with pytest.raises(ValueError, match="repo"):
        check_repo(repo, HOSTS)


def test_credentials_in_a_url_are_refused_and_not_repeated() -> None:
    with pytest.raises(ValueError, match="credentials") as refusal:
        check_repo("https://user:hunter22@github.com/owner/name", HOSTS)
    assert "hunter22" not in str(refusal.value)


def _git_accepts(branch: str) -> bool:
    command = ["git", "check-ref-format", f"refs/heads/{branch}"]
    return subprocess.run(command, check=False).returncode == 0


_TRICKY = st.text(alphabet="ab/.-@{}~^:?*[\\ lock\x7fé", min_size=1, max_size=12)


@settings(max_examples=150)
@given(
    st.one_of(
        _TRICKY, st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=8)
    )
)
def test_branches_are_accepted_exactly_when_git_accepts_them(branch: str) -> None:
    try:
        accepted = check_branch(branch) == branch
    except ValueError:
        accepted = False
    assert accepted == (_git_accepts(branch) and not branch.startswith("-") and branch not in ("@", "HEAD"))


@pytest.mark.parametrize("branch", ["", "-f", "--upload-pack=x", "HEAD", "a" * 256, "a\0b"])
def test_a_branch_that_is_an_option_or_too_long_is_refused_by_name(branch: str) -> None:
    with pytest.raises(ValueError, match="branch"):
        check_branch(branch)


def test_a_short_name_is_cloned_from_the_base_url_and_a_url_from_itself() -> None:
    assert clone_url("owner/name", "https://github.com/") == "https://github.com/owner/name"
    assert clone_url("https://git.example.org/a/b", "https://github.com") == "https://git.example.org/a/b"


@pytest.mark.parametrize(
    ("repo", "base_url", "name"),
    [
        ("owner/name", "https://github.com", "owner/name"),
        ("owner/name", "https://git.example.org/scm/", "owner/name"),
        ("https://github.com/owner/name.git", "https://github.com", "owner/name"),
        ("https://GitHub.com:443/owner/name/", "https://github.com/", "owner/name"),
        ("https://gitlab.com/owner/name", "https://github.com", None),
        ("https://github.com.evil.example/owner/name", "https://github.com", None),
        ("https://github.com/owner/name/more", "https://github.com", None),
        ("https://git.example.org/scmother/owner/name", "https://git.example.org/scm", None),
        ("https://git.example.org:8443/owner/name", "https://git.example.org", None),
    ],
)
def test_a_repository_is_the_forges_when_it_lies_below_the_base_url(repo: str, base_url: str, name: str | None) -> None:
    assert forge_repository(repo, base_url) == name


@pytest.mark.parametrize("grant", ["acme/app.git", "acme/app.GIT", "acme/.git", "acme/.Git", "acme/.", "acme/.."])
def test_a_grant_that_no_repository_of_the_forge_can_match_is_refused_with_a_remedy(grant: str) -> None:
    with pytest.raises(ValueError, match=r"give owner/name without '.git', or owner/\*"):
        check_grant(grant)


@pytest.mark.parametrize("grant", ["acme/app", "acme/*", "acme/git", "acme/.github", "a.git/app"])
def test_a_grant_of_an_ordinary_repository_or_of_all_of_an_owner_is_accepted(grant: str) -> None:
    assert check_grant(grant) == grant
