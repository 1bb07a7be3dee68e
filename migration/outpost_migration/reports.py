"""The reports, one for each step. Their JSON schemas are in docs/schemas, made by `outpost_migration.schemas`."""

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from outpost.report import Check, Status
from outpost_migration.monitor.model import Checkpoint, Figures, Proposal
from outpost_migration.v1.calls import Call


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Report(_Part):
    """What every report says."""

    step: str
    run: str
    environment: str
    operator: str
    started_at: datetime
    finished_at: datetime
    status: Status
    checks: list[Check]
    changes: list[str] = Field(description="what the step changed; in a dry run, what it would change")
    dry_run: bool = False


class ValidationReport(Report):
    """preflight: the new environment runs, the old one can be reached."""

    step: Literal["preflight"] = "preflight"
    cluster_arn: str
    task_definition_arns: list[str]
    image_uris: list[str]
    validation_status: Status


class Tool(_Part):
    """A script on v1's host."""

    name: str
    size: int
    sha256: str
    disabled: bool


class Dependency(_Part):
    """The instance that v1's clients send commands to."""

    instance_id: str
    region: str
    document: str
    ping: str


class Caller(_Part):
    """Somebody who used v1."""

    caller: str
    dispatches: int
    reads: int
    last_at: datetime


class ProviderAudit(Report):
    """audit: what v1 consists of and who uses it."""

    step: Literal["audit"] = "audit"
    current_tools: list[Tool]
    ssm_dependencies: list[Dependency]
    callers: list[Caller]
    runs: int
    runs_bytes: int


class ArchiveReport(Report):
    """archive: v1's scripts in S3, restored and compared."""

    step: Literal["archive"] = "archive"
    archive_location: str
    files: list[Tool]
    bytes: int
    sha256: str
    restore_verified: bool


class Outcome(_Part):
    """How a sample task ended."""

    outcome: Literal["success", "failed"]
    exit_code: int | None
    seconds: float


class Pair(_Part):
    """One sample task on both systems."""

    name: str
    v1: Outcome
    v2: Outcome

    @property
    def agrees(self) -> bool:
        """Whether both ended the same way, with the same exit code."""
        return (self.v1.outcome, self.v1.exit_code) == (self.v2.outcome, self.v2.exit_code)


class ParityReport(Report):
    """shadow: the same tasks on both systems."""

    step: Literal["shadow"] = "shadow"
    pairs: list[Pair]
    agreeing: int
    latency_ratio: float | None = Field(description="median of v2's duration through v1's")


class ApiVerification(Report):
    """validate: every endpoint and tool, over the real endpoint."""

    step: Literal["validate"] = "validate"
    base_url: str
    endpoints_tested: list[str]
    tools_functional: list[str]
    all_passed: bool


class ClientFile(_Part):
    """One file of a client's configuration."""

    path: str
    kind: str
    changed: bool
    backup: str | None
    diff: str


class ClientUpdateReport(Report):
    """update-clients: clients' configuration, rewritten."""

    step: Literal["update-clients"] = "update-clients"
    endpoint: str
    files: list[ClientFile]
    config_updated: bool


class CutoverReport(Report):
    """cutover: clients are sent to v2, v1's scripts are out of use."""

    step: Literal["cutover"] = "cutover"
    cutover_status: Literal["complete", "incomplete"]
    ssm_disabled: bool
    ssm_active_scripts: int
    ecs_active: bool
    previous_secret_version: str | None
    denied_callers: list[str]


class MonitoringReport(Report):
    """monitor: the day after the cutover."""

    step: Literal["monitor"] = "monitor"
    uptime: float | None
    error_rate: float | None
    ssm_calls: int
    samples: int
    coverage: float
    figures: Figures
    checkpoints: list[Checkpoint]
    proposal: Proposal | None
    baseline_saved: bool
    complete: bool


class SignoffReport(Report):
    """verify: the nine criteria and the seven controls."""

    step: Literal["verify"] = "verify"
    criteria: list[Check]
    controls: list[Check]
    migration_complete: bool
    signoff_date: datetime | None


class RollbackReport(Report):
    """rollback: clients are sent to v1 again."""

    step: Literal["rollback"] = "rollback"
    level: Literal[1, 2]
    reason: str
    secret_version: str | None
    ssm_active_scripts: int
    previous_desired: int | None = Field(description="tasks of the service before level 2")
    previous_minimum: int | None = Field(description="scaling minimum before level 2")
    seconds: float


class DecommissionReport(Report):
    """decommission: v1 is gone."""

    step: Literal["decommission"] = "decommission"
    quiet_since: datetime | None
    v1_calls: list[Call]
    removed: list[str]
    deregistered: bool


REPORTS: dict[str, tuple[str, type[Report]]] = {
    "preflight": ("validation-report", ValidationReport),
    "audit": ("provider-audit", ProviderAudit),
    "archive": ("archive-report", ArchiveReport),
    "shadow": ("parity-report", ParityReport),
    "validate": ("api-verification", ApiVerification),
    "update-clients": ("client-update-report", ClientUpdateReport),
    "cutover": ("cutover-report", CutoverReport),
    "monitor": ("monitoring-report", MonitoringReport),
    "verify": ("signoff-report", SignoffReport),
    "rollback": ("rollback-report", RollbackReport),
    "decommission": ("decommission-report", DecommissionReport),
}
"""Step -> name and model of its report."""


def schema_of(model: type[BaseModel]) -> dict[str, Any]:
    """Return the JSON schema of a report as it is written."""
    return model.model_json_schema(mode="serialization")
