"""A forge's API, that of GitHub: calls with a token that goes where it was meant for, and nowhere else."""

import json
import urllib.request
from dataclasses import dataclass, field
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError, URLError


class ForgeError(Exception):
    """The forge refused, or sent no response; the text is its own."""

    def __init__(self, message: str, status: int | None = None, location: str | None = None) -> None:
        super().__init__(message)
        self.location = location
        """Where a redirect points to."""
        self.status = status
        """The HTTP status of a refusal; None when there was no response."""


class NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirect would take the token elsewhere."""

    def redirect_request(self, *_: object) -> None:
        """Follow nothing: the redirect becomes an error."""


@dataclass(frozen=True)
class ForgeApi:
    """The API at `url` for the bearer of `token`; `seconds` bound each wait of a call, not the call."""

    url: str
    token: str = field(repr=False)
    seconds: float

    def call(self, method: str, path: str, body: object = None) -> Any:  # noqa: ANN401 - JSON
        """Return the response's document. Raises `ForgeError`."""
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
            with urllib.request.build_opener(NoRedirect).open(request, timeout=self.seconds) as response:
                return json.load(response)
        except HTTPError as error:
            message = f"the forge returned {error.code}: {_message(error)}"
            raise ForgeError(message, error.code, error.headers.get("Location")) from error
        except (URLError, OSError, HTTPException, ValueError) as error:
            raise ForgeError(f"the forge does not respond: {error}") from error


def _message(error: HTTPError) -> str:
    """Return what the forge says, with the details that it gives for a 422."""
    try:
        body = json.load(error)
        details = [each.get("message") for each in body.get("errors") or [] if isinstance(each, dict)]
        return "; ".join(filter(None, [body.get("message"), *details]))[:500]
    except (OSError, HTTPException, ValueError, AttributeError, TypeError):  # cut short, or not as GitHub writes it
        return str(error.reason)
