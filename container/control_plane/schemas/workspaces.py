"""Persistent workspaces as the API shows them."""

from datetime import datetime

from pydantic import Field

from control_plane.envelope import View


class WorkspaceView(View):
    """Files that outlive a dispatch."""

    id: str = Field(description="ULID.")
    repo: str | None = Field(description="The repository that it began with.")
    size_bytes: int = Field(description="Size of its archive when it was last stored.")
    created_at: datetime = Field(description="When it was created.")
    used_at: datetime = Field(description="When a dispatch last used it.")
    expires_at: datetime = Field(description="When it is deleted unless it is used before.")
    dispatch_id: str | None = Field(description="The dispatch that uses it now; null when it is free.")
