"""The result of a check: what was looked at, what was found, what to do."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

Status = Literal["pass", "fail", "inconclusive"]


class Check(BaseModel):
    """One thing that was checked. Without evidence there is no pass."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    title: str
    status: Status
    evidence: list[str] = Field(description="the request, its period, and the response")
    remedy: str = Field(default="", description="what to do unless it passed")

    @classmethod
    def of(cls, id_: str, title: str, holds: bool | None, evidence: Iterable[str], remedy: str = "") -> "Check":
        """Return a check; `holds` is None when that is not known."""
        found = [text for text in evidence if text]
        status: Status = "inconclusive" if holds is None or not found else "pass" if holds else "fail"
        return cls(id=id_, title=title, status=status, evidence=found, remedy="" if status == "pass" else remedy)


def overall(checks: Iterable[Check]) -> Status:
    """Return fail when a check failed, else inconclusive when one is or there is none, else pass."""
    found = {check.status for check in checks}
    if "fail" in found:
        return "fail"
    return "pass" if found == {"pass"} else "inconclusive"


class ControlsReport(BaseModel):
    """The seven controls of a deployed environment at one moment."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    environment: str
    checked_at: datetime
    status: Status
    checks: list[Check]

    @classmethod
    def of(cls, environment: str, checks: list[Check]) -> "ControlsReport":
        """Return the report of checks that were made now."""
        return cls(environment=environment, checked_at=datetime.now(UTC), status=overall(checks), checks=checks)
