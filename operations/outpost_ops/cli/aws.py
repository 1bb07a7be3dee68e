"""AWS with the credentials of the caller."""

import boto3
import typer
from botocore.exceptions import ProfileNotFound

from outpost_client.cli.connection import ERROR
from outpost_client.cli.output import show_error


def aws_session(region: str | None = None) -> boto3.Session:
    """Return a session of the SDK. Ends the command when `AWS_PROFILE` names a profile that does not exist."""
    try:
        return boto3.Session(region_name=region)
    except ProfileNotFound as error:
        show_error(f"AWS_PROFILE: {error}. Name one that `aws configure list-profiles` shows, or unset it.")
        raise typer.Exit(ERROR) from error
