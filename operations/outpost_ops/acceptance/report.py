"""The report of an acceptance: what was checked, how long things took, of which environment."""

from datetime import datetime
from importlib.resources import files
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from outpost.report import Check, Status


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class DispatchTimes(_Model):
    """One dispatch of the acceptance, in seconds from its acceptance by the API."""

    agent: str
    claimed: float = Field(description="until a worker had claimed it: the start of a task, unless one was warm")
    first_instruction: float = Field(description="until the agent's process had started")
    ended: float = Field(description="until its results were stored")


class Timings(_Model):
    """How long the environment took."""

    deploy_seconds: dict[str, float] = Field(description="the last operation of each stack, by CloudFormation's events")
    dispatches: list[DispatchTimes] = Field(description="in the order in which they were made")

    @property
    def cold_start_seconds(self) -> float | None:
        """The longest time until a worker had claimed a dispatch."""
        return max((each.claimed for each in self.dispatches), default=None)

    @property
    def first_instruction_seconds(self) -> float | None:
        """The longest time from a dispatch to the agent's first instruction."""
        return max((each.first_instruction for each in self.dispatches), default=None)


class AcceptanceReport(_Model):
    """What `outpost acceptance` writes; it holds no key, no log line and no text of a tenant."""

    environment: str
    account: str
    region: str
    url: str
    version: str = Field(description="of the deployed service")
    commit: str | None = Field(description="of the checkout that was accepted; None outside git")
    started_at: datetime
    finished_at: datetime
    status: Status
    timings: Timings
    checks: list[Check]


def write(report: AcceptanceReport, folder: Path) -> list[Path]:
    """Write the report as JSON and as a page without scripts; return the files."""
    from jinja2 import Environment, StrictUndefined  # noqa: PLC0415 - only this command needs it

    folder.mkdir(parents=True, exist_ok=True)
    source = files(__package__).joinpath("report.html.j2").read_text(encoding="utf-8")
    template = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True).from_string(source)
    pages = {"json": report.model_dump_json(indent=2) + "\n", "html": template.render(report=report)}
    written = []
    for kind, text in pages.items():
        file = folder / f"acceptance-{report.environment}.{kind}"
        file.write_text(text, encoding="utf-8")
        written.append(file)
    return written
