"""Artifacts as the API shows them."""

from datetime import datetime
from typing import Literal

from pydantic import Field

from control_plane.envelope import Body, View

ArtifactType = Literal["output", "logs", "patch", "commits", "files", "workspace", "metadata"]


class ArtifactQuery(Body):
    """How the links are made."""

    expires_in: int = Field(default=900, ge=60, le=3_600, description="How long the links can be opened, in seconds.")


class LinkQuery(Body):
    """What opens an artifact once, without an API key."""

    token: str = Field(description="From the artifact's `url`.", max_length=2_048)


class ArtifactView(View):
    """A file that the winning attempt left."""

    name: str = Field(description="File name.", examples=["changes.patch"])
    type: ArtifactType = Field(description="What it is.")
    size: int = Field(description="Size in bytes.")
    url: str = Field(description="Opens the file once, without an API key, until `expiresAt`; redirects to storage.")
    expires_at: datetime = Field(description="When the link ends.")


class WithheldView(View):
    """A file that holds the value of a known secret: it can be fetched once it is released."""

    name: str = Field(description="File name.", examples=["changes.patch"])
    type: ArtifactType = Field(description="What it is.")
    size: int = Field(description="Size in bytes.")


class ArtifactList(View):
    """What a dispatch left: while it is live, what its current attempt has uploaded so far."""

    dispatch_id: str = Field(description="The dispatch.")
    attempt: int = Field(description="The attempt that these are of.")
    artifacts: list[ArtifactView] = Field(description="The files that can be fetched.")
    withheld: list[WithheldView] = Field(
        description="Files that hold the value of a known secret. The dispatch's `findings`, and the file "
        "`findings.json` with more of them, say where; `POST /dispatch/{id}/release` makes them files like the others."
    )
