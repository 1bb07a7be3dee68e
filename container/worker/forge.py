"""Pull requests at a forge that speaks GitHub's API."""

from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import quote, urlencode

from outpost.fleet.forge import ForgeApi, ForgeError

SECONDS = 30.0


@dataclass(frozen=True)
class PullRequest:
    """A pull request to be opened."""

    head: str
    base: str
    title: str
    body: str


def open_pull_request(url: str, token: str, repository: str, wanted: PullRequest) -> str:
    """Open a pull request of `owner/name` and return its URL; of one that is open already, its URL.

    Raises `ForgeError`.
    """
    api = ForgeApi(url, token, SECONDS)
    path = f"/repos/{quote(repository)}/pulls"
    body = {"title": wanted.title, "head": wanted.head, "base": wanted.base, "body": wanted.body}
    try:
        return str(api.call("POST", path, body)["html_url"])
    except ForgeError as error:
        if error.status != HTTPStatus.UNPROCESSABLE_ENTITY or "already exists" not in str(error):
            raise
    owner = repository.partition("/")[0]
    query = urlencode({"head": f"{owner}:{wanted.head}", "base": wanted.base, "state": "open"})
    found = api.call("GET", f"{path}?{query}")
    if not found:
        raise ForgeError(f"the forge says that there is a pull request of {wanted.head}, and shows none")
    return str(found[0]["html_url"])
