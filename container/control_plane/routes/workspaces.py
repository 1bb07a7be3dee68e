"""/workspaces: list, look at and delete persistent workspaces."""

import asyncio
from itertools import islice
from typing import Annotated

from fastapi import APIRouter, Query, Request

from control_plane.auth import AuthenticatedRoute, MayDelete, MayList, MayRead, Principal
from control_plane.envelope import Pagination, Success, success
from control_plane.errors import not_found
from control_plane.openapi import CONFLICT, WorkspaceId, errors
from control_plane.routes.access import Injected, open_cursor
from control_plane.schemas.dispatches import WorkspaceView
from control_plane.schemas.tenants import PageQuery
from control_plane.services import Services
from outpost.domain.ids import is_id
from outpost.domain.workspaces import Workspace

router = APIRouter(route_class=AuthenticatedRoute, tags=["workspaces"])


@router.get("/workspaces", summary="List workspaces", responses=errors(400))
async def list_(
    query: Annotated[PageQuery, Query()], caller: MayList, services: Injected, request: Request
) -> Success[list[WorkspaceView]]:
    """List the tenant's persistent workspaces, newest first."""
    context = (caller.tenant.id,)
    cursor = open_cursor(services, "workspaces", context, query.cursor)
    before = str(cursor["before"]) if cursor else None
    all_ = services.workspaces.all
    found = await asyncio.to_thread(lambda: list(islice(all_(caller.tenant.id, before), query.limit + 1)))
    shown = found[: query.limit]
    more = services.signer.seal("workspaces", context, {"before": shown[-1].id}) if len(found) > len(shown) else None
    pagination = Pagination(cursor=more, has_more=more is not None, limit=query.limit)
    return success(request, [_view(workspace) for workspace in shown], pagination)


@router.get("/workspaces/{workspace_id}", summary="Look at a workspace", responses=errors(404))
async def get(
    workspace_id: WorkspaceId, caller: MayRead, services: Injected, request: Request
) -> Success[WorkspaceView]:
    """Show a workspace."""
    return success(request, _view(await _owned(services, caller, workspace_id)))


@router.delete(
    "/workspaces/{workspace_id}",
    summary="Delete a workspace",
    responses=errors(404, 409) | {409: {**CONFLICT, "description": "A dispatch uses the workspace."}},
)
async def delete(
    workspace_id: WorkspaceId, caller: MayDelete, services: Injected, request: Request
) -> Success[WorkspaceView]:
    """Delete a workspace and its files for good, and show it for the last time. Refused while a dispatch uses it."""
    workspace = await _owned(services, caller, workspace_id)
    await asyncio.to_thread(services.workspaces.delete, workspace)
    return success(request, _view(workspace))


async def _owned(services: Services, caller: Principal, workspace_id: str) -> Workspace:
    """Read a workspace of the caller's tenant. Raises the same 404 for all others, whether they exist or not."""
    if not is_id(workspace_id):
        raise not_found("workspace")
    found = await asyncio.to_thread(services.workspaces.get, caller.tenant.id, workspace_id)
    if found is None:
        raise not_found("workspace")
    return found


def _view(workspace: Workspace) -> WorkspaceView:
    return WorkspaceView.model_validate(workspace.model_dump(), by_name=True)
