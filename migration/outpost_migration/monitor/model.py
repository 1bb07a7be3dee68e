"""What the monitor has to do, what it samples, and what it makes of it."""

from datetime import datetime, timedelta
from typing import Literal

from pydantic import Field

from outpost.report import Check
from outpost_migration.monitor.documents import Part

CURRENT_PLAN = "migration/monitor.json"
"""Key of the plan that the scheduled function follows."""
HOST = "migration/v1-host.json"
"""Key of what is known of v1's host."""
CHUNK = 60
"""Samples in one document."""


class V1Host(Part):
    """The host that v1 runs on."""

    instance_id: str
    region: str


class Plan(Part):
    """Which window to watch, and how. Times in seconds."""

    run: str
    started_at: datetime
    period_seconds: int = Field(default=60, ge=1)
    window_seconds: int = Field(default=86_400, ge=1)
    lag_seconds: int = Field(default=900, ge=0, description="how long CloudTrail may take to deliver an event")
    metric_delay_seconds: int = Field(default=120, ge=0, description="how long a metric may take to be complete")
    checkpoints_seconds: tuple[int, ...] = (3_600, 21_600, 43_200, 86_400)

    @property
    def expected(self) -> int:
        """How many samples cover the window."""
        return self.window_seconds // self.period_seconds

    @property
    def ends_at(self) -> datetime:
        """The end of the window."""
        return self.started_at + timedelta(seconds=self.window_seconds)

    def at(self, index: int) -> datetime:
        """Return when a sample's period begins."""
        return self.started_at + timedelta(seconds=index * self.period_seconds)

    def due(self, now: datetime, delay_seconds: int) -> int:
        """Return how many periods ended at least that long ago, within the window."""
        passed = (now - self.started_at).total_seconds() - delay_seconds
        return max(0, min(self.expected, int(passed // self.period_seconds)))

    @property
    def folder(self) -> str:
        """Where everything about this window lies."""
        return f"migration/{self.run}/monitor/"


class Sample(Part):
    """One period. None stands for "not known": the source returned nothing."""

    index: int
    healthy: float | None = Field(default=None, description="fewest healthy targets in the period")
    requests: int = 0
    errors: int = Field(default=0, description="responses 5xx of the targets and of the load balancer")
    p95_ms: float | None = None
    v1_dispatches: int | None = Field(default=None, description="None until the trail can be trusted for the period")
    v1_callers: tuple[str, ...] = ()

    @property
    def covered(self) -> bool:
        """Whether everything is known of the period."""
        return self.healthy is not None and self.v1_dispatches is not None


class Chunk(Part):
    """The samples of consecutive periods."""

    samples: tuple[Sample, ...] = ()


class Figures(Part):
    """What a stretch of samples amounts to. A rate without anything to divide by is None."""

    since: datetime
    until: datetime
    expected: int
    samples: int
    coverage: float
    gaps: list[str] = Field(description="stretches without a complete sample")
    down: int = Field(description="periods known to be without a healthy target")
    availability: float | None
    success_rate: float | None
    error_rate: float | None
    p95_ms: float | None
    requests: int
    v1_dispatches: int
    v1_callers: list[str]


class Proposal(Part):
    """A rollback that the figures call for; a person decides."""

    level: Literal[1, 2]
    reason: str


class Checkpoint(Part):
    """The evaluation at one of the plan's checkpoints."""

    after_seconds: int
    figures: Figures
    checks: list[Check]
    taken_at: datetime


class Baseline(Part):
    """Percentiles of a healthy window, to compare later days with."""

    since: datetime
    until: datetime
    samples: int
    requests: int
    availability: float
    error_rate: float
    latency_ms: dict[str, float] = Field(description="p50, p95, p99 of the periods' 95th percentiles")
    requests_per_period: dict[str, float]


class State(Part):
    """Where the monitor stands."""

    plan: Plan
    ticked_at: datetime
    figures: Figures
    proposal: Proposal | None
