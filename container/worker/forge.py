"""The forge's API, as GitHub speaks it: pull requests."""

import json
import urllib.request
from dataclasses import dataclass, field
from http import HTTPStatus
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import quote, urlencode, urlsplit

SECONDS = 30.0


class ForgeError(Exception):
    """The forge refused, or did not answer; the text is its own."""


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """The token goes where it was meant for, and nowhere else."""

    def redirect_request(self, *_: object) -> None:
        """Follow nothing: the redirect becomes an error."""


@dataclass(frozen=True)
class PullRequest:
    """A pull request to be opened."""

    head: str
    base: str
    title: str
    body: str


@dataclass(frozen=True)
class Forge:
    """A forge's API for one repository."""

    url: str
    token: str = field(repr=False)
    repository: str
    """`owner/name`."""

    def open(self, wanted: PullRequest) -> str:
        """Open a pull request and return its URL; of one that is open already, its URL. Raises `ForgeError`."""
        path = f"/repos/{quote(self.repository)}/pulls"
        body = {"title": wanted.title, "head": wanted.head, "base": wanted.base, "body": wanted.body}
        try:
            return str(self._call("POST", path, body)["html_url"])
        except HTTPError as error:
            told = _message(error)
            if error.code != HTTPStatus.UNPROCESSABLE_ENTITY or "already exists" not in told:
                raise ForgeError(f"the forge answered {error.code}: {told}") from error
        return self._find(path, wanted)

    def _find(self, path: str, wanted: PullRequest) -> str:
        owner = self.repository.partition("/")[0]
        query = urlencode({"head": f"{owner}:{wanted.head}", "base": wanted.base, "state": "open"})
        try:
            found = self._call("GET", f"{path}?{query}")
        except HTTPError as error:
            raise ForgeError(f"the forge answered {error.code}: {_message(error)}") from error
        if not found:
            raise ForgeError(f"the forge says that there is a pull request of {wanted.head}, and shows none")
        return str(found[0]["html_url"])

    def _call(self, method: str, path: str, body: object = None) -> Any:  # noqa: ANN401 - JSON
        request = urllib.request.Request(  # noqa: S310 - the configured forge
            f"{self.url.rstrip('/')}{path}",
            data=None if body is None else json.dumps(body).encode(),
            method=method,
            headers={
                "Accept": "application/vnd.github+json",
                "Authorization": f"Bearer {self.token}",
                "Content-Type": "application/json",
                "User-Agent": "outpost",
                "X-GitHub-Api-Version": "2022-11-28",
            },
        )
        try:
            with urllib.request.build_opener(_NoRedirect).open(request, timeout=SECONDS) as answer:
                return json.load(answer)
        except HTTPError:
            raise
        except (URLError, OSError, HTTPException, ValueError) as error:
            raise ForgeError(f"the forge does not answer: {error}") from error


def repository_of(repo: str) -> str:
    """Return `owner/name` of a repository that may be named by its URL."""
    path = urlsplit(repo).path if "://" in repo else repo
    return path.strip("/").removesuffix(".git")


def _message(error: HTTPError) -> str:
    """Return what the forge says, with the details that it gives for a 422."""
    try:
        told = json.load(error)
        details = [each.get("message", "") for each in told.get("errors", []) if isinstance(each, dict)]
        return "; ".join(filter(None, [told.get("message"), *details]))[:500]
    except (ValueError, AttributeError):
        return str(error.reason)
