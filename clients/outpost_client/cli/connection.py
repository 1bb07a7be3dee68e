"""Which Outpost the commands talk to, and with which key.

URL and key come from `--url` and the environment (OUTPOST_URL, OUTPOST_API_KEY), else from the profile that
`outpost local up` writes into the checkout, else from ~/.config/outpost/profile.json. A key is never an argument:
arguments are visible to every process of the machine.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import typer
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from outpost_client.cli import KEY_VARIABLE, URL_VARIABLE
from outpost_client.cli.options import with_cli_names
from outpost_client.cli.output import show_error
from outpost_client.errors import UNREACHABLE, ApiError

if TYPE_CHECKING:
    from outpost_client.session import Client

LOCAL_PROFILE = Path(__file__).resolve().parents[3] / ".outpost" / "profile.json"
USER_PROFILE = Path("~/.config/outpost/profile.json")

ERROR = 2
"""Exit code when a request could not be made or was refused: of the command, never of the dispatch."""

_HOW_TO_CONNECT = (
    f"Start one on this machine with `make up`, which also issues a key, or set {URL_VARIABLE} and {KEY_VARIABLE} "
    "(your operator issues keys: `outpost keys create TENANT`)."
)
_REMEDIES = {
    UNREACHABLE: "Is it up? `outpost local status` shows the one on this machine, `make up` starts it. "
    f"For another, check {URL_VARIABLE}.",
    "NOT_OUTPOST": f"Check {URL_VARIABLE}.",
    "AUTHENTICATION_ERROR": f"Check {KEY_VARIABLE}; on this machine `make up` issues a new key.",
    "AUTHORIZATION_ERROR": "The operator issues keys with other scopes: `outpost keys create TENANT --scope SCOPE`. "
    f"For the scope admin use the operator's own key; on this machine: {KEY_VARIABLE}=$(outpost local operator-key) "
    "outpost ...",
}


class Profile(BaseModel):
    """A service and a key for it."""

    model_config = ConfigDict(frozen=True)

    url: str
    key: str = Field(repr=False)


class ProfileError(Exception):
    """No usable connection is configured; the text says what to do."""


def load_profile(url: str | None) -> Profile:
    """Return the connection to use; `url` is that of `--url` or the environment.

    A profile's key is only ever sent to the profile's own URL. Raises `ProfileError`.
    """
    stored = _stored_profile()
    key = os.environ.get(KEY_VARIABLE)
    if stored and (url is None or url.rstrip("/") == stored.url):
        return Profile(url=stored.url, key=key or stored.key)
    if url is None:
        raise ProfileError(f"No Outpost is configured. {_HOW_TO_CONNECT}")
    if not key:
        raise ProfileError(f"No API key is configured for {url}. {_HOW_TO_CONNECT}")
    return Profile(url=url, key=key)


def _stored_profile() -> Profile | None:
    for path in (LOCAL_PROFILE, USER_PROFILE.expanduser()):
        try:
            return Profile.model_validate_json(path.read_bytes())
        except FileNotFoundError:
            continue
        except ValidationError as error:
            raise ProfileError(f"{path} is not a profile ({error.error_count()} faults): remove it") from error
    return None


def save_profile(profile: Profile, path: Path) -> None:
    """Write a profile that only its owner can read."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    part.unlink(missing_ok=True)
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(profile.model_dump_json())
    part.replace(path)


def configured(context: typer.Context) -> Profile:
    """Return the connection to use; exit with the remedy where none is configured."""
    try:
        return load_profile(context.obj)
    except ProfileError as error:
        show_error(str(error))
        raise typer.Exit(ERROR) from error


@contextmanager
def connect(context: typer.Context) -> "Iterator[Client]":
    """Yield a client; exit with the error and its remedy when the API refuses or cannot be reached."""
    from outpost_client.session import Client  # noqa: PLC0415 - HTTP is loaded by what calls the API

    profile = configured(context)
    try:
        with Client(profile.url, profile.key) as client:
            yield client
    except ApiError as refused:
        shown = with_cli_names(refused, context)
        show_error(shown.message, code=shown.code, details=shown.details, request_id=shown.request_id)
        if remedy := _REMEDIES.get(shown.code):
            show_error(remedy)
        raise typer.Exit(ERROR) from refused
