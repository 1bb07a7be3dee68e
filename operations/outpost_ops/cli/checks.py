"""What operators' commands share: this machine's environment, a session, errors as sentences, how checks are shown."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import entry_points

import boto3
import typer
from botocore.exceptions import BotoCoreError, ClientError, ProfileNotFound
from rich.text import Text

from outpost.report import Check
from outpost_client import ApiError
from outpost_client.cli.connection import ERROR
from outpost_client.cli.output import out, printable, show_error
from outpost_ops.errors import OperationError

STYLES = {"pass": "green", "fail": "red", "inconclusive": "yellow", "error": "red", "running": "blue"}
EXIT_CODES = {"pass": 0, "fail": 1, "inconclusive": 3}
"""Exit codes of a step; 2 is an error."""


def use_local() -> str | None:
    """Point this process at the environment of this machine; return the URL of its API. Raises `OperationError`.

    Returns None, and changes nothing, where AWS_ENDPOINT_URL names another endpoint.
    """
    if os.environ.get("AWS_ENDPOINT_URL"):
        return None
    for entry in entry_points(group="outpost.environments", name="local"):
        url: str = entry.load()()
        return url
    raise OperationError("the embedded AWS is not installed here: name --environment, or work in a checkout")


def aws_session(region: str | None = None) -> boto3.Session:
    """Return a session of the SDK. Raises `OperationError` when `AWS_PROFILE` names a profile that does not exist."""
    try:
        return boto3.Session(region_name=region)
    except ProfileNotFound as error:
        remedy = "Name one that `aws configure list-profiles` shows, or unset it."
        raise OperationError(f"AWS_PROFILE: {error}. {remedy}") from error


@contextmanager
def explained(hint: str = "") -> Iterator[None]:
    """End the command with an error's message and remedy; `hint` follows errors of the API."""
    try:
        yield
    except OperationError as error:
        show_error(str(error))
    except ApiError as error:
        show_error(error.message, code=error.code, details=error.details, request_id=error.request_id)
        if hint:
            show_error(hint)
    except ClientError as error:
        code, message = error.response["Error"]["Code"], error.response["Error"]["Message"]
        show_error(f"{error.operation_name}: {message}", code=code)
        show_error("The step can be run again: what is done is not done twice.")
    except BotoCoreError as error:
        show_error(f"AWS cannot be reached: {error}")
        show_error("Check credentials and region; the step can be run again.")
    else:
        return
    raise typer.Exit(ERROR)


def show_checks(checks: Sequence[Check]) -> None:
    """Show each check with its evidence, and what to do about those that did not pass."""
    for check in checks:
        out.print(Text.assemble((f"{check.status:<13}", STYLES[check.status]), (check.title, "bold")))
        for line in check.evidence:
            out.print(Text(f"{'':13}{printable(line)}", style="dim"))
        if check.remedy:
            out.print(Text(f"{'':13}{check.remedy}"))
