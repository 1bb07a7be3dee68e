"""Which repositories and branches a dispatch may name, checked before git sees them. Used by API and worker alike."""

import re
from collections.abc import Collection
from urllib.parse import SplitResult, urlsplit

MAX_REPO_LENGTH = 500
MAX_BRANCH_LENGTH = 255

_OWNER = "[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}"
_NAME = "[A-Za-z0-9_.][A-Za-z0-9_.-]{0,99}"
_OWNER_NAME = re.compile(f"{_OWNER}/{_NAME}")
GRANT_PATTERN = rf"^{_OWNER}/(\*|{_NAME})$"
"""What a tenant may be granted has this form; `check_grant` finds those that mean nothing."""
_URL_PATH = re.compile(r"(?:/[A-Za-z0-9_.~][A-Za-z0-9_.~-]*){2,}/?")
_UNPRINTABLE = re.compile(r"[\x00-\x20\x7f-\xa0\u2028\u2029]")
_REF_FORBIDDEN = re.compile(r"[\x00-\x20\x7f~^:?*\[\\]")


def check_repo(repo: str, allowed_hosts: Collection[str]) -> str:
    """Return `repo` when it is `owner/name` or the https URL of a repository on an allowed host.

    Raises `ValueError` naming the remedy; the text never repeats credentials.
    """
    if len(repo) > MAX_REPO_LENGTH or _UNPRINTABLE.search(repo):
        raise ValueError(f"repo has spaces or control characters, or more than {MAX_REPO_LENGTH}: give owner/name")
    if "://" in repo:
        return _check_url(repo, allowed_hosts)
    if _OWNER_NAME.fullmatch(repo) is None or _has_dots_only(repo):
        raise ValueError(f"repo {repo!r} is neither owner/name nor an https URL: give it as owner/name")
    return repo


def _check_url(repo: str, allowed_hosts: Collection[str]) -> str:
    try:
        url = urlsplit(repo)
        port = url.port
    except ValueError as error:
        raise ValueError(f"repo is not a URL ({error}): give owner/name or https://host/owner/name") from None
    if "@" in url.netloc:
        raise ValueError("repo carries credentials: leave them out, the platform has its own")
    if url.scheme != "https":
        raise ValueError(f"repo {repo!r} uses {url.scheme!r}: only https URLs are cloned")
    if url.hostname not in allowed_hosts or port not in (None, 443):
        offered = ", ".join(sorted(allowed_hosts)) or "none"
        raise ValueError(f"repo {repo!r} names a host that is not allowed here; allowed: {offered}")
    if url.query or url.fragment or _URL_PATH.fullmatch(url.path) is None or _has_dots_only(url.path):
        raise ValueError(f"repo {repo!r} has an unusual path: give https://{url.hostname}/owner/name")
    return repo


def _has_dots_only(path: str) -> bool:
    return any(segment in (".", "..", ".git") for segment in path.split("/"))


def short_branch(branch: str) -> str:
    """Return a branch's name without `refs/heads/`."""
    return branch.removeprefix("refs/heads/")


def check_branch(branch: str) -> str:
    """Return `branch` when git accepts it as a branch's name and cannot read it as an option.

    Raises `ValueError` naming the rule that it breaks.
    """
    if broken := _broken_rule(branch):
        raise ValueError(f"branch {branch[:80]!r} {broken}: give a name that git accepts")
    return branch


def _broken_rule(branch: str) -> str | None:
    """Return the rule of git-check-ref-format(1) that the name breaks, or None."""
    if not 1 <= len(branch) <= MAX_BRANCH_LENGTH:
        return f"is not 1 to {MAX_BRANCH_LENGTH} characters long"
    if branch.startswith(("-", "refs/")):
        return "begins with a dash, or with 'refs/' and is no branch"
    if _REF_FORBIDDEN.search(branch):
        return "has a space, a control character or one of ~ ^ : ? * [ \\"
    if ".." in branch or "@{" in branch or branch in ("@", "HEAD") or branch.endswith("."):
        return "has '..' or '@{', ends with a dot, or is '@' or 'HEAD'"
    parts = branch.split("/")
    if any(not part or part.startswith(".") or part.endswith(".lock") for part in parts):
        return "has a part that is empty, begins with a dot or ends with '.lock'"
    return None


def forge_repository(repo: str, base_url: str) -> str | None:
    """Return `owner/name` of a repository that lies below the platform's base URL; None for any other."""
    url, base = urlsplit(clone_url(repo, base_url)), urlsplit(f"{base_url.rstrip('/')}/")
    if _origin(url) != _origin(base) or not url.path.startswith(base.path):
        return None
    path = url.path.removeprefix(base.path).rstrip("/").removesuffix(".git")
    return path if _OWNER_NAME.fullmatch(path) and not _has_dots_only(path) else None


def check_grant(grant: str) -> str:
    """Return `owner/name` or `owner/*` when repositories of the forge can match it: `forge_repository` is its name.

    Raises `ValueError` naming the remedy.
    """
    if grant.lower().endswith(".git") or _has_dots_only(grant):
        raise ValueError(f"{grant!r} names no repository: give owner/name without '.git', or owner/*")
    return grant


def _origin(url: SplitResult) -> tuple[str, str | None, int | None]:
    return url.scheme, url.hostname, url.port or {"https": 443}.get(url.scheme)


def clone_url(repo: str, base_url: str) -> str:
    """Return the URL to clone: a URL as it is, `owner/name` below the platform's base URL."""
    return repo if "://" in repo else f"{base_url.rstrip('/')}/{repo}"
