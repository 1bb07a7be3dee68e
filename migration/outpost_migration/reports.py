"""What the reports of all steps share; each step adds its own fields. Their JSON schemas are in docs/schemas."""

from datetime import datetime
from typing import ClassVar

from pydantic import ConfigDict, Field

from outpost.report import Check, Status
from outpost_migration.monitor.documents import Frozen


class Part(Frozen):
    """A part of a report."""

    model_config = ConfigDict(extra="forbid")


class Report(Part):
    """The fields of every report."""

    file: ClassVar[str]
    """Name of the report's file and of its schema."""

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
