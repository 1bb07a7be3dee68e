"""Finds where a forge redirects a repository to.

A forge redirects a repository that was renamed or transferred (GitHub Docs, "Renaming a repository"), and GitLab one
whose URL lacks `.git`. git would send the token along, so it follows none; the place is looked up here and used only
if it is the same owner's, below the platform's base URL: other owners' repositories are other grants.
"""

import urllib.request
from http.client import HTTPException
from urllib.error import HTTPError, URLError
from urllib.parse import urljoin, urlsplit, urlunsplit

from outpost.domain.repository import forge_repository
from outpost.fleet.forge import NoRedirect
from worker.git import basic_credentials
from worker.lines import printable

_SECONDS = 15.0
_HOPS = 3
_DISCOVERY = "/info/refs"
"""Where a client of git's smart HTTP protocol begins (gitprotocol-http)."""


class MovedError(Exception):
    """The repository is at a place that is not followed; the text names it."""


def current_url(url: str, base_url: str, token: str | None) -> str:
    """Return the URL that the forge redirects `url` to. Raises `MovedError`."""
    for _ in range(_HOPS):
        location = _location(url, token)
        if location is None:
            return url
        place = urlsplit(urljoin(f"{url}{_DISCOVERY}", location))
        target = urlunsplit(place._replace(path=place.path.removesuffix(_DISCOVERY), query="", fragment=""))
        if _owner(target, base_url) is None or _owner(target, base_url) != _owner(url, base_url):
            raise MovedError(f"the repository has moved to {printable(target.encode())[:200]}: dispatch with that one")
        url = target
    raise MovedError(f"the forge redirects more than {_HOPS} times")


def _owner(url: str, base_url: str) -> str | None:
    repository = forge_repository(url, base_url)
    return repository.partition("/")[0].lower() if repository else None


def _location(url: str, token: str | None) -> str | None:
    """Return the header `Location` of a redirect, None of any other response. Raises `MovedError`."""
    request = urllib.request.Request(f"{url}{_DISCOVERY}?service=git-upload-pack")  # noqa: S310 - the configured forge
    if token is not None:
        request.add_unredirected_header("Authorization", basic_credentials(token))
    try:
        with urllib.request.build_opener(NoRedirect).open(request, timeout=_SECONDS):
            return None
    except HTTPError as error:
        with error:
            return error.headers.get("Location") if 300 <= error.code < 400 else None
    except (URLError, OSError, HTTPException) as error:
        raise MovedError(f"the forge does not say where the repository has moved: {error}") from error
