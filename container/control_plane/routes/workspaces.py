"""/workspaces: list, look at and delete persistent workspaces."""

from fastapi import APIRouter

from control_plane.auth import AuthenticatedRoute, MayDelete, MayList, MayRead
from control_plane.envelope import Success, success
from control_plane.openapi import WorkspaceId, errors
from control_plane.routes.access import Cursors, Injected, Paged
from control_plane.schemas.dispatches import WorkspaceView

router = APIRouter(route_class=AuthenticatedRoute, tags=["workspaces"])


@router.get("/workspaces", summary="List workspaces", responses=errors(400))
async def list_(query: Paged, caller: MayList, services: Injected) -> Success[list[WorkspaceView]]:
    """List the tenant's persistent workspaces, newest first."""
    cursors = Cursors(services.signer, "workspaces", (caller.tenant.id,))
    place = cursors.open(query.cursor)
    found = await services.workspaces.page(caller, query.limit + 1, str(place["before"]) if place else None)
    return cursors.page(found, query.limit, WorkspaceView.showing, lambda last: {"before": last.id})


@router.get("/workspaces/{workspace_id}", summary="Look at a workspace", responses=errors(404))
async def get(workspace_id: WorkspaceId, caller: MayRead, services: Injected) -> Success[WorkspaceView]:
    """Show a workspace."""
    return success(WorkspaceView.showing(await services.workspaces.find(workspace_id, caller)))


@router.delete(
    "/workspaces/{workspace_id}",
    summary="Delete a workspace",
    responses=errors(404, 409, conflict="A dispatch uses the workspace."),
)
async def delete(workspace_id: WorkspaceId, caller: MayDelete, services: Injected) -> Success[WorkspaceView]:
    """Delete a workspace and its files for good, and show it for the last time. Refused while a dispatch uses it."""
    return success(WorkspaceView.showing(await services.workspaces.delete(workspace_id, caller)))
