"""The service as an ASGI application."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from control_plane import mcp, pages
from control_plane.errors import handle_exceptions
from control_plane.middleware import RequestMiddleware
from control_plane.openapi import PROTECTED, DocumentedApp, errors
from control_plane.routes import (
    artifacts,
    dispatches,
    health,
    keys,
    secrets,
    tenants,
    usage,
    watching,
    workspaces,
)
from control_plane.services import Services
from control_plane.threads import TenantThreads
from control_plane.turns import Turns, create_task

DESCRIPTION = """Dispatches coding tasks to AI agents, each in a container of its own, and keeps what they produce.

Every response is an envelope: `success`, then `data` or `error`, and `meta`. Send your API key as `X-API-Key` or as
`Authorization: Bearer`. Times are ISO 8601 in UTC."""


def create_app(services: Services) -> FastAPI:
    """Build the application on the services given."""
    app = DocumentedApp(
        title="Outpost",
        version=services.settings.version,
        description=DESCRIPTION,
        lifespan=_lifespan,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,  # the middleware leaves a final slash out
        telemetry={"tracing": False, "metrics": False, "logs": False},
    )
    app.state.services, app.state.turns = services, Turns()
    app.add_middleware(RequestMiddleware)
    handle_exceptions(app)
    # Matched in this order: the most frequent come first.
    app.include_router(dispatches.router, responses=PROTECTED)
    for public in (health.router, artifacts.links):
        app.include_router(public, responses=errors())
    app.include_router(watching.router, responses=PROTECTED)
    app.include_router(dispatches.results, responses=PROTECTED)
    for protected in (artifacts, workspaces, usage, tenants, keys, secrets):
        app.include_router(protected.router, responses=PROTECTED)
    app.include_router(health.fleet_router, responses=PROTECTED)
    pages.install(app)
    app.state.mcp = mcp.install(app, services)
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    loop = asyncio.get_running_loop()
    loop.set_default_executor(TenantThreads())
    loop.set_task_factory(create_task)
    app.state.services.audit.start()
    async with app.state.services.dispatches.reader.open(), app.state.mcp:
        yield
    # Not in a thread: all of them may hang in calls. Nothing is served any more that would have to wait.
    app.state.services.audit.stop()
