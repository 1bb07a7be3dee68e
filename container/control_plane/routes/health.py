"""/health: for the load balancer, for operators, for tenants."""

import asyncio
import time

from fastapi import APIRouter, Request

from control_plane.auth import AuthenticatedRoute, MayRead
from control_plane.envelope import Success, success
from control_plane.errors import unavailable
from control_plane.openapi import errors
from control_plane.routes.access import Injected
from control_plane.schemas.health import CheckView, FleetView, HealthView, LiveView

router = APIRouter(tags=["health"])
fleet_router = APIRouter(route_class=AuthenticatedRoute, tags=["health"])

NEEDED = ("dynamodb", "s3", "efs")
"""Without these no request can be served well; a worker pool in trouble only makes dispatches wait."""


@router.get("/health/live", summary="Does the process answer?")
async def live(request: Request) -> Success[LiveView]:
    """Answer. Nothing else is touched, so that trouble elsewhere never restarts this service."""
    return success(request, LiveView())


@router.get("/health/ready", summary="Can it serve?", responses=errors(503))
async def ready(request: Request, services: Injected) -> Success[dict[str, CheckView]]:
    """Say whether tables, bucket and file system are reached; looked at every ten seconds at most."""
    checks = await services.probes.checks()
    failed = [f"{name} {checks[name].message}" for name in NEEDED if checks[name].status == "fail"]
    if failed:
        raise unavailable(f"Not ready: {'; '.join(failed)}.")
    return success(request, {name: checks[name] for name in NEEDED})


@router.get("/health", summary="How is the service?")
async def health(request: Request, services: Injected) -> Success[HealthView]:
    """Show the service's version and its checks. Always 200: the status is in the answer."""
    checks = await services.probes.checks()
    failed = {name for name, check in checks.items() if check.status == "fail"}
    status = "unhealthy" if failed.intersection(NEEDED) else "degraded" if failed else "healthy"
    view = HealthView.model_validate(
        {
            "status": status,
            "version": services.version,
            "uptime": int(time.monotonic() - services.started),
            "checks": checks,
        },
        by_name=True,
    )
    return success(request, view)


@fleet_router.get("/health/fleet", summary="How do my dispatches fare?", responses=errors())
async def fleet(caller: MayRead, services: Injected, request: Request) -> Success[FleetView]:
    """Show the tenant's own figures: what waits, what runs, and how the last hour went. Nothing of other tenants.

    The operator's keys are shown the platform's totals as well.
    """
    return success(request, await asyncio.to_thread(services.fleet.of, caller.tenant))
