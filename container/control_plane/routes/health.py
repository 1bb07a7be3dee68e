"""/health: for the load balancer, for operators, for tenants."""

from fastapi import APIRouter

from control_plane.auth import AuthenticatedRoute, MayRead
from control_plane.envelope import Success, success
from control_plane.openapi import errors
from control_plane.routes.access import Injected
from control_plane.schemas.health import CheckView, FleetView, HealthView, LiveView

router = APIRouter(tags=["health"])
fleet_router = APIRouter(route_class=AuthenticatedRoute, tags=["health"])


@router.get("/health/live", summary="Is the process alive?")
async def live() -> Success[LiveView]:
    """Respond. Nothing else is touched, so that a failure elsewhere never restarts this service."""
    return success(LiveView())


@router.get("/health/ready", summary="Can it serve?", responses=errors(503))
async def ready(services: Injected) -> Success[dict[str, CheckView]]:
    """Return whether tables, bucket and file system are reached; checked every ten seconds at most."""
    return success(await services.probes.ready())


@router.get("/health", summary="How is the service?")
async def health(services: Injected) -> Success[HealthView]:
    """Show the service's version and its checks. Always 200: the status is in the response."""
    return success(await services.probes.health(services.settings.version))


@fleet_router.get("/health/fleet", summary="How do my dispatches fare?", responses=errors())
async def fleet(caller: MayRead, services: Injected) -> Success[FleetView]:
    """Show the tenant's own figures: what waits, what runs, and how the last hour went. Nothing of other tenants.

    The operator's keys are shown the platform's totals as well.
    """
    return success(await services.fleet.of(caller.tenant))
