"""Persistent workspaces of tenants. What takes or makes one is a dispatch (`control_plane.services.dispatches`)."""

import asyncio
from itertools import islice

from control_plane.auth import Principal
from control_plane.errors import not_found
from outpost.domain.ids import is_id
from outpost.domain.workspaces import Workspace
from outpost.store.workspaces import Workspaces


class WorkspaceService:
    """Works on behalf of a caller: a workspace of another tenant does not exist for it."""

    def __init__(self, workspaces: Workspaces) -> None:
        self._workspaces = workspaces

    async def page(self, caller: Principal, limit: int, before: str | None) -> list[Workspace]:
        """Return up to `limit` workspaces, newest first, from those older than `before` on."""
        return await asyncio.to_thread(lambda: list(islice(self._workspaces.all(caller.tenant.id, before), limit)))

    async def find(self, workspace_id: str, caller: Principal) -> Workspace:
        """Read a workspace. Raises the same 404 for another tenant's and for one that does not exist."""
        if is_id(workspace_id):
            found = await asyncio.to_thread(self._workspaces.get, caller.tenant.id, workspace_id)
            if found is not None:
                return found
        raise not_found("workspace")

    async def delete(self, workspace_id: str, caller: Principal) -> Workspace:
        """Delete a workspace and return it. Raises `WorkspaceInUseError`, and what `find` raises."""
        workspace = await self.find(workspace_id, caller)
        await asyncio.to_thread(self._workspaces.delete, workspace)
        return workspace
