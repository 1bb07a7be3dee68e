"""What a step of the migration is, and what all reports share. `outpost_migration.registry` lists the steps."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, ClassVar, Generic, NamedTuple, TypeVar, get_origin

from pydantic import Field

from outpost.report import Check, Status
from outpost_migration.monitor.documents import Part


class Finding(NamedTuple):
    """Whether something holds, None when that is not known, and the evidence."""

    holds: bool | None
    evidence: list[str]


class Report(Part):
    """The fields of every report. Its JSON schema is in docs/schemas."""

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


R = TypeVar("R", bound=Report)


@dataclass(frozen=True)
class Step(Generic[R]):
    """One step: its command, the options of that, its report's schema and its row of the runbook are made of this."""

    report: type[R]
    run: Callable[..., R]
    """Called with a `Context` and an argument for each option; its docstring begins with the command's help."""
    needs: tuple[str, ...] = ()
    """The steps that must have passed."""
    undoes: tuple[str, ...] = ()
    """The steps whose result holds no longer after this one."""
    takes: str = ""
    """How long it takes, for the runbook; empty for a step that is not on the way to v2."""
    changes: str = "nothing"
    """What it changes, for the runbook."""

    @property
    def name(self) -> str:
        """The name, which its report has as well."""
        return str(self.report.model_fields["step"].default)

    @property
    def help(self) -> str:
        """The help of its command."""
        return (inspect.getdoc(self.run) or "").partition("\n")[0]

    @property
    def options(self) -> list[inspect.Parameter]:
        """The options of its command: the parameters of `run` that are annotated for Typer."""
        parameters = inspect.signature(self.run).parameters.values()
        return [parameter for parameter in parameters if get_origin(parameter.annotation) is Annotated]
