"""Health as the API shows it."""

from typing import Literal

from pydantic import Field

from control_plane.envelope import View
from outpost.domain.dispatch import Status

CheckStatus = Literal["pass", "warn", "fail"]


class LiveView(View):
    """The process answers."""

    status: Literal["alive"] = "alive"


class CheckView(View):
    """One thing that the service needs."""

    status: CheckStatus = Field(description="`warn`: not yet known, or impaired.")
    message: str = Field(description="What was seen.")


class HealthView(View):
    """The service and what it needs; nothing of any tenant."""

    status: Literal["healthy", "degraded", "unhealthy"] = Field(description="The worst of the checks.")
    version: str = Field(description="Version of the service.")
    uptime: int = Field(description="Seconds since this replica started.")
    checks: dict[str, CheckView] = Field(description="By name: efs, worker-pool, dynamodb, s3.")


class AgentFleetView(View):
    """The caller's use of one agent in the last hour."""

    available: bool = Field(description="Whether dispatches for it are accepted here.")
    model_id: str | None = Field(description="The default model.")
    pending: int = Field(description="The tenant's dispatches that wait for a worker (counted up to 1,000).")
    success_rate: float | None = Field(description="Successes among those that ended, 0 to 1; null when none did.")
    mean_duration_seconds: float | None = Field(description="Mean run time of those that ended; null when none did.")


class FleetView(View):
    """The caller's own figures."""

    agents: dict[str, AgentFleetView] = Field(description="By agent.")
    slots_used: int = Field(description="Dispatches of the tenant that hold a worker now.")
    slots: int = Field(description="How many may hold one at once.")
    last_hour: dict[Status, int] = Field(description="Dispatches created in the last hour, by state.")
    complete: bool = Field(description="False when only the newest 1,000 dispatches of the hour were counted.")
