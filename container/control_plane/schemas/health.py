"""Health as the API shows it."""

from typing import Literal

from pydantic import Field

from control_plane.envelope import View
from outpost.domain.dispatch import Status


class LiveView(View):
    """The process is alive."""

    status: Literal["alive"] = Field(default="alive", description="Nothing more is known.")


class CheckView(View):
    """One thing that the service needs."""

    status: Literal["pass", "warn", "fail"] = Field(description="`warn`: not yet known, or impaired.")
    message: str = Field(description="What was seen.")


class HealthView(View):
    """The service and what it needs; nothing of any tenant."""

    status: Literal["healthy", "degraded", "unhealthy"] = Field(description="The worst of the checks.")
    version: str = Field(description="Version of the service.")
    uptime: int = Field(description="Seconds since this replica started.")
    checks: dict[str, CheckView] = Field(description="By name: efs, worker-pool, dynamodb, s3.")


class AgentFleetView(View):
    """The caller's use of one agent."""

    available: bool = Field(description="Whether dispatches for it are accepted here.")
    model_id: str | None = Field(default=None, description="The default model.")
    warm: int = Field(default=0, description="How many dispatches would start at once: idle workers, free slots.")
    busy: int = Field(default=0, description="The tenant's dispatches that hold a worker.")
    pending: int = Field(default=0, description="Those that wait for a worker (counted up to 1,000).")
    success_rate: float | None = Field(
        default=None, description="Successes among those of the last hour that ended, 0 to 1; null when none did."
    )
    mean_duration_seconds: float | None = Field(
        default=None, description="Mean run time of those of the last hour that ended; null when none did."
    )


class AgentTotalsView(View):
    """All workers and dispatches of one agent."""

    starting: int = Field(description="Workers that are being launched.")
    idle: int = Field(description="Workers that wait for work.")
    busy: int = Field(description="Workers that have a dispatch.")
    pending: int = Field(description="Dispatches that wait for a worker (counted up to 1,000).")


class TotalsView(View):
    """The platform's figures."""

    agents: dict[str, AgentTotalsView] = Field(description="By agent that is enabled here.")
    live: int = Field(description="Dispatches that have not ended (counted up to 8,000).")


class FleetView(View):
    """The caller's own figures."""

    agents: dict[str, AgentFleetView] = Field(description="By agent.")
    slots_used: int = Field(description="Dispatches of the tenant that hold a worker now.")
    slots: int = Field(description="How many may hold one at once.")
    last_hour: dict[Status, int] = Field(description="Dispatches created in the last hour, by state.")
    complete: bool = Field(description="False when only the newest 1,000 dispatches of the hour were counted.")
    totals: TotalsView | None = Field(description="The platform's figures; null for all but the operator.")
